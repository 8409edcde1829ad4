//! What is there, and what will be.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use gre_common::tables::{
    self, IfIndex, MemberId, PortRecord, TenantId, TenantOptions, Tunnel, TunnelId, TunnelOptions,
};

use super::{
    super::{member::PortMember, port::free_position, tenant::describe_key},
    Changes, Error, Result, State,
    guards::Guards,
    line::{self, Line},
    routes::Routes,
};

/// All that changes.
pub(super) struct Plan {
    pub tunnels: Vec<Tunnels>,
    pub tenants: Vec<Tenants>,
    pub ports: Vec<Ports>,
    pub lines: Vec<Line>,
    pub routes: Routes,
    pub guards: Guards,
    /// A slot for a tunnel that leads nowhere: tenants of which more than one word changes at once are on it meanwhile.
    pub nowhere: Option<TunnelId>,
}

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
    /// Whether it does not go point to point.
    pub fn has_members(&self) -> bool {
        self.tunnels.len() > 1 || self.ports.len() > 1 || self.tenant.routes > 0
    }
}

impl Ports {
    /// Whether programs find another entry for its device, or none so far.
    pub fn is_entered(&self) -> bool {
        let line = |record: &PortRecord| (record.port.ifindex, record.tenant, record.position);
        self.after.is_some() && self.before.as_ref().map(line) != self.after.as_ref().map(line)
    }
}

impl Plan {
    /// Finds out what changes. Nothing is written.
    ///
    /// # Errors
    /// The changes do not fit what is there, or there is no room.
    pub fn of(state: &State, changes: &Changes) -> Result<Self> {
        let mut free = state.free_tunnels();
        let mut no_tunnel = || free.next().ok_or_else(|| state.full_of_tunnels());
        let tunnels = Underlay::plan(state, changes, &mut no_tunnel)?;
        let planner =
            Planner { state, changes, tunnels, names: OnceCell::new(), devices: OnceCell::new() };
        let mut tenants = planner.tenants()?;
        let ports = planner.ports(&mut tenants)?;
        let routes = Routes::plan(state, changes, &planner.tunnels, &tenants, &ports)?;
        for after in tenants.iter_mut().filter_map(|it| it.after.as_mut()) {
            after.tenant.routes = routes.count(after.id);
        }
        let guards = Guards::plan(state, changes, &tenants)?;
        planner.finish(&mut tenants, &ports)?;
        planner.tunnels.check_use(&tenants)?;
        let pauses = tenants.iter().any(|it| it.pauses);
        let nowhere = if pauses { Some(no_tunnel()?) } else { None };
        let lines = line::all(state, &planner.tunnels, &tenants)?;
        let Planner { tunnels: Underlay { planned: tunnels, .. }, .. } = planner;
        Ok(Self { tunnels, tenants, ports, lines, routes, guards, nowhere })
    }

    /// The slots that get a tenant.
    pub fn entered_tenants(&self) -> BTreeSet<TenantId> {
        self.tenants.iter().filter_map(Tenants::entered).map(|side| side.id).collect()
    }

    /// By how many bindings more there will be.
    pub fn more_bindings(&self) -> u32 {
        let entered = self.lines.iter().filter(|line| line.before.is_none()).count();
        let left = self.lines.iter().filter(|line| line.after.is_none()).count();
        entered.saturating_sub(left) as u32
    }

    /// By how many tenants more, or less, each tunnel is used.
    pub fn uses(tenants: &[Tenants]) -> HashMap<TunnelId, i64> {
        let mut uses = HashMap::new();
        for it in tenants {
            let sides = [(&it.before, -1), (&it.after, 1)];
            for (side, by) in sides.into_iter().filter_map(|(side, by)| Some((side.as_ref()?, by)))
            {
                for &tunnel in &side.tunnels {
                    *uses.entry(tunnel).or_default() += by;
                }
            }
        }
        uses
    }
}

/// The tunnels, as they will be.
pub(super) struct Underlay<'s> {
    state: &'s State,
    planned: Vec<Tunnels>,
    by_name: HashMap<String, Option<TunnelId>>,
    /// Where tunnels go that change slots.
    moved: HashMap<TunnelId, TunnelId>,
    records: HashMap<TunnelId, Tunnel>,
}

impl<'s> Underlay<'s> {
    fn plan(
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
    fn concerning(&self) -> BTreeSet<TunnelId> {
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
    fn check_use(&self, tenants: &[Tenants]) -> Result<()> {
        let uses = Plan::uses(tenants);
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

struct Planner<'a> {
    state: &'a State,
    changes: &'a Changes,
    tunnels: Underlay<'a>,
    /// The names of the tenants that are there.
    names: OnceCell<BTreeMap<TenantId, String>>,
    /// The ports that are there.
    devices: OnceCell<HashMap<IfIndex, tables::Port>>,
}

impl Planner<'_> {
    fn names(&self) -> &BTreeMap<TenantId, String> {
        self.names.get_or_init(|| self.state.tenant_names())
    }

    /// The tenants concerned, with their tunnels, but not yet their ports.
    fn tenants(&self) -> Result<Vec<Tenants>> {
        let mut free = self.state.free_tenants();
        let mut tenants = Vec::new();
        for name in self.concerned()? {
            let before = self.state.find_tenant(&name)?.map(|there| Side {
                id: there.id,
                tenant: there.tenant,
                tunnels: self.state.tunnels_of(&there.tenant),
                ports: self.state.maps.ports_of(&there.tenant),
            });
            let mut after = self.after(&name, before.as_ref())?;
            if let Some(after) = &mut after
                && before.as_ref().is_none_or(|before| before.id != after.id)
            {
                after.id = free.next().ok_or_else(|| self.state.full_of_tenants())?;
            }
            tenants.push(Tenants { name, before, after, has_new_list: false, pauses: false });
        }
        Ok(tenants)
    }

    fn concerned(&self) -> Result<BTreeSet<String>> {
        let mut concerned: BTreeSet<_> = self.changes.tenants.keys().cloned().collect();
        concerned.extend(self.changes.routes.keys().map(|(tenant, _)| tenant.clone()));
        for (name, after) in &self.changes.ports {
            concerned.extend(after.as_ref().map(|port| port.tenant.clone()));
            let there = self.state.find_port(name)?;
            concerned.extend(there.and_then(|record| self.names().get(&record.tenant).cloned()));
        }
        let tunnels = self.tunnels.concerning();
        if !tunnels.is_empty() {
            for (id, name) in self.names() {
                let used = self.state.tunnels_of(&self.state.tenant_at(*id));
                if used.iter().any(|tunnel| tunnels.contains(tunnel)) {
                    concerned.insert(name.clone());
                }
            }
        }
        Ok(concerned)
    }

    /// A tenant as it will be, with [`TenantId::NONE`] where it gets another slot.
    fn after(&self, name: &str, before: Option<&Side>) -> Result<Option<Side>> {
        let wanted = match (self.changes.tenants.get(name), before) {
            (Some(None), _) => return Ok(None),
            (Some(Some(wanted)), _) => wanted,
            (None, Some(before)) => {
                let tunnels = before.tunnels.iter().map(|&id| self.tunnels.successor(id)).collect();
                return Ok(Some(Side { tunnels, ports: Vec::new(), ..*before }));
            }
            (None, None) => {
                return Err(Error::Unknown { kind: "tenant", name: name.to_owned() });
            }
        };
        let mut tunnels = Vec::with_capacity(wanted.tunnels.len());
        for tunnel in &wanted.tunnels {
            let id = self.tunnels.named(tunnel)?;
            if tunnels.contains(&id) {
                return Err(Error::TunnelTwice(tunnel.clone()));
            }
            tunnels.push(id);
        }
        let record = wanted.new.record();
        let same = before.filter(|before| before.tenant.service == record.service);
        let (id, there) = same.map_or((TenantId::NONE, record), |it| (it.id, it.tenant));
        let tables::Tenant { in_key, out_key, .. } = record;
        let answers = there.options.has(TenantOptions::ANSWERS);
        let options = record.options.with(TenantOptions::ANSWERS, answers);
        let tenant = tables::Tenant { in_key, out_key, options, ..there };
        Ok(Some(Side { id, tenant, tunnels, ports: Vec::new() }))
    }

    /// The ports that change, and all ports of the tenants concerned.
    fn ports(&self, tenants: &mut [Tenants]) -> Result<Vec<Ports>> {
        let mut ports = Vec::new();
        for (name, after) in &self.changes.ports {
            let before = self.state.find_port(name)?;
            let after = match after {
                None => None,
                Some(port) => Some(port.new.record(id_of(tenants, &port.tenant)?)),
            };
            ports.push(Ports { name: name.clone(), before, after, place: None });
        }
        let mut leaving: BTreeSet<(TenantId, IfIndex)> = BTreeSet::new();
        let owner = |record: &PortRecord| (record.tenant, record.port.ifindex);
        for it in &ports {
            let after = it.after.as_ref().map(owner);
            leaving.extend(it.before.as_ref().map(owner).filter(|before| Some(*before) != after));
        }
        let mut lists: HashMap<TenantId, &mut Vec<PortMember>> = HashMap::new();
        for it in tenants {
            let Some(after) = &mut it.after else { continue };
            if let Some(before) = it.before.as_ref().filter(|before| before.id == after.id) {
                let stays = |port: &&PortMember| !leaving.contains(&(before.id, port.ifindex));
                after.ports = before.ports.iter().filter(stays).copied().collect();
            }
            lists.insert(after.id, &mut after.ports);
        }
        for record in ports.iter_mut().filter_map(|it| it.after.as_mut()) {
            let Some(list) = lists.get_mut(&record.tenant) else { continue };
            let ifindex = record.port.ifindex;
            if let Some(there) = list.iter().find(|port| port.ifindex == ifindex) {
                record.position = there.position;
            } else {
                record.position = free_position(list);
                list.push(PortMember { ifindex, position: record.position });
            }
        }
        Ok(ports)
    }

    /// Completes the records, once it is known who has which port.
    fn finish(&self, tenants: &mut [Tenants], ports: &[Ports]) -> Result<()> {
        let changed: HashMap<IfIndex, tables::Port> =
            ports.iter().filter_map(|it| it.after).map(|it| (it.port.ifindex, it.port)).collect();
        let going: BTreeSet<IfIndex> =
            ports.iter().filter_map(|it| it.before).map(|it| it.port.ifindex).collect();
        for it in tenants {
            if let Some(left) = it.left()
                && let Some(port) = left.ports.iter().find(|port| !going.contains(&port.ifindex))
            {
                let port = self.state.port_name_of(port.ifindex)?;
                return Err(Error::TenantInUse { name: it.name.clone(), port });
            }
            let Some(after) = &mut it.after else { continue };
            self.check(after)?;
            after.tenant.tunnel = after.tunnels[0];
            after.tenant.port = match after.ports.first() {
                None => tables::Port::NONE,
                Some(first) => match changed.get(&first.ifindex) {
                    Some(port) => *port,
                    None => self.device(first.ifindex)?,
                },
            };
            let before = it.before.as_ref().filter(|before| before.id == after.id);
            it.has_new_list = after.has_members()
                && before.is_none_or(|before| {
                    before.tenant.members == MemberId::NONE
                        || (&before.tunnels, &before.ports) != (&after.tunnels, &after.ports)
                });
            if it.has_new_list || !after.has_members() {
                after.tenant.members = MemberId::NONE;
                after.tenant.ports = MemberId::NONE;
            }
            it.pauses = before.is_some_and(|before| {
                before.tenant.out_key != after.tenant.out_key && before.tunnels != after.tunnels
            });
        }
        Ok(())
    }

    fn check(&self, after: &Side) -> Result<()> {
        let ordered =
            |id: &&TunnelId| self.tunnels.after(**id).options.has(TunnelOptions::SEQUENCE);
        match after.tunnels.iter().find(ordered) {
            Some(id) if after.tunnels.len() > 1 => {
                Err(Error::SequenceShared(self.tunnels.name(*id)))
            }
            _ => Ok(()),
        }
    }

    fn device(&self, ifindex: IfIndex) -> Result<tables::Port> {
        if self.devices.get().is_none() {
            let ports = self.state.ports()?.into_iter().map(|it| (it.ifindex(), it.record.port));
            let _ = self.devices.set(ports.collect());
        }
        let found = self.devices.get().and_then(|ports| ports.get(&ifindex));
        Ok(found.copied().unwrap_or(tables::Port::NONE))
    }
}

/// The slot of a tenant of this name.
fn id_of(tenants: &[Tenants], name: &str) -> Result<TenantId> {
    // They are in the order of their names.
    let found = tenants.binary_search_by(|it| it.name.as_str().cmp(name)).ok();
    let after = found.and_then(|at| tenants[at].after.as_ref());
    let unknown = || Error::Unknown { kind: "tenant", name: name.to_owned() };
    after.map(|after| after.id).ok_or_else(unknown)
}

impl Underlay<'_> {
    /// A tunnel's name, after all changes.
    pub fn name(&self, id: TunnelId) -> String {
        let planned = self.planned.iter().find(|it| it.after.is_some_and(|(after, _)| after == id));
        planned.map_or_else(|| self.state.tunnel_name(id), |it| it.name.clone())
    }
}

/// What a tenant receives by a tunnel, in words.
pub(super) fn describe(tenant: &tables::Tenant) -> String {
    describe_key(tenant.in_key.into())
}
