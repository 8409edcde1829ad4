//! Transport checksums that a local sender has left to a device.

use crate::{
    packet::Packet,
    wire::{address::Version, be32::Be32, checksum, ipv4, ipv6, tcp},
};

/// Where the checksum stands in a UDP header.
const UDP_CHECKSUM: usize = 6;

/// A TCP or UDP packet in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    /// The version of the IP header before it.
    pub version: Version,
    /// Where that begins.
    pub ip_offset: usize,
    /// Protocol number.
    pub protocol: u8,
    /// Where the transport header begins.
    pub offset: usize,
    /// Bytes from there on.
    pub len: usize,
}

/// What the bytes of a transport packet will sum up to, as [`Packet::sum`] has it, when a device has filled in its checksum; `None`
/// where the checksum is there already, or the packet is a fragment or of another protocol.
///
/// The field holds the sum over the pseudo-header until then (`CHECKSUM_PARTIAL`, include/linux/skbuff.h). Afterwards the
/// packet with its pseudo-header is sound, so without it sums up to the complement of that: "local checksum offload" in the
/// kernel's words. For a checksum that is there and happens to look like that it is just as true.
#[inline(always)]
pub fn pending_sum<P: Packet + ?Sized>(packet: &P, transport: Transport) -> Option<u16> {
    let field = checksum_offset(transport.protocol)?;
    // What is behind the packet is none of it.
    if field + size_of::<u16>() > transport.len {
        return None;
    }
    let addresses = match transport.version {
        Version::V4 => {
            let header = ipv4::parse(packet.words(transport.ip_offset)?);
            if ipv4::is_fragment(&header) {
                return None;
            }
            checksum::add_words(0, &[header.src_addr, header.dst_addr].map(Be32::from))
        }
        Version::V6 => {
            let ends = packet.words::<8>(transport.ip_offset + ipv6::SOURCE_OFFSET)?;
            checksum::add_words(0, &ends)
        }
        _ => return None,
    };
    let rest = [(transport.len as u32).to_be_bytes(), [0, 0, 0, transport.protocol]];
    let pseudo_header = checksum::fold(checksum::add_words(addresses, &rest.map(Be32::from)));
    let stands = u16::from_ne_bytes(packet.read(transport.offset + field)?);
    (stands == pseudo_header).then_some(!stands)
}

/// Fills in, as the device would have, the checksum that [`pending_sum`] is about.
pub fn fill_in(frame: &mut [u8], transport: Transport) {
    let Transport { protocol, offset, len, .. } = transport;
    let (Some(pending), Some(sum), Some(field)) =
        (pending_sum(frame, transport), frame.sum(offset, len), checksum_offset(protocol))
    else {
        return;
    };
    // What looks like pending may be there: the packet is sound with its pseudo-header then, whose sum is in the field.
    if checksum::fold(u64::from(sum) + u64::from(!pending)) == checksum::SOUND {
        return;
    }
    // UDP has another zero for a checksum that is zero (RFC 768).
    let checksum = if sum == u16::MAX && protocol == ipv4::PROTO_UDP { u16::MAX } else { !sum };
    frame[offset + field..][..2].copy_from_slice(&checksum.to_ne_bytes());
}

/// Where the checksum stands in a transport header.
#[inline(always)]
const fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        ipv4::PROTO_TCP => Some(tcp::CHECKSUM_OFFSET),
        ipv4::PROTO_UDP => Some(UDP_CHECKSUM),
        _ => None,
    }
}
