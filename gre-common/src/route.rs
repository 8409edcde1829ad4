//! The decision where an l3 tenant's packet goes that has several tunnels or ports: by the longest prefix among its routes.

use crate::{
    packet::Packet,
    tables::{Tables, TenantAddress, TenantId, Via},
    verdict::{DropReason, End, PassReason},
    wire::{
        address::Version,
        ethernet::{self, EtherType},
        ipv4, ipv6,
    },
};

/// Decides about a packet received on a port.
#[inline(always)]
pub(crate) fn from_port<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
) -> Result<Via, End> {
    let version = match packet.read(ethernet::TYPE_OFFSET).map(EtherType::from_be_bytes) {
        _ if packet.stripped_vlan().is_some() => Version::NOT_IP,
        Some(EtherType::IPV4) => Version::V4,
        Some(EtherType::IPV6) => Version::V6,
        _ => Version::NOT_IP,
    };
    if version == Version::NOT_IP {
        return Err(PassReason::NotIp.into());
    }
    if version_at(packet, ethernet::HEADER_LEN) != version {
        return Err(DropReason::InnerVersion.of(id).into());
    }
    match packet.route(tables, id, ethernet::HEADER_LEN) {
        Via::NONE => Err(DropReason::Unreachable.of(id).into()),
        via => Ok(via),
    }
}

/// Decides about the packet at `offset` that was received through a tunnel.
#[inline(always)]
pub(crate) fn from_tunnel<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
    offset: usize,
) -> Result<Via, DropReason> {
    match packet.route(tables, id, offset) {
        Via::NONE => Err(DropReason::Unreachable),
        via if via.to_port().is_none() => Err(DropReason::SplitHorizon),
        via => Ok(via),
    }
}

/// Where the packet goes whose IP header is at `offset`; [`Via::NONE`]: nowhere.
#[inline(always)]
pub fn find<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
    offset: usize,
) -> Via {
    packet.look_again();
    let version = version_at(packet, offset);
    let key = match version {
        Version::V4 => packet
            .words(offset + ipv4::DESTINATION_OFFSET)
            .map(|[address]| TenantAddress::v4(id, address)),
        Version::V6 => packet
            .words(offset + ipv6::DESTINATION_OFFSET)
            .map(|address| TenantAddress::v6(id, address)),
        _ => None,
    };
    let Some(route) = key.and_then(|key| tables.route(&key)) else { return Via::NONE };
    if !route.is_shared() {
        return route.way(0);
    }
    let hash = packet.flow_hash(version, offset, offset..end(packet, version, offset));
    route.way(packet.forget(route.share(hash)))
}

/// Where the packet ends.
#[inline(always)]
fn end<P: Packet + ?Sized>(packet: &P, version: Version, offset: usize) -> usize {
    // The length field of a merged packet may say nothing.
    if packet.segment_payload() > 0 {
        return packet.len();
    }
    if version == Version::V6 {
        let start = ipv6::Start(packet.read(offset).unwrap_or_default());
        return offset + ipv6::HEADER_LEN + start.payload_len();
    }
    offset + ipv4::total_len(&ipv4::parse(packet.words(offset).unwrap_or_default()))
}

#[inline(always)]
fn version_at<P: Packet + ?Sized>(packet: &P, offset: usize) -> Version {
    match packet.read(offset) {
        Some([first]) if first >> 4 == 4 => Version::V4,
        Some([first]) if first >> 4 == 6 => Version::V6,
        _ => Version::NOT_IP,
    }
}
