//! Reads frames the plain way: in order, without regard to speed.

use std::{net::IpAddr, ops::Range};

use super::{
    checksum,
    frame::{GRE, IPV4, IPV6, SERVICE_VLAN, TCP, VLAN},
};

pub const CHECKSUM: u16 = 0x8000;
pub const KEY: u16 = 0x2000;
pub const SEQUENCE: u16 = 0x1000;

/// A GRE frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'f> {
    /// The outer IP header with its options or extension headers.
    pub ip: &'f [u8],
    /// From the GRE header to the end of the IP packet.
    pub bytes: &'f [u8],
    /// What GRE carries.
    pub inner: &'f [u8],
    /// Bytes behind the IP packet.
    pub padding: usize,
    /// Bytes 0 and 1 of the GRE header.
    pub flags: u16,
    /// The payload type.
    pub protocol: u16,
    /// The key, where there is one.
    pub key: Option<u32>,
}

impl<'f> Gre<'f> {
    /// `None` where it is not GRE, or the frame, or the IP packet by its own length, ends before its headers do.
    pub fn read(frame: &'f [u8]) -> Option<Self> {
        let place = ip_packet(frame)?;
        let (packet, padding) = (frame.get(place.clone())?, frame.len() - place.end);
        let (ip, bytes) = packet.split_at_checked(gre_offset(packet)?)?;
        let (mut rest, flags, protocol) = (bytes.get(4..)?, word(bytes, 0)?, word(bytes, 2)?);
        let mut field = |flag| {
            if flags & flag == 0 {
                return Some(None);
            }
            let (field, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(Some(u32::from_be_bytes(*field)))
        };
        let (_, key, _) = (field(CHECKSUM)?, field(KEY)?, field(SEQUENCE)?);
        Some(Self { ip, bytes, inner: rest, padding, flags, protocol, key })
    }

    /// Whether the underlay is IPv4.
    pub fn is_v4(&self) -> bool {
        self.ip[0] >> 4 == 4
    }

    /// The outer source address.
    pub fn source(&self) -> IpAddr {
        if self.is_v4() { address(&self.ip[12..16]) } else { address(&self.ip[8..24]) }
    }

    /// The outer destination address.
    pub fn destination(&self) -> IpAddr {
        if self.is_v4() { address(&self.ip[16..20]) } else { address(&self.ip[24..40]) }
    }

    /// TOS or traffic class.
    pub fn tos(&self) -> u8 {
        if self.is_v4() { self.ip[1] } else { self.ip[0] << 4 | self.ip[1] >> 4 }
    }
}

/// An address as it stands in a packet.
pub fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => bytes.into(),
        Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
    }
}

/// Where in an IP packet GRE begins, behind options or headers of options.
fn gre_offset(packet: &[u8]) -> Option<usize> {
    const HOP_BY_HOP: u8 = 0;
    const DESTINATION_OPTIONS: u8 = 60;
    if packet[0] >> 4 == 4 {
        let len = header_len(packet);
        return (packet[9] == GRE && len >= 20).then_some(len);
    }
    let (mut next, mut at) = (packet[6], 40);
    while matches!(next, HOP_BY_HOP | DESTINATION_OPTIONS) {
        next = *packet.get(at)?;
        at += 8 + usize::from(*packet.get(at + 1)?) * 8;
    }
    (next == GRE).then_some(at)
}

/// Where the network header of a frame begins, behind up to two VLAN tags, and its type.
pub fn network(frame: &[u8]) -> Option<(usize, u16)> {
    let mut at = 14;
    for _ in 0..2 {
        if matches!(word(frame, at - 2)?, VLAN | SERVICE_VLAN) {
            at += 4;
        }
    }
    Some((at, word(frame, at - 2)?))
}

/// The IP packet in a frame, by its own length.
pub fn ip_packet(frame: &[u8]) -> Option<Range<usize>> {
    let (start, ether_type) = network(frame)?;
    let packet = &frame[start..];
    let (shortest, len) = match (ether_type, packet.first()? >> 4) {
        (IPV4, 4) => (20, usize::from(word(packet, 2)?)),
        (IPV6, 6) => (40, 40 + usize::from(word(packet, 4)?)),
        _ => return None,
    };
    (len >= shortest && packet.len() >= shortest).then_some(start..start + len)
}

/// Where in a frame its headers end, up to that of TCP.
pub fn end_of_tcp_header(frame: &[u8]) -> Option<usize> {
    let start = ip_packet(frame)?.start;
    let packet = &frame[start..];
    let (protocol, tcp) =
        if packet[0] >> 4 == 4 { (packet[9], header_len(packet)) } else { (packet[6], 40) };
    let data_offset = packet.get(tcp + 12)?;
    (protocol == TCP && tcp >= 20).then_some(start + tcp + usize::from(data_offset >> 4) * 4)
}

/// The frame with the checksums put right that a chance change has broken: the outer IPv4 header's and GRE's.
pub fn repaired(frame: &[u8]) -> Option<Vec<u8>> {
    let mut whole = frame.to_vec();
    let packet = whole.get_mut(ip_packet(frame)?)?;
    let (ip, gre) = packet.split_at_mut_checked(gre_offset(packet)?)?;
    if ip[0] >> 4 == 4 {
        fill(ip, 10);
    }
    if word(gre, 0)? & CHECKSUM != 0 {
        fill(gre, 4);
    }
    Some(whole)
}

/// The same for the checksum of its first IPv4 header alone, which may carry anything.
pub fn with_sound_header(frame: &[u8]) -> Option<Vec<u8>> {
    let mut whole = frame.to_vec();
    let packet = whole.get_mut(ip_packet(frame)?.start..)?;
    let header_len = header_len(packet);
    let header = packet.get_mut(..header_len)?;
    (header.first()? >> 4 == 4).then(|| fill(header, 10))?;
    Some(whole)
}

fn fill(bytes: &mut [u8], at: usize) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.fill(0);
        let sum = checksum::internet(bytes);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Length of an IPv4 header by its own word.
pub fn header_len(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

pub fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
