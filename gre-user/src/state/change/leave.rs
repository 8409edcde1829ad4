//! What no program finds any more goes, and leaves its places to others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem::offset_of,
    sync::atomic::Ordering::Relaxed,
};

use gre_common::tables::{
    self, Binding, BindingKey, Counters, FdbKey, Hook, IfIndex, LocalKey, Sequence, Service,
    TenantId, Tunnel, TunnelId, Via,
};

use super::{
    super::{fdb::Fate, name, optional},
    Result, State,
    enter::hooks,
    line::Way,
    plan::Plan,
    sides::{self, Side, Tenants, Tunnels},
};

const RECEIVED: usize = offset_of!(Binding, received);

impl State {
    /// Clears up. No program holds anything of the old.
    pub(super) fn leave(&mut self, plan: &Plan) -> Result<()> {
        self.carry_counters(plan);
        self.leave_stations(plan)?;
        if plan.nowhere.is_some() {
            self.resume(plan);
            self.wait_for_programs();
        }
        self.leave_local_keys(plan)?;
        for it in &plan.tenants {
            let members = it.before.as_ref().map(|before| before.tenant.members);
            let stays = it.staying().is_some() && !it.has_new_list;
            let has_members = it.after.as_ref().is_some_and(Side::has_members);
            if let Some(members) = members.filter(|_| !(stays && has_members)) {
                let members = self.maps.members_from(members);
                self.release_members(&members);
            }
        }
        for (before, after) in plan.tenants.iter().filter_map(Tenants::staying) {
            if before.second_key.is_some() && after.second_key.is_none() {
                self.forget_second_key(after.id)?;
            }
        }
        self.leave_ports(plan)?;
        self.leave_guards(&plan.guards)?;
        self.leave_tenants(plan)?;
        self.leave_tunnels(plan)
    }

    /// What was received by a line that is gone goes on in one that its tenant has.
    fn carry_counters(&self, plan: &Plan) {
        let mut heirs: HashMap<TenantId, BindingKey> = HashMap::new();
        for line in &plan.lines {
            if let Some(after) = line.after {
                heirs.insert(after.tenant, line.key);
            }
        }
        for line in &plan.lines {
            let Some(before) = line.before.filter(|_| line.way() != Way::Stays) else { continue };
            let tenant = before.binding.tenant;
            let own = line.after.is_some_and(|after| after.tenant == tenant).then_some(line.key);
            let Some(heir) = own.or_else(|| heirs.get(&tenant).copied()) else { continue };
            // Nobody counts there any more, and nobody has used the place.
            let Counters { packets, bytes } = self.maps.bindings.at(before.place).received;
            for (offset, amount) in
                [(offset_of!(Counters, packets), packets), (offset_of!(Counters, bytes), bytes)]
            {
                if let Some(number) = self.maps.bindings.number(&heir, RECEIVED + offset) {
                    number.fetch_add(amount, Relaxed);
                }
            }
        }
    }

    /// Forgets stations that are behind what a tenant has no more; those behind a tunnel in another slot are there.
    fn leave_stations(&mut self, plan: &Plan) -> Result<()> {
        let moved: HashMap<TunnelId, TunnelId> =
            plan.tunnels.iter().filter_map(|it| Some((it.left()?.0, it.after?.0))).collect();
        let mut gone = HashSet::new();
        let mut fates: HashMap<(TenantId, Via), Fate> = HashMap::new();
        for it in &plan.tenants {
            let Some(before) = &it.before else { continue };
            if before.tenant.service != Service::L2 {
                continue;
            }
            let Some((_, after)) = it.staying() else {
                gone.insert(before.id);
                continue;
            };
            let kept = |tunnel: &TunnelId| after.tunnels.contains(tunnel);
            for tunnel in before.tunnels.iter().filter(|tunnel| !kept(tunnel)) {
                let there = moved.get(tunnel).filter(|there| kept(there));
                let fate = there.map_or(Fate::Forgotten, |&there| Fate::At(Via::tunnel(there)));
                fates.insert((before.id, Via::tunnel(*tunnel)), fate);
            }
            let has = |ifindex| after.ports.iter().any(|port| port.ifindex == ifindex);
            for port in before.ports.iter().filter(|port| !has(port.ifindex)) {
                fates.insert((before.id, Via::port(port.ifindex)), Fate::Forgotten);
            }
        }
        if gone.is_empty() && fates.is_empty() {
            return Ok(());
        }
        self.decide_stations(|key: &FdbKey, entry| {
            if gone.contains(&key.tenant) {
                return Fate::Forgotten;
            }
            fates.get(&(key.tenant, entry.via)).copied().unwrap_or(Fate::Stays)
        })
    }

    fn leave_local_keys(&mut self, plan: &Plan) -> Result<()> {
        let mut released: HashMap<(LocalKey, TenantId), u32> = HashMap::new();
        for line in &plan.lines {
            if let Some(tenant) = line.loser() {
                let key = LocalKey { local: self.local_id(line.local)?, key: line.in_key };
                *released.entry((key, tenant)).or_default() += 1;
            }
        }
        for ((key, tenant), bindings) in released {
            self.release_local_key(key, tenant, bindings);
        }
        Ok(())
    }

    fn leave_ports(&mut self, plan: &Plan) -> Result<()> {
        let after = plan.ports.iter().filter_map(|it| it.after);
        let used: BTreeMap<IfIndex, &[Hook]> =
            after.map(|record| (record.port.ifindex, hooks(&record))).collect();
        for it in &plan.ports {
            let Some(before) = it.before else { continue };
            let ifindex = before.port.ifindex;
            if it.after.is_none() {
                optional(self.maps.ports.remove(&name::parse_interface(&it.name)?))?;
            }
            let used = used.get(&ifindex).copied();
            if used.is_none() {
                optional(self.maps.port_devices.remove(ifindex.0))?;
            }
            for hook in hooks(&before).iter().filter(|hook| !used.unwrap_or(&[]).contains(hook)) {
                self.forget_hook(*hook, ifindex)?;
            }
        }
        Ok(())
    }

    fn leave_tenants(&mut self, plan: &Plan) -> Result<()> {
        let mut left = BTreeSet::new();
        for it in &plan.tenants {
            let Some(side) = it.left() else { continue };
            left.insert(side.id);
            let name = name::parse(&it.name)?;
            match &it.after {
                None => self.maps.tenant_names.remove(&name),
                Some(after) => {
                    let index = offset_of!(tables::Named, index);
                    self.maps.tenant_names.set_part(&name, index, &after.id.0);
                }
            }
        }
        self.forget_events(&left)?;
        self.forget_neighbours_of(&left)?;
        for &id in &left {
            self.forget_totals(id)?;
            self.forget_second_key(id)?;
            self.maps.sequences.set(id.0, &Sequence::default());
            self.maps.tenants.set(id.0, &tables::Tenant::EMPTY);
        }
        Ok(())
    }

    fn leave_tunnels(&mut self, plan: &Plan) -> Result<()> {
        if let Some(id) = plan.nowhere {
            self.set_tunnel(id, Tunnel::EMPTY);
        }
        for it in &plan.tunnels {
            let Some((id, record)) = it.left() else { continue };
            self.release_local(record.local)?;
            let name = name::parse(&it.name)?;
            match it.after {
                None => self.maps.tunnel_names.remove(&name),
                Some((after, _)) => {
                    let index = offset_of!(tables::Named, index);
                    self.maps.tunnel_names.set_part(&name, index, &after.0);
                }
            }
            self.set_tunnel(id, Tunnel::EMPTY);
        }
        let gone: BTreeSet<_> =
            plan.tunnels.iter().filter_map(Tunnels::left).map(|it| it.0).collect();
        for (id, by) in sides::uses(&plan.tenants) {
            if !gone.contains(&id) {
                let tenants = i64::from(self.tunnel_at(id).tenants) + by;
                let tenants = u32::try_from(tenants).unwrap_or(0);
                self.maps.tunnels.set_part(id.0, offset_of!(Tunnel, tenants), &tenants);
            }
        }
        self.wait_for_programs();
        Ok(())
    }
}
