//! Which flow an inner packet belongs to.

use core::ops::Range;

use crate::{
    packet::Packet,
    wire::{address::Version, ipv4, ipv6},
};

const PORTS_LEN: usize = size_of::<u32>();

/// A number that the packets of an inner flow have in common, and those of different flows seldom.
///
/// A flow is addresses, protocol, and the ports of TCP and UDP where the packet is no fragment; the MAC addresses
/// where it is not IP, which is then a frame that begins at `inner.start`. `ip` is where the IP header begins. The
/// two directions are two flows.
#[inline(always)]
pub fn hash<P: Packet + ?Sized>(
    packet: &P,
    version: Version,
    ip: usize,
    inner: Range<usize>,
) -> u32 {
    let hash = match version {
        Version::V4 => v4(packet, ip, inner.end),
        Version::V6 => v6(packet, ip, inner.end),
        _ => mix(0, words(packet.read(inner.start))),
    };
    // The upper bits of a product depend on every bit of its factors.
    (hash >> 32) as u32
}

#[inline(always)]
fn v4<P: Packet + ?Sized>(packet: &P, offset: usize, end: usize) -> u64 {
    let words = packet.words(offset).unwrap_or_default();
    let header = ipv4::parse(words);
    let [.., src, dst] = words;
    let ports = if ipv4::is_fragment(&header) {
        0
    } else {
        ports(packet, offset + ipv4::header_len(&header), end, header.proto)
    };
    mix(mix(ports, header.proto.into()), u64::from(src.as_read()) | u64::from(dst.as_read()) << 32)
}

#[inline(always)]
fn v6<P: Packet + ?Sized>(packet: &P, offset: usize, end: usize) -> u64 {
    let protocol = ipv6::Start(packet.read(offset).unwrap_or_default()).next_header();
    let mut hash = mix(ports(packet, offset + ipv6::HEADER_LEN, end, protocol), protocol.into());
    for word in 0..4 {
        hash =
            mix(hash, words(packet.read(offset + ipv6::SOURCE_OFFSET + word * size_of::<u64>())));
    }
    hash
}

/// Ports are part of the flow only where they are part of the packet, which ends at `end`: padding is not the sender's.
#[inline(always)]
fn ports<P: Packet + ?Sized>(packet: &P, offset: usize, end: usize, protocol: u8) -> u64 {
    match protocol {
        ipv4::PROTO_TCP | ipv4::PROTO_UDP if offset + PORTS_LEN <= end => {
            u32::from_ne_bytes(packet.read(offset).unwrap_or_default()).into()
        }
        _ => 0,
    }
}

#[inline(always)]
fn words(bytes: Option<[u8; 8]>) -> u64 {
    u64::from_ne_bytes(bytes.unwrap_or([0; 8]))
}

/// Multiplication by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(32) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
