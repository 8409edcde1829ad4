//! From the old to the new, word by word.

use std::{
    collections::BTreeSet,
    mem::offset_of,
    sync::atomic::{Ordering::Release, fence},
};

use aya::Pod;
use gre_common::tables::{Binding, KeyField, MemberId, PortUse, Tenant, TunnelId};

use super::{
    super::{name, port::port_use},
    Result, State,
    line::Way,
    plan::Plan,
    sides::{Side, Tenants},
};

const TUNNEL: usize = offset_of!(Tenant, tunnel);
const MEMBERS: usize = offset_of!(Tenant, members);
const PORTS: usize = offset_of!(Tenant, ports);
const OUT_KEY: usize = offset_of!(Tenant, out_key);
const OPTIONS: usize = offset_of!(Tenant, options);

impl State {
    /// Has programs meet the new. When it returns no program holds anything of the old.
    pub(super) fn switch(&mut self, plan: &mut Plan) -> Result<()> {
        let only_adds = plan.tenants.iter().all(|it| it.before.is_none())
            && plan.tunnels.iter().all(|it| it.before.is_none());
        if !only_adds {
            // Who is on the way between two lines of a key finds one.
            self.wait_for_programs();
        }
        if let Some(nowhere) = plan.nowhere {
            self.pause(plan, nowhere);
        }
        for it in &plan.tunnels {
            if let (Some((old, _)), Some((id, record))) = (it.before, it.after)
                && old == id
            {
                self.set_tunnel(id, record);
            }
        }
        let entered = plan.entered_tenants();
        self.enter_routes(&plan.routes.coming(&entered, false))?;
        self.switch_rates(&plan.guards)?;
        for (it, (before, after)) in plan.tenants.iter().filter_map(|it| Some((it, it.staying()?)))
        {
            self.begin(it, before, after);
        }
        self.switch_lines(plan);
        if !only_adds {
            self.wait_for_programs();
        }
        for (it, (before, after)) in plan.tenants.iter().filter_map(|it| Some((it, it.staying()?)))
        {
            self.end(it, before, after);
        }
        for line in plan.lines.iter().filter(|line| line.way() == Way::Leaves) {
            if let Some(before) = &line.before {
                self.maps.bindings.retire(before.place);
            }
        }
        self.switch_ports(plan, only_adds)?;
        let going = plan.routes.going();
        if !going.is_empty() {
            self.leave_routes(&going)?;
            self.wait_for_programs();
        }
        Ok(())
    }

    /// Leads the tenants nowhere of which both ways and keys change.
    fn pause(&mut self, plan: &Plan, nowhere: TunnelId) {
        for it in plan.tenants.iter().filter(|it| it.pauses) {
            let Some((before, _)) = it.staying() else { continue };
            self.set_word(before, TUNNEL, &nowhere);
            fence(Release);
            self.set_word(before, MEMBERS, &MemberId::NONE);
        }
        self.wait_for_programs();
        // What waits in a queue to be sent to the old ones must not have the new key.
        for it in plan.tenants.iter().filter(|it| it.pauses) {
            if let Some((before, _)) = it.staying() {
                let members = self.maps.members_from(before.tenant.members);
                self.release_members(&members);
            }
        }
    }

    /// What a program may meet while it still holds the old.
    fn begin(&mut self, it: &Tenants, before: &Side, after: &Side) {
        let tenant = &after.tenant;
        let both = tenant.options.with(before.tenant.options, true);
        self.set_word(after, OPTIONS, &both);
        self.set_word(after, offset_of!(Tenant, routes), &tenant.routes);
        self.set_word(after, offset_of!(Tenant, in_key), &tenant.in_key);
        self.set_word(after, offset_of!(Tenant, port), &tenant.port);
        if tenant.ports != MemberId::NONE {
            self.set_word(after, PORTS, &tenant.ports);
        }
        if it.pauses {
            self.set_word(after, OUT_KEY, &tenant.out_key);
            return;
        }
        if tenant.members == MemberId::NONE {
            self.set_word(after, TUNNEL, &tenant.tunnel);
        } else {
            self.set_word(after, MEMBERS, &tenant.members);
        }
        // The key is read only where there is one.
        match KeyField::first_to_change(before.tenant.out_key, tenant.out_key) {
            Some((offset, word)) => self.set_word(after, OUT_KEY + offset, &word),
            None => self.set_word(after, OUT_KEY, &tenant.out_key),
        }
    }

    /// What only those read that met the new.
    fn end(&mut self, it: &Tenants, before: &Side, after: &Side) {
        let tenant = &after.tenant;
        self.set_word(after, OPTIONS, &tenant.options);
        self.set_word(after, PORTS, &tenant.ports);
        self.set_word(after, OUT_KEY, &tenant.out_key);
        if it.pauses {
            return;
        }
        self.set_word(after, MEMBERS, &tenant.members);
        self.set_word(after, TUNNEL, &tenant.tunnel);
        debug_assert_eq!(before.id, after.id);
    }

    /// Lets those send again that were led nowhere.
    pub(super) fn resume(&mut self, plan: &Plan) {
        for it in plan.tenants.iter().filter(|it| it.pauses) {
            let Some((_, after)) = it.staying() else { continue };
            self.set_word(after, MEMBERS, &after.tenant.members);
            fence(Release);
            self.set_word(after, TUNNEL, &after.tenant.tunnel);
        }
    }

    fn switch_lines(&mut self, plan: &Plan) {
        for line in &plan.lines {
            let (Some(before), Some(after)) = (&line.before, &line.after) else { continue };
            if line.way() == Way::Replaced {
                self.maps.bindings.retire(before.place);
                continue;
            }
            let bindings = &mut self.maps.bindings;
            bindings.set_part_at(before.place, offset_of!(Binding, tunnel), &after.tunnel);
            bindings.set_part_at(before.place, offset_of!(Binding, options), &after.options);
        }
        for it in &plan.tunnels {
            // Bindings of the slot that it leaves are there until the next grace period has passed.
            if let Some(place) = it.left().and_then(|(id, record)| self.ends6_place(id, &record)) {
                self.maps.ends6.retire(place);
            }
        }
    }

    /// Enters the lines of new and moved ports, and takes the old ones out.
    fn switch_ports(&mut self, plan: &Plan, only_adds: bool) -> Result<()> {
        let mut old = BTreeSet::new();
        for it in &plan.ports {
            let going = it.before.filter(|_| it.place.is_some() || it.after.is_none());
            old.extend(going.and_then(|it| self.maps.port_tenants.place_of(&it.port.ifindex)));
        }
        for it in &plan.ports {
            let Some(record) = it.after else { continue };
            if let Some(place) = it.place {
                self.maps.port_tenants.publish_at(place, &port_use(&record));
            } else {
                let (ifindex, ends) = (record.port.ifindex, record.port.ends);
                self.maps.port_tenants.set_part(&ifindex, offset_of!(PortUse, ends), &ends);
            }
            if it.before.is_some() {
                self.maps.ports.insert(name::parse_interface(&it.name)?, record, 0)?;
            }
        }
        if !only_adds {
            self.wait_for_programs();
        }
        if !old.is_empty() {
            for place in old {
                self.maps.port_tenants.retire(place);
            }
            self.wait_for_programs();
        }
        Ok(())
    }

    fn set_word<P: Pod>(&mut self, side: &Side, offset: usize, part: &P) {
        self.maps.tenants.set_part(side.id.0, offset, part);
    }
}
