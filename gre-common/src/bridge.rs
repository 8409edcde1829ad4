//! The decision where a tenant's frame goes: through a tunnel, to a port of this host, or to all members of its network.
//!
//! A tenant with one tunnel and one port goes point to point, and nothing is looked up. Otherwise [`route`] says where an l3 tenant's
//! packets go, and of an l2 tenant a station is where its frames came from last, and a frame to nobody known goes everywhere but back: what came by a tunnel leaves by
//! no tunnel (split horizon), for every host of a mesh has heard it.

use crate::{
    guard::Start,
    packet::Packet,
    route,
    tables::{FdbKey, IfIndex, MemberId, Service, Tables, Tenant, TenantId, TenantOptions, Via},
    verdict::{DropReason, End, PassReason, Verdict},
    wire::ethernet::{self, MacAddr},
};

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'t> {
    /// Whose it is.
    pub id: TenantId,
    /// What is known of him.
    pub tenant: &'t Tenant,
    /// Where it goes.
    pub via: Via,
}

/// Decides about a frame received on the port `ifindex`.
#[inline(always)]
pub fn from_port<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    ifindex: IfIndex,
) -> Verdict<Way<'t>> {
    way(packet, tables, ifindex).into()
}

#[inline(always)]
pub(crate) fn way<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    ifindex: IfIndex,
) -> Result<Way<'t>, End> {
    let (id, tenant) = tables
        .port_tenant(ifindex)
        .and_then(|id| Some((id, tables.tenant(id)?)))
        .ok_or(PassReason::NoTenant)?;
    let options = tenant.options.settled(packet);
    let start = Start { offset: 0, is_frame: true };
    if options.has_sources() && !packet.is_allowed(tables, id, options, start) {
        return Err(DropReason::Source.of(id).into());
    }
    let via = if options.has(TenantOptions::ANSWERS) && packet.is_answered(tables, id) {
        Via::TO_ANSWER
    } else if tenant.members == MemberId::NONE {
        Via::tunnel(tenant.tunnel)
    } else if tenant.service == Service::L2 {
        match known(packet, tables, id, 0).map_err(|reason| reason.of(id))? {
            Via::NONE => Via::flood(tenant.members),
            via => via,
        }
    } else {
        route::from_port(packet, tables, id)?
    };
    if via == Via::port(ifindex) {
        return Err(DropReason::SplitHorizon.of(id).into());
    }
    Ok(Way { id, tenant, via: via.settled(packet) })
}

/// Decides about the frame at `offset`, or packet of an l3 tenant, that a tenant with several ports has received through a tunnel.
///
/// # Errors
/// Why it is to be dropped.
#[inline(always)]
pub fn from_tunnel<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
    is_l2: bool,
    offset: usize,
) -> Result<Via, DropReason> {
    if !is_l2 {
        return route::from_tunnel(packet, tables, id, offset);
    }
    let via = known(packet, tables, id, offset)?;
    if via == Via::NONE {
        let ports = tables.tenant(id).map_or(MemberId::NONE, |tenant| tenant.ports);
        return Ok(Via::flood(ports));
    }
    if via.to_port().is_none() {
        return Err(DropReason::SplitHorizon);
    }
    Ok(via)
}

/// Where the frame's destination is; [`Via::NONE`] for many of them, too.
#[inline(always)]
fn known<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
    offset: usize,
) -> Result<Via, DropReason> {
    packet.look_again();
    let dst: MacAddr = packet.read(offset).ok_or(DropReason::InnerLength)?;
    Ok(if dst[0] & ethernet::GROUP != 0 {
        Via::NONE
    } else {
        tables.station(&FdbKey::new(id, dst))
    })
}

/// The station that the frame at `offset` came from, if it is one: nobody answers to many.
#[inline(always)]
pub fn source<P: Packet + ?Sized>(packet: &P, offset: usize, tenant: TenantId) -> Option<FdbKey> {
    packet.look_again();
    let src: MacAddr = packet.read(offset + size_of::<MacAddr>())?;
    (src[0] & ethernet::GROUP == 0).then(|| FdbKey::new(tenant, src))
}
