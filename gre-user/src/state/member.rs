//! Among whom a tenant's frames are flooded: its tunnels, then its ports, one behind the other.
//!
//! A list is never changed. Another takes its place, and its members are free again when no program can hold them.

use std::mem::offset_of;

use gre_common::tables::{
    IfIndex, Member, MemberId, Service, Tenant, TenantId, TunnelId, TunnelOptions, Via,
};

use super::{Error, Result, Room, State, maps::Maps, name};

/// A port of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMember {
    /// Its device.
    pub ifindex: IfIndex,
    /// [`PortUse::position`](gre_common::tables::PortUse::position).
    pub position: u32,
}

/// Whether nothing is looked up for a tenant's packets. A tenant without tunnels has members, if only a port: by the number of no
/// tunnel its packets would be taken for nobody's.
pub(super) fn is_point_to_point(tunnels: usize, ports: usize, tenant: &Tenant) -> bool {
    tunnels == 1 && ports <= 1 && tenant.routes == 0
}

impl Maps {
    /// A tenant's tunnels, in the order in which the user gave them.
    pub(super) fn tunnels_of(&self, tenant: &Tenant) -> Vec<TunnelId> {
        if tenant.members == MemberId::NONE {
            return Some(tenant.tunnel).filter(|&id| id != TunnelId::NONE).into_iter().collect();
        }
        let members = self.members_from(tenant.members).into_iter();
        members.filter_map(|member| member.via.to_tunnel()).collect()
    }

    /// Whether a tunnel is one of a tenant's.
    pub(super) fn uses_tunnel(&self, tenant: &Tenant, tunnel: TunnelId) -> bool {
        if tenant.members == MemberId::NONE {
            return tenant.tunnel == tunnel;
        }
        self.members_from(tenant.members).iter().any(|member| member.via == Via::tunnel(tunnel))
    }

    /// A tunnel's name.
    pub(super) fn tunnel_name(&self, id: TunnelId) -> String {
        let found = self.tunnel_names.iter().find(|entry| entry.index == id.0);
        found.map_or_else(|| format!("#{}", id.0), |entry| name::text(&entry.name))
    }

    /// A tenant's ports, in the order in which they were added.
    pub(super) fn ports_of(&self, tenant: &Tenant) -> Vec<PortMember> {
        if tenant.members == MemberId::NONE {
            let used = self.port_tenants.get(&tenant.port.ifindex);
            let only = used.map(|it| PortMember { ifindex: it.ifindex, position: it.position });
            return only.into_iter().collect();
        }
        let members = self.members_from(tenant.ports).into_iter();
        let port = |member: Member| {
            let ifindex = member.via.to_port()?;
            Some(PortMember { ifindex, position: member.position })
        };
        members.filter_map(port).collect()
    }

    /// A member and those behind it.
    pub(super) fn members_from(&self, first: MemberId) -> Vec<Member> {
        let mut members = Vec::new();
        let mut id = first;
        // A list that someone else replaces meanwhile may not end.
        while id != MemberId::NONE && members.len() < self.members.len() as usize {
            let member = self.members.get(id.index());
            if member.id != id || member.via == Via::NONE {
                break;
            }
            members.push(member);
            id = member.next;
        }
        members
    }
}

impl State {
    /// A tenant's tunnels, in the order in which the user gave them.
    pub fn tunnels_of(&self, tenant: &Tenant) -> Vec<TunnelId> {
        self.maps.tunnels_of(tenant)
    }

    /// Replaces the list of a tenant's members, and what its bindings say of it. Returns those of the old list, which are to be
    /// [`released`](State::release_members) after a grace period.
    ///
    /// # Errors
    /// The map is full; nothing has changed.
    pub(super) fn set_members(
        &mut self,
        id: TenantId,
        tunnels: &[TunnelId],
        ports: &[PortMember],
    ) -> Result<Vec<Member>> {
        let tenant = self.tenant_at(id);
        let old = self.maps.members_from(tenant.members);
        let is_point_to_point = is_point_to_point(tunnels.len(), ports.len(), &tenant);
        let (members, first_port) = if is_point_to_point {
            (MemberId::NONE, MemberId::NONE)
        } else {
            self.enter_members(id, tunnels, ports)?
        };
        // Programs learn and look up once the list is there.
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, ports), &first_port);
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, members), &members);
        let learn = !is_point_to_point && tenant.service == Service::L2;
        self.set_bridging(id, learn, ports.len() > 1);
        Ok(old)
    }

    /// Lets members go that no program can hold any more.
    pub(super) fn release_members(&mut self, members: &[Member]) {
        for member in members {
            self.maps.members.set(member.id.index(), &Member { id: member.id, ..Member::NONE });
        }
    }

    pub(super) fn enter_members(
        &mut self,
        tenant: TenantId,
        tunnels: &[TunnelId],
        ports: &[PortMember],
    ) -> Result<(MemberId, MemberId)> {
        let of_tunnels = tunnels.iter().map(|&tunnel| (Via::tunnel(tunnel), 0));
        let of_ports = ports.iter().map(|port| (Via::port(port.ifindex), port.position));
        let mut entered: Vec<Member> = Vec::new();
        let (mut next, mut first_port) = (MemberId::NONE, MemberId::NONE);
        let all: Vec<_> = of_tunnels.chain(of_ports).collect();
        // Each one says who comes behind it, so the last is entered first.
        for (left, (via, position)) in all.into_iter().enumerate().rev() {
            let Some(free) = self.free_member() else {
                self.release_members(&entered);
                return Err(Error::Full { room: Room::MEMBERS, max: self.maps.members.len() });
            };
            let last = self.maps.members.get(free);
            let member = Member { id: last.id.next_turn(free), next, via, tenant, position };
            self.maps.members.set(free, &member);
            self.next_member = free + 1;
            entered.push(member);
            next = member.id;
            if left == tunnels.len() {
                first_port = next;
            }
        }
        Ok((next, first_port))
    }

    /// A place that nobody has.
    fn free_member(&self) -> Option<u32> {
        let len = self.maps.members.len();
        let start = self.next_member.min(len);
        let via = |place| self.maps.members.get(place).via;
        (start..len).chain(0..start).find(|&place| via(place) == Via::NONE)
    }

    /// Says to a tenant's bindings whether stations are learned, and whether there are several ports.
    fn set_bridging(&mut self, id: TenantId, learn: bool, switched: bool) {
        self.change_bindings(id, |binding| {
            let options = binding.options.with(TunnelOptions::LEARN, learn);
            binding.options = options.with(TunnelOptions::SWITCHED, switched);
        });
    }
}
