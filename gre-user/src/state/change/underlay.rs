//! The tunnels, as they will be.

use std::collections::{BTreeSet, HashMap};

use gre_common::tables::{Tunnel, TunnelId, TunnelOptions};

use super::{
    Changes, Error, Result, State,
    sides::{self, Tenants, Tunnels},
};

/// The tunnels, as they will be.
pub(super) struct Underlay<'s> {
    state: &'s State,
    pub planned: Vec<Tunnels>,
    by_name: HashMap<String, Option<TunnelId>>,
    /// Where tunnels go that change slots.
    moved: HashMap<TunnelId, TunnelId>,
    records: HashMap<TunnelId, Tunnel>,
}

impl<'s> Underlay<'s> {
    pub fn plan(
        state: &'s State,
        changes: &Changes,
        slot: &mut impl FnMut() -> Result<TunnelId>,
    ) -> Result<Self> {
        let mut this = Self {
            state,
            planned: Vec::new(),
            by_name: HashMap::new(),
            moved: HashMap::new(),
            records: HashMap::new(),
        };
        for (name, after) in &changes.tunnels {
            let before = state.find_tunnel(name)?;
            let after = match (before, after) {
                (_, None) => None,
                (None, Some(after)) => Some((slot()?, *after)),
                (Some((id, before)), Some(after)) => Some(match in_place(&before, after) {
                    Some(record) => (id, record),
                    None => (slot()?, *after),
                }),
            };
            if let (Some((old, _)), Some((new, _))) = (before, after)
                && old != new
            {
                this.moved.insert(old, new);
            }
            if let Some((id, record)) = after {
                this.records.insert(id, record);
            }
            this.by_name.insert(name.clone(), after.map(|(id, _)| id));
            this.planned.push(Tunnels { name: name.clone(), before, after });
        }
        this.check_ends()?;
        let there = this.planned.iter().filter(|it| it.before.is_some()).count();
        let after = this.planned.iter().filter(|it| it.after.is_some()).count();
        if after > there {
            state.check_room_for_tunnels(state.tunnels().len() - there + after)?;
        }
        Ok(this)
    }

    /// A tunnel as it will be.
    pub fn after(&self, id: TunnelId) -> Tunnel {
        self.records.get(&id).copied().unwrap_or_else(|| self.state.tunnel_at(id))
    }

    pub fn named(&self, name: &str) -> Result<TunnelId> {
        match self.by_name.get(name) {
            Some(Some(id)) => Ok(*id),
            Some(None) => Err(Error::Unknown { kind: "tunnel", name: name.to_owned() }),
            None => Ok(self.state.tunnel(name)?.id),
        }
    }

    /// What a tenant's tunnel of now will be.
    pub fn successor(&self, id: TunnelId) -> TunnelId {
        self.moved.get(&id).copied().unwrap_or(id)
    }

    /// Tunnels of which a tenant, or its bindings, must know that they change.
    pub fn concerning(&self) -> BTreeSet<TunnelId> {
        let concerns = |it: &Tunnels| {
            let (id, before) = it.before?;
            let is_same = it
                .after
                .is_some_and(|(after, record)| (after, record.options) == (id, before.options));
            (!is_same).then_some(id)
        };
        self.planned.iter().filter_map(concerns).collect()
    }

    /// No two tunnels go between the same addresses.
    fn check_ends(&self) -> Result<()> {
        let entered = self.planned.iter().filter(|it| it.is_entered()).count();
        if entered == 0 {
            return Ok(());
        }
        let ends = |tunnel: &Tunnel| (tunnel.local, tunnel.remote);
        let mut taken = HashMap::new();
        for there in self.state.tunnels() {
            if !self.by_name.contains_key(&there.name) {
                taken.insert(ends(&there.tunnel), there.name);
            }
        }
        for it in &self.planned {
            let Some((_, record)) = &it.after else { continue };
            if let Some(name) = taken.insert(ends(record), it.name.clone()) {
                let (local, remote) = (record.local.into(), record.remote.into());
                return Err(Error::SameEnds { name, local, remote });
            }
        }
        Ok(())
    }

    /// No tunnel goes that a tenant uses.
    pub fn check_use(&self, tenants: &[Tenants]) -> Result<()> {
        let uses = sides::uses(tenants);
        for it in &self.planned {
            let Some((id, before)) = it.left() else { continue };
            let left = i64::from(before.tenants) + uses.get(&id).copied().unwrap_or(0);
            if left > 0 {
                let tenants = u32::try_from(left).unwrap_or(u32::MAX);
                return Err(Error::TunnelInUse { name: it.name.clone(), tenants });
            }
        }
        Ok(())
    }

    /// A tunnel's name, after all changes.
    pub fn name(&self, id: TunnelId) -> String {
        let planned = self.planned.iter().find(|it| it.after.is_some_and(|(after, _)| after == id));
        planned.map_or_else(|| self.state.tunnel_name(id), |it| it.name.clone())
    }
}

/// What a tunnel's record becomes in its slot; `None` where that changes several words that programs read.
fn in_place(before: &Tunnel, after: &Tunnel) -> Option<Tunnel> {
    if (before.local, before.remote) != (after.local, after.remote) {
        return None;
    }
    let words = [
        before.options != after.options,
        (before.ttl, before.tos) != (after.ttl, after.tos),
        (before.df, before.mtu) != (after.df, after.mtu),
    ];
    if words.into_iter().filter(|differs| *differs).count() > 1 {
        return None;
    }
    let Tunnel { options, ttl, tos, df, mtu, keepalive, .. } = *after;
    // Learned while it was believed.
    let believed = !options.has(TunnelOptions::NO_PMTU_DISCOVERY);
    let path_mtu = if believed { before.path_mtu } else { 0 };
    Some(Tunnel { options, ttl, tos, df, mtu, keepalive, path_mtu, ..*before })
}
