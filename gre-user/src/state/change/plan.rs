//! What is there, and what will be.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use gre_common::tables::{
    self, IfIndex, MemberId, PortRecord, TenantId, TenantOptions, TunnelId, TunnelOptions,
};

use super::{
    super::{member::PortMember, port::free_position},
    Changes, Error, Result, State,
    guards::Guards,
    line::{self, Line},
    routes::Routes,
    sides::{self, Ports, Side, Tenants, Tunnels},
    underlay::Underlay,
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
        let numbers = routes.numbers();
        for after in tenants.iter_mut().filter_map(|it| it.after.as_mut()) {
            after.tenant.routes = numbers.get(&after.id).copied().unwrap_or(0);
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
            let before = match self.state.find_tenant(&name)? {
                None => None,
                Some(there) => Some(Side {
                    id: there.id,
                    tenant: there.tenant,
                    second_key: self.state.second_key(there.id, &there.tenant)?,
                    tunnels: self.state.tunnels_of(&there.tenant),
                    ports: self.state.maps.ports_of(&there.tenant),
                }),
            };
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
        let second_key = wanted.new.second_in_key.map(|key| Some(key).into());
        Ok(Some(Side { id, tenant, second_key, tunnels, ports: Vec::new() }))
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
            after.tenant.tunnel = after.tunnels.first().copied().unwrap_or(TunnelId::NONE);
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
    let after = sides::named(tenants, name).and_then(|it| it.after.as_ref());
    let unknown = || Error::Unknown { kind: "tenant", name: name.to_owned() };
    after.map(|after| after.id).ok_or_else(unknown)
}
