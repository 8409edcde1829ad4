//! The decision whether a tenant's packet comes from where his packets may come from.

use crate::{
    packet::Packet,
    tables::{Tables, TenantAddress, TenantId, TenantOptions},
    wire::{
        arp,
        be32::Be32,
        ethernet::{self, EtherType, MacAddr},
        ipv4, ipv6,
    },
};

/// Where a tenant's packet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// In bytes from the start of the frame.
    pub offset: usize,
    /// Whether it is an Ethernet frame.
    pub is_frame: bool,
}

/// Whether a packet comes from one of a tenant's sources. Whoever has no address yet (0.0.0.0, `::`) may ask for one.
#[inline(always)]
pub fn is_allowed<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
    options: TenantOptions,
    start: Start,
) -> bool {
    packet.look_again();
    if !start.is_frame {
        return !options.has(TenantOptions::PREFIXES)
            || is_source(tables, source_of_packet(packet, id, start.offset));
    }
    if options.has(TenantOptions::MACS) {
        let src: Option<MacAddr> = packet.read(start.offset + size_of::<MacAddr>());
        if !is_source(tables, src.map(|src| Some(TenantAddress::mac(id, src)))) {
            return false;
        }
    }
    if !options.has(TenantOptions::PREFIXES) {
        return true;
    }
    let payload = ethernet::payload(packet, start.offset);
    match payload.ether_type {
        EtherType::IPV4 | EtherType::IPV6 => {
            is_source(tables, source_of_packet(packet, id, packet.settle(payload.offset)))
        }
        EtherType::ARP => {
            let sender = packet.words(packet.settle(payload.offset) + arp::SENDER_OFFSET);
            is_source(tables, sender.map(|[sender]| v4(id, sender)))
        }
        _ => true,
    }
}

/// `Some(None)`: it has no address yet. `None`: it cannot be read.
type Sender = Option<Option<TenantAddress>>;

#[inline(always)]
fn is_source<T: Tables>(tables: &T, sender: Sender) -> bool {
    sender.is_some_and(|sender| sender.is_none_or(|sender| tables.is_source(&sender)))
}

#[inline(always)]
fn source_of_packet<P: Packet + ?Sized>(packet: &P, id: TenantId, offset: usize) -> Sender {
    let [first] = packet.read(offset)?;
    if first >> 4 == 6 {
        let src = packet.words(offset + ipv6::SOURCE_OFFSET)?;
        let is_none = src.iter().fold(0, |bits, word| bits | word.as_read()) == 0;
        return Some((!is_none).then(|| TenantAddress::v6(id, src)));
    }
    let [src] = packet.words(offset + ipv4::SOURCE_OFFSET)?;
    Some(v4(id, src))
}

#[inline(always)]
fn v4(id: TenantId, src: Be32) -> Option<TenantAddress> {
    (src.as_read() != 0).then(|| TenantAddress::v4(id, src))
}
