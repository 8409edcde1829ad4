//! What is new is entered where no program finds it, or finds all of it.

use std::mem::offset_of;

use gre_common::tables::{
    self, Hook, IfIndex, IfName, KeyField, LocalKey, Member, MemberId, Name, PortMode, PortRecord,
    Slot, TenantId, Tunnel, TunnelId,
};
use gre_common::wire::address::Address;
use ipnet::IpNet;

use super::{
    super::{Room, name, optional, source::Source, tunnel::ends6},
    Error, Result, State,
    guards::Guards,
    line::Way,
    plan::Plan,
};

/// What was entered, to be taken out again.
enum Entered {
    Tunnel(TunnelId),
    TunnelName(Name),
    Local(Address),
    Ends6(u32),
    Tenant(TenantId),
    TenantName(Name),
    Members(Vec<Member>),
    Route((TenantId, IpNet)),
    Source(TenantId, Source),
    Rate(TenantId),
    FirstPort(TenantId),
    /// In place of this one.
    SecondKey(TenantId, Option<KeyField>),
    Port(IfName),
    Device(IfIndex),
    Hook(Hook, IfIndex),
    LocalKey(LocalKey, TenantId),
    Binding(u32),
}

impl State {
    /// Enters all that is new, or nothing.
    pub(super) fn enter_new(&mut self, plan: &mut Plan) -> Result<()> {
        let mut entered = Vec::new();
        let done = self.try_to_enter(plan, &mut entered);
        if done.is_err() && !entered.is_empty() {
            self.withdraw(entered)?;
        }
        done
    }

    fn try_to_enter(&mut self, plan: &mut Plan, entered: &mut Vec<Entered>) -> Result<()> {
        self.enter_tunnels(plan, entered)?;
        self.enter_tenants(plan, entered)?;
        self.enter_guards(&plan.guards, entered)?;
        for (key, ways) in plan.routes.coming(&plan.entered_tenants(), true) {
            self.enter_route(key.0, key.1, ways)?;
            entered.push(Entered::Route(key));
        }
        self.enter_ports(plan, entered)?;
        self.enter_lines(plan, entered)?;
        // The tunnel's bindings are there.
        let max = self.maps.sizes.tunnels;
        for (id, record) in
            plan.tunnels.iter().filter(|it| it.is_entered()).filter_map(|it| it.after)
        {
            if let Some(key) = ends6(&record) {
                let place = self.maps.ends6.publish(&tables::Ends6Use { key, tunnel: id });
                entered.push(Entered::Ends6(place.map_err(|_| Error::full_of_tunnels(max))?));
            }
        }
        Ok(())
    }

    fn enter_tunnels(&mut self, plan: &Plan, entered: &mut Vec<Entered>) -> Result<()> {
        let max = self.maps.sizes.tunnels;
        if let Some(id) = plan.nowhere {
            self.set_tunnel(id, Tunnel { slot: Slot::IN_USE, ..Tunnel::EMPTY });
            entered.push(Entered::Tunnel(id));
        }
        for it in plan.tunnels.iter().filter(|it| it.is_entered()) {
            let Some((id, record)) = it.after else { continue };
            self.set_tunnel(id, Tunnel { slot: Slot::IN_USE, tenants: 0, ..record });
            entered.push(Entered::Tunnel(id));
            if it.before.is_none() {
                let key = name::parse(&it.name)?;
                let named = tables::Named { name: key, index: id.0 };
                self.maps.tunnel_names.insert(&named).map_err(|_| Error::full_of_tunnels(max))?;
                entered.push(Entered::TunnelName(key));
            }
            self.claim_local(record.local)?;
            entered.push(Entered::Local(record.local));
        }
        Ok(())
    }

    fn enter_tenants(&mut self, plan: &mut Plan, entered: &mut Vec<Entered>) -> Result<()> {
        let max = self.max_tenants();
        for it in &mut plan.tenants {
            let is_entered = it.entered().is_some();
            let is_switched = it.staying().is_some_and(|(before, after)| {
                before.tenant.ports == MemberId::NONE && after.ports.len() > 1
            });
            let Some(after) = &mut it.after else { continue };
            if it.has_new_list {
                let lists = self.enter_members(after.id, &after.tunnels, &after.ports)?;
                (after.tenant.members, after.tenant.ports) = lists;
                entered.push(Entered::Members(self.maps.members_from(lists.0)));
            }
            if is_switched {
                // Read once a binding says that there are several.
                let first = offset_of!(tables::Tenant, ports);
                self.maps.tenants.set_part(after.id.0, first, &after.tenant.ports);
                entered.push(Entered::FirstPort(after.id));
            }
            if !is_entered {
                let before = it.before.as_ref().and_then(|before| before.second_key);
                self.enter_second_key(after.id, after.second_key.and_then(Into::into))?;
                entered.push(Entered::SecondKey(after.id, before));
                continue;
            }
            if self.tenant_at(after.id).slot == Slot::RETIRED {
                self.clean_slot(after.id)?;
            }
            self.maps.tenants.set(after.id.0, &after.tenant);
            entered.push(Entered::Tenant(after.id));
            self.enter_second_key(after.id, after.second_key.and_then(Into::into))?;
            if it.before.is_none() {
                let key = name::parse(&it.name)?;
                let named = tables::Named { name: key, index: after.id.0 };
                self.maps.tenant_names.insert(&named).map_err(|_| Error::full_of_tenants(max))?;
                entered.push(Entered::TenantName(key));
            }
        }
        Ok(())
    }

    fn enter_guards(&mut self, guards: &Guards, entered: &mut Vec<Entered>) -> Result<()> {
        for (id, source) in guards.coming_sources() {
            self.enter_sources(id, &[source])?;
            entered.push(Entered::Source(id, source));
        }
        for (id, rate) in guards.coming_rates() {
            self.enter_rate(id, Some(rate))?;
            entered.push(Entered::Rate(id));
        }
        Ok(())
    }

    fn enter_ports(&mut self, plan: &mut Plan, entered: &mut Vec<Entered>) -> Result<()> {
        let max = self.max_tenants();
        for it in &mut plan.ports {
            let Some(record) = it.after else { continue };
            let ifindex = record.port.ifindex;
            if it.is_entered() {
                let place = self.maps.port_tenants.reserve(&ifindex);
                it.place = Some(place.map_err(|_| Error::Full { room: Room::PORTS, max })?);
            }
            if it.before.is_none() {
                let key = name::parse_interface(&it.name)?;
                let inserted = self.maps.ports.insert(key, record, 0);
                inserted.map_err(Error::inserting(Room::PORTS, max))?;
                entered.push(Entered::Port(key));
            }
            if it.before.is_none_or(|before| before.port.ifindex != ifindex) {
                let inserted = self.maps.port_devices.insert(ifindex.0);
                inserted.map_err(Error::inserting(Room::PORTS, max))?;
                entered.push(Entered::Device(ifindex));
            }
            for hook in hooks(&record) {
                let is_new = it.before.is_none_or(|before| {
                    before.port.ifindex != ifindex || !hooks(&before).contains(hook)
                });
                if is_new {
                    self.register_hook(*hook, ifindex)?;
                    entered.push(Entered::Hook(*hook, ifindex));
                }
            }
        }
        Ok(())
    }

    fn enter_lines(&mut self, plan: &Plan, entered: &mut Vec<Entered>) -> Result<()> {
        for line in &plan.lines {
            let (Some(binding), true) = (&line.after, line.way() != Way::Stays) else { continue };
            if let Some(tenant) = line.winner() {
                let local = self.local_id(line.local)?;
                let key = LocalKey { local, key: line.in_key };
                self.claim_local_key(key, tenant)?;
                entered.push(Entered::LocalKey(key, tenant));
            }
            let place = self.maps.bindings.publish(binding);
            let place = place.map_err(|_| self.full_of_bindings())?;
            entered.push(Entered::Binding(place));
        }
        Ok(())
    }

    /// Takes everything out again, the last first.
    fn withdraw(&mut self, entered: Vec<Entered>) -> Result<()> {
        let mut later = Vec::new();
        for it in entered.into_iter().rev() {
            match it {
                Entered::Binding(place) => self.maps.bindings.retire(place),
                Entered::LocalKey(key, tenant) => self.release_local_key(key, tenant, 1),
                Entered::Ends6(place) => self.maps.ends6.retire(place),
                Entered::TunnelName(name) => self.maps.tunnel_names.remove(&name),
                Entered::TenantName(name) => self.maps.tenant_names.remove(&name),
                Entered::Local(address) => self.release_local(address)?,
                Entered::Route(key) => self.leave_routes(&[key])?,
                Entered::Source(id, source) => self.leave_source(id, source)?,
                Entered::Rate(id) => self.forget_rate(id)?,
                Entered::SecondKey(id, before) => {
                    self.forget_second_key(id)?;
                    self.enter_second_key(id, before.and_then(Into::into))?;
                }
                Entered::Port(name) => optional(self.maps.ports.remove(&name)).map(drop)?,
                Entered::Hook(hook, ifindex) => self.forget_hook(hook, ifindex)?,
                it => later.push(it),
            }
        }
        self.wait_for_programs();
        for it in later {
            match it {
                Entered::Tunnel(id) => self.set_tunnel(id, Tunnel::EMPTY),
                Entered::Tenant(id) => self.clean_slot(id)?,
                Entered::Members(members) => self.release_members(&members),
                Entered::FirstPort(TenantId(id)) => {
                    let first = offset_of!(tables::Tenant, ports);
                    self.maps.tenants.set_part(id, first, &MemberId::NONE);
                }
                Entered::Device(ifindex) => {
                    optional(self.maps.port_devices.remove(ifindex.0)).map(drop)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The hooks of a port.
pub(super) fn hooks(record: &PortRecord) -> &'static [Hook] {
    if record.mode == PortMode::TC { &[Hook::PORT_TC] } else { &[Hook::PORT_TC, Hook::PORT_XDP] }
}
