//! The MSS option of TCP (RFC 9293 section 3.7.1), lowered to what a tunnel carries.
//!
//! A decision only notices that an inner packet opens a TCP connection; such packets are few. What becomes of
//! its option is found here, while the packet has its outer headers: before they are taken off, or after they are put on.

use crate::{
    encap::inner_mtu,
    packet::Packet,
    tables::{Service, Tables, TenantId, TunnelId},
    wire::{ethernet, ipv4, ipv6, tcp},
};

/// Most bytes of options that a TCP header has.
const MAX_OPTIONS: usize = 40;
/// The kind of the MSS option, and its length in bytes.
const MSS: [u8; 2] = [2, 4];
/// The options of one byte: end of the list, no operation.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;

/// Where a SYN stands in a GRE packet, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn {
    /// Whose it is.
    pub tenant: TenantId,
    /// What the packet goes through.
    pub tunnel: TunnelId,
    /// Bytes before the inner packet.
    pub start: usize,
}

/// A new value for an MSS option. Both are as they stand in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the TCP header begins, in bytes from the start of the frame.
    pub tcp: usize,
    /// Where the value stands behind that.
    pub offset: usize,
    /// What it is.
    pub from: [u8; 2],
    /// What it becomes.
    pub to: [u8; 2],
}

impl Change {
    /// The values as the sum of the TCP checksum has them: two bytes that do not begin a word of it stand in two
    /// words, in the other half of each (RFC 1071 section 2 (B)).
    #[inline(always)]
    pub const fn summands(&self) -> [u16; 2] {
        let (from, to) = (u16::from_ne_bytes(self.from), u16::from_ne_bytes(self.to));
        if self.offset.is_multiple_of(2) {
            [from, to]
        } else {
            [from.swap_bytes(), to.swap_bytes()]
        }
    }
}

/// What to change of a SYN so that the answers fit the tenant's tunnel; `None`: nothing.
#[inline(always)]
pub fn clamp<P: Packet + ?Sized, T: Tables>(packet: &P, tables: &T, syn: &Syn) -> Option<Change> {
    let tenant = tables.tenant(syn.tenant)?;
    let tunnel = tables.tunnel(syn.tunnel)?;
    let is_ethernet = tenant.service == Service::L2;
    let ip = if is_ethernet { ethernet::payload(packet, syn.start).offset } else { syn.start };
    let ip = packet.settle(ip);
    let [start] = packet.read(ip)?;
    // The length field of IPv4 counts the header, too.
    let (header_len, fixed_len, length_at, counted_len) = if start >> 4 == 6 {
        (ipv6::HEADER_LEN, ipv6::HEADER_LEN, ipv6::PAYLOAD_LEN_OFFSET, 0)
    } else {
        let header_len = usize::from(start & 0xf) * 4;
        (header_len, ipv4::HEADER_LEN, ipv4::TOTAL_LEN_OFFSET, header_len)
    };
    let mtu = inner_mtu(tunnel, tenant, ip.checked_sub(syn.start)?)?;
    let max = mtu.checked_sub(fixed_len + tcp::HEADER_LEN)?;
    let tcp = packet.settle(ip + header_len);
    let len = usize::from(u16::from_be_bytes(packet.read(ip + length_at)?));
    let [words] = packet.read(tcp + tcp::DATA_OFFSET)?;
    // What is behind the packet is padding.
    if usize::from(words >> 4) * 4 > len.checked_sub(counted_len)? {
        return None;
    }
    lower(packet, tcp, u16::try_from(max).unwrap_or(u16::MAX))
}

/// Finds the MSS option of the TCP header at `tcp`; `None` where there is none, or it says no more than `max`.
#[inline(always)]
pub fn lower<P: Packet + ?Sized>(packet: &P, tcp: usize, max: u16) -> Option<Change> {
    let [words] = packet.read(tcp + tcp::DATA_OFFSET)?;
    let len = usize::from(words >> 4) * 4;
    let mut offset = tcp::HEADER_LEN;
    for _ in 0..MAX_OPTIONS {
        if offset + usize::from(MSS[1]) > len {
            return None;
        }
        offset = packet.settle(offset);
        let [kind, option_len, v0, v1] = packet.read(tcp + offset)?;
        match kind {
            END => return None,
            NO_OPERATION => offset += 1,
            _ if [kind, option_len] == MSS => {
                let lowered = u16::from_be_bytes([v0, v1]) > max;
                let change =
                    Change { tcp, offset: offset + 2, from: [v0, v1], to: max.to_be_bytes() };
                return lowered.then_some(change);
            }
            _ if option_len < 2 => return None,
            _ => offset += usize::from(option_len),
        }
    }
    None
}
