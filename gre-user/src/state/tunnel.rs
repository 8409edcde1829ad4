//! Tunnels.

use gre_common::{
    tables::{self, NextHop, Slot, Tunnel, TunnelId},
    wire::be32::Be32,
};

use super::{Error, Result, State, free_slot, grace, name, optional};

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
        if let Some(other) = self.tunnels().into_iter().find(same_ends) {
            let (local, remote) = (tunnel.local.into(), tunnel.remote.into());
            return Err(Error::SameEnds { name: other.name, local, remote });
        }
        let id = self.take_tunnel_slot()?;
        let tunnel = Tunnel { slot: Slot::IN_USE, tenants: 0, ..tunnel };
        self.set_tunnel(id, tunnel);
        let max = self.maps.tunnels.len();
        let added = self.count_local(tunnel.local, 1).and_then(|()| {
            let named = self.maps.tunnel_names.insert(&tables::Named { name: key, index: id.0 });
            named.map_err(|_| Error::Full { what: "tunnels", max }).inspect_err(|_| {
                // What was there before this call is still true; the first error is the one to tell.
                let _ = self.count_local(tunnel.local, -1);
            })
        });
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
        self.maps.tunnel_names.remove(&name::parse(name)?);
        self.count_local(tunnel.local, -1)?;
        self.set_tunnel(id, Tunnel::EMPTY);
        grace::wait();
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

    pub(super) fn tunnel_at(&self, id: TunnelId) -> Tunnel {
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
        let max = self.maps.tunnels.len();
        let slot = free_slot(self.next_tunnel, max, |slot| self.tunnel_at(TunnelId(slot)).slot)
            .ok_or(Error::Full { what: "tunnels", max })?;
        self.next_tunnel = slot + 1;
        Ok(TunnelId(slot))
    }

    /// Changes the number of tunnels that end at a local address.
    fn count_local(&mut self, local: [u8; 4], change: i32) -> Result<()> {
        let local = Be32::from(local);
        let before = optional(self.maps.locals.get(&local, 0))?.unwrap_or(0);
        match before.saturating_add_signed(change) {
            0 => Ok(self.maps.locals.remove(&local)?),
            after => {
                let max = self.maps.tunnels.len();
                let inserted = self.maps.locals.insert(local, after, 0);
                inserted.map_err(Error::inserting("local addresses", max))
            }
        }
    }
}
