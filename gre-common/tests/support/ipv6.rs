//! The same frames over IPv6.

use std::net::Ipv6Addr;

use super::frame::{IPV4, IPV6, SERVICE_VLAN, VLAN};

/// The IPv6 address that stands for an IPv4 address.
pub fn address([a, b, c, d]: [u8; 4]) -> Ipv6Addr {
    Ipv6Addr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
}

/// `frame` with its outer IPv4 header replaced by one of IPv6 that says the same; a frame that is not IPv4 as it is.
pub fn over_ipv6(frame: &[u8]) -> Vec<u8> {
    let word =
        |at: usize| frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut ip = 14;
    while matches!(word(ip - 2), Some(VLAN | SERVICE_VLAN)) {
        ip += 4;
    }
    if word(ip - 2) != Some(IPV4) {
        return frame.to_vec();
    }
    let header = &frame[ip..ip + 20];
    let gre = ip + usize::from(header[0] & 15) * 4;
    let payload_len = word(ip + 2).unwrap() - (gre - ip) as u16;
    let start = (6 << 28 | u32::from(header[1]) << 20).to_be_bytes();
    let ends =
        [&header[12..16], &header[16..20]].map(|end| address(end.try_into().unwrap()).octets());
    let mut over = frame[..ip].to_vec();
    over[ip - 2..].copy_from_slice(&IPV6.to_be_bytes());
    over.extend(start);
    over.extend(payload_len.to_be_bytes());
    over.extend([header[9], header[8]]);
    over.extend(ends.concat());
    over.extend(&frame[gre..]);
    over
}

/// Puts extension headers before what follows the IPv6 header of an untagged frame: their bytes, the first one's type;
/// the last one must say what follows.
pub fn extended(frame: &[u8], first: u8, headers: &[u8]) -> Vec<u8> {
    let mut frame = [&frame[..54], headers, &frame[54..]].concat();
    let payload_len = u16::from_be_bytes([frame[18], frame[19]]) + headers.len() as u16;
    frame[18..20].copy_from_slice(&payload_len.to_be_bytes());
    frame[20] = first;
    frame
}
