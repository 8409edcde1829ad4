//! What changes, before and after.

use std::collections::HashMap;

use gre_common::tables::{self, KeyField, PortRecord, TenantId, Tunnel, TunnelId};

use super::super::member::{PortMember, is_point_to_point};

/// A tunnel before and after.
pub(super) struct Tunnels {
    pub name: String,
    pub before: Option<(TunnelId, Tunnel)>,
    /// In the same slot, where all that differs is in one word.
    pub after: Option<(TunnelId, Tunnel)>,
}

/// A tenant before and after.
pub(super) struct Tenants {
    pub name: String,
    pub before: Option<Side>,
    /// In the same slot, unless its service differs.
    pub after: Option<Side>,
    /// Whether other members, or members in another order, are to be entered for it.
    pub has_new_list: bool,
    /// Whether it is to send nothing while it changes: a packet by a new tunnel must not have the old key.
    pub pauses: bool,
}

/// What is known of a tenant.
pub(super) struct Side {
    pub id: TenantId,
    pub tenant: tables::Tenant,
    pub second_key: Option<KeyField>,
    pub tunnels: Vec<TunnelId>,
    pub ports: Vec<PortMember>,
}

/// A port before and after.
pub(super) struct Ports {
    pub name: String,
    pub before: Option<PortRecord>,
    pub after: Option<PortRecord>,
    /// Where programs will find it, where that is another place.
    pub place: Option<u32>,
}

impl Tunnels {
    /// Whether it is in a slot where it was not.
    pub fn is_entered(&self) -> bool {
        let id = |side: &Option<(TunnelId, Tunnel)>| side.map(|(id, _)| id);
        self.after.is_some() && id(&self.before) != id(&self.after)
    }

    /// The slot that it leaves.
    pub fn left(&self) -> Option<(TunnelId, Tunnel)> {
        self.before.filter(|(id, _)| self.after.is_none_or(|(after, _)| after != *id))
    }
}

impl Tenants {
    /// Both sides of one that stays what it is.
    pub fn staying(&self) -> Option<(&Side, &Side)> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        (before.id == after.id).then_some((before, after))
    }

    /// The side that is in a slot where it was not.
    pub fn entered(&self) -> Option<&Side> {
        let before = self.before.as_ref().map(|side| side.id);
        self.after.as_ref().filter(|after| Some(after.id) != before)
    }

    /// The side whose slot is not its own any more.
    pub fn left(&self) -> Option<&Side> {
        let after = self.after.as_ref().map(|side| side.id);
        self.before.as_ref().filter(|before| Some(before.id) != after)
    }
}

impl Side {
    /// Every key that it receives by.
    pub fn in_keys(&self) -> impl Iterator<Item = KeyField> + use<> {
        [self.tenant.in_key].into_iter().chain(self.second_key)
    }

    /// Whether it does not go point to point.
    pub fn has_members(&self) -> bool {
        !is_point_to_point(self.tunnels.len(), self.ports.len(), &self.tenant)
    }
}

impl Ports {
    /// Whether programs find another entry for its device, or none so far.
    pub fn is_entered(&self) -> bool {
        let line = |record: &PortRecord| (record.port.ifindex, record.tenant, record.position);
        self.after.is_some() && self.before.as_ref().map(line) != self.after.as_ref().map(line)
    }
}

/// By how many tenants more, or less, each tunnel is used.
pub(super) fn uses(tenants: &[Tenants]) -> HashMap<TunnelId, i64> {
    let mut uses = HashMap::new();
    for it in tenants {
        let sides = [(&it.before, -1), (&it.after, 1)];
        for (side, by) in sides.into_iter().filter_map(|(side, by)| Some((side.as_ref()?, by))) {
            for &tunnel in &side.tunnels {
                *uses.entry(tunnel).or_default() += by;
            }
        }
    }
    uses
}

/// The tenant of this name, among tenants in the order of their names.
pub(super) fn named<'t>(tenants: &'t [Tenants], name: &str) -> Option<&'t Tenants> {
    let found = tenants.binary_search_by(|it| it.name.as_str().cmp(name)).ok();
    found.map(|at| &tenants[at])
}
