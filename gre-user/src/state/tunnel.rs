//! Tunnels.

use std::collections::BTreeSet;

use gre_common::{
    tables::{
        self, Ends6, Ends6Use, HopState, KeyField, LocalId, LocalUse, NextHop, Slot, TenantId,
        Tunnel, TunnelId, TunnelOptions,
    },
    wire::address::Address,
};

use super::{Error, Result, Room, State, from, name, optional};

/// A tunnel with its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its slot.
    pub id: TunnelId,
    /// What the datapath knows of it.
    pub tunnel: Tunnel,
}

/// How well a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no route to the remote address.
    NoRoute,
    /// Its keepalive is not answered.
    Down,
    /// The next hop's MAC address is not known; the kernel finds it when it is needed.
    Unresolved,
    /// All is well.
    Up,
}

impl Health {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::NoRoute, Self::Down, Self::Unresolved, Self::Up];

    /// How well this one is.
    pub fn of(tunnel: &Tunnel) -> Self {
        match tunnel.next_hop.state {
            HopState::NO_ROUTE => Self::NoRoute,
            _ if tunnel.keepalive.down != 0 => Self::Down,
            HopState::UNRESOLVED => Self::Unresolved,
            _ => Self::Up,
        }
    }

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Down => "down",
            Self::Unresolved => "unresolved",
            Self::Up => "up",
        }
    }

    /// Whether packets get to the other end, as far as anybody knows here.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Unresolved | Self::Up)
    }
}

impl State {
    /// Adds a tunnel.
    ///
    /// # Errors
    /// The name or the pair of ends is taken, or a map is full.
    pub fn add_tunnel(&mut self, name: &str, tunnel: Tunnel) -> Result<TunnelId> {
        let key = name::parse(name)?;
        if self.maps.tunnel_names.get(&key).is_some() {
            return Err(Error::Exists { kind: "tunnel", name: name.to_owned() });
        }
        let same_ends = |other: &Named| {
            (other.tunnel.local, other.tunnel.remote) == (tunnel.local, tunnel.remote)
        };
        let there = self.tunnels();
        if let Some(other) = there.iter().find(|it| same_ends(it)) {
            let (name, local, remote) =
                (other.name.clone(), tunnel.local.into(), tunnel.remote.into());
            return Err(Error::SameEnds { name, local, remote });
        }
        self.check_room_for_tunnels(there.len() + 1)?;
        let id = self.take_tunnel_slot()?;
        let tunnel = Tunnel { slot: Slot::IN_USE, tenants: 0, ..tunnel };
        self.set_tunnel(id, tunnel);
        let added = self.enter_tunnel(&tables::Named { name: key, index: id.0 }, &tunnel);
        if added.is_err() {
            self.set_tunnel(id, Tunnel::EMPTY);
        }
        added.map(|()| id)
    }

    /// Deletes a tunnel that no tenant uses.
    ///
    /// # Errors
    /// It does not exist, or has tenants.
    pub fn delete_tunnel(&mut self, name: &str) -> Result<()> {
        let Named { id, tunnel, .. } = self.tunnel(name)?;
        if tunnel.tenants > 0 {
            return Err(Error::TunnelInUse { name: name.to_owned(), tenants: tunnel.tenants });
        }
        self.release_local(tunnel.local)?;
        self.leave_tunnel(&name::parse(name)?, &tunnel);
        self.set_tunnel(id, Tunnel::EMPTY);
        self.wait_for_programs();
        Ok(())
    }

    /// The tunnel of this name.
    ///
    /// # Errors
    /// It does not exist.
    pub fn tunnel(&self, name: &str) -> Result<Named> {
        let found = self.maps.tunnel_names.get(&name::parse(name)?);
        found
            .map(|entry| self.named_tunnel(&entry))
            .ok_or_else(|| Error::Unknown { kind: "tunnel", name: name.to_owned() })
    }

    /// All tunnels, by name.
    pub fn tunnels(&self) -> Vec<Named> {
        let mut tunnels: Vec<_> =
            self.maps.tunnel_names.iter().map(|entry| self.named_tunnel(&entry)).collect();
        tunnels.sort_by(|a, b| a.name.cmp(&b.name));
        tunnels
    }

    /// Replaces the way to a tunnel's remote address.
    pub fn set_next_hop(&mut self, id: TunnelId, next_hop: NextHop) {
        let tunnel = self.tunnel_at(id);
        self.set_tunnel(id, Tunnel { next_hop, ..tunnel });
    }

    /// Replaces what the path was found to carry, in bytes; 0: nothing is known.
    pub fn set_path_mtu(&mut self, id: TunnelId, path_mtu: u32) {
        let tunnel = self.tunnel_at(id);
        self.set_tunnel(id, Tunnel { path_mtu, ..tunnel });
    }

    /// Says whether the kernel's IPsec policies are about packets received through a tunnel.
    pub fn set_ipsec(&mut self, id: TunnelId, protected: bool) {
        let tunnel = self.tunnel_at(id);
        let options = tunnel.options.with(TunnelOptions::IPSEC, protected);
        self.set_tunnel(id, Tunnel { options, ..tunnel });
        self.set_binding_options(id, options);
    }

    /// Whether some tenant's packets leave through a tunnel with this key.
    pub fn sends_key(&self, id: TunnelId, key: KeyField) -> bool {
        let sends = |tenant: tables::Tenant| {
            (tenant.slot, tenant.out_key) == (Slot::IN_USE, key)
                && self.maps.uses_tunnel(&tenant, id)
        };
        (0..self.max_tenants()).any(|slot| sends(self.tenant_at(TenantId(slot))))
    }

    /// The tunnel of this name, if it is there.
    ///
    /// # Errors
    /// It cannot be a name.
    pub fn find_tunnel(&self, name: &str) -> Result<Option<(TunnelId, Tunnel)>> {
        let found = self.maps.tunnel_names.get(&name::parse(name)?);
        Ok(found.map(|entry| (TunnelId(entry.index), self.tunnel_at(TunnelId(entry.index)))))
    }

    /// The name of the tunnel in a slot.
    pub fn tunnel_name(&self, id: TunnelId) -> String {
        self.maps.tunnel_name(id)
    }

    /// The slots that nobody has.
    pub(super) fn free_tunnels(&self) -> impl Iterator<Item = TunnelId> {
        let all = from(self.next_tunnel, self.maps.tunnels.len()).map(TunnelId);
        all.filter(|&id| self.tunnel_at(id).slot != Slot::IN_USE)
    }

    /// Whether there is room for all these tunnels, after others have left their slots.
    pub(super) fn check_room_for_tunnels(&self, number: usize) -> Result<()> {
        if number > self.maps.sizes.tunnels as usize {
            return Err(self.full_of_tunnels());
        }
        Ok(())
    }

    pub(super) fn full_of_tunnels(&self) -> Error {
        Error::full_of_tunnels(self.maps.sizes.tunnels)
    }

    /// Where programs find the tunnel in a slot that has these ends; `None` over IPv4.
    pub(super) fn ends6_place(&self, id: TunnelId, tunnel: &Tunnel) -> Option<u32> {
        let key = ends6(tunnel)?;
        let ends6 = &self.maps.ends6;
        ends6.places_of(&key).find(|&place| ends6.at(place).tunnel == id)
    }

    /// The tunnel in a slot.
    pub fn tunnel_at(&self, id: TunnelId) -> Tunnel {
        self.maps.tunnels.get(id.0)
    }

    pub(super) fn set_tunnel(&mut self, id: TunnelId, tunnel: Tunnel) {
        self.maps.tunnels.set(id.0, &tunnel);
    }

    fn named_tunnel(&self, entry: &tables::Named) -> Named {
        let id = TunnelId(entry.index);
        Named { name: name::text(&entry.name), id, tunnel: self.tunnel_at(id) }
    }

    fn take_tunnel_slot(&mut self) -> Result<TunnelId> {
        let id = self.free_tunnels().next().ok_or_else(|| self.full_of_tunnels())?;
        self.next_tunnel = id.0 + 1;
        Ok(id)
    }

    /// Enters a tunnel everywhere; its local address, which makes packets our own, comes last.
    fn enter_tunnel(&mut self, named: &tables::Named, tunnel: &Tunnel) -> Result<()> {
        let max = self.maps.sizes.tunnels;
        let full = |_| Error::full_of_tunnels(max);
        let entered = self.maps.tunnel_names.insert(named).map_err(full).and_then(|()| {
            if let Some(key) = ends6(tunnel) {
                let ends = Ends6Use { key, tunnel: TunnelId(named.index) };
                self.maps.ends6.insert(&ends).map_err(full)?;
            }
            self.claim_local(tunnel.local)
        });
        entered.inspect_err(|_| self.leave_tunnel(&named.name, tunnel))
    }

    /// Takes a tunnel, whose local address does not count it any more, out of the tables.
    fn leave_tunnel(&mut self, name: &tables::Name, tunnel: &Tunnel) {
        if let Some(ends) = ends6(tunnel) {
            self.maps.ends6.remove(&ends);
        }
        self.maps.tunnel_names.remove(name);
    }

    /// The number of a local address where a tunnel ends.
    pub(super) fn local_id(&mut self, local: Address) -> Result<LocalId> {
        if let Some((last, id)) = self.last_local
            && last == local
        {
            return Ok(id);
        }
        let id = self.maps.locals.get(&local, 0)?.id;
        self.last_local = Some((local, id));
        Ok(id)
    }

    /// Counts a tunnel that ends at a local address.
    pub(super) fn claim_local(&mut self, local: Address) -> Result<()> {
        let usage = match optional(self.maps.locals.get(&local, 0))? {
            Some(usage) => LocalUse { tunnels: usage.tunnels.saturating_add(1), ..usage },
            None => LocalUse { id: self.free_local_id()?, tunnels: 1 },
        };
        let max = self.maps.sizes.tunnels;
        let inserted = self.maps.locals.insert(local, usage, 0);
        inserted.map_err(Error::inserting(Room::LOCALS, max))
    }

    /// Counts a tunnel less.
    pub(super) fn release_local(&mut self, local: Address) -> Result<()> {
        self.last_local = None;
        match optional(self.maps.locals.get(&local, 0))? {
            Some(usage) if usage.tunnels > 1 => {
                let usage = LocalUse { tunnels: usage.tunnels - 1, ..usage };
                Ok(self.maps.locals.insert(local, usage, 0)?)
            }
            Some(_) => Ok(self.maps.locals.remove(&local)?),
            None => Ok(()),
        }
    }

    fn free_local_id(&self) -> Result<LocalId> {
        let mut taken = BTreeSet::new();
        for entry in &self.maps.locals {
            let (_, LocalUse { id, .. }) = entry?;
            taken.insert(id);
        }
        Ok(smallest_free(&taken))
    }
}

/// What a tunnel over IPv6 is found by.
pub(super) fn ends6(tunnel: &Tunnel) -> Option<Ends6> {
    (!tunnel.local.is_v4()).then(|| Ends6::new(tunnel.local, tunnel.remote))
}

fn smallest_free(taken: &BTreeSet<LocalId>) -> LocalId {
    let is_taken = |(number, id): &(u32, &LocalId)| LocalId(*number) == **id;
    LocalId((0..).zip(taken).take_while(is_taken).count() as u32)
}

#[cfg(test)]
mod tests {
    use super::{LocalId, smallest_free};

    #[test]
    fn numbers_are_used_again() {
        for (taken, free) in [(&[][..], 0), (&[0, 1], 2), (&[0, 2, 3], 1), (&[1], 0)] {
            assert_eq!(smallest_free(&taken.iter().copied().map(LocalId).collect()).0, free);
        }
    }
}
