//! Transport checksums that a local sender has left to a device.

use crate::{
    packet::Packet,
    wire::{address::Version, be32::Be32, checksum, ipv4, ipv6},
};

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
    const TCP_CHECKSUM: usize = 16;
    const UDP_CHECKSUM: usize = 6;
    let field = match transport.protocol {
        ipv4::PROTO_TCP => TCP_CHECKSUM,
        ipv4::PROTO_UDP => UDP_CHECKSUM,
        _ => return None,
    };
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
        Version::NotIp => return None,
    };
    let rest = [(transport.len as u32).to_be_bytes(), [0, 0, 0, transport.protocol]];
    let pseudo_header = checksum::fold(checksum::add_words(addresses, &rest.map(Be32::from)));
    let stands = u16::from_ne_bytes(packet.read(transport.offset + field)?);
    (stands == pseudo_header).then_some(!stands)
}
