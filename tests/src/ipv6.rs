//! Frames over IPv6, and headers in front of what they carry.

use crate::packet::{IPV4, IPV6};

/// Next-header value of destination options.
pub const DESTINATION_OPTIONS: u8 = 60;
/// Next-header value of fragments.
pub const FRAGMENT: u8 = 44;

/// Where the IP header begins.
pub fn ip_offset(frame: &[u8]) -> usize {
    let mut offset = 14;
    while matches!(frame.get(offset - 2..offset), Some([0x81, 0] | [0x88, 0xa8])) {
        offset += 4;
    }
    offset
}

/// The packet of an IPv4 frame over IPv6, each field with what it said, right or wrong. `None` where there is no
/// whole header.
pub fn over_ipv6(frame: &[u8]) -> Option<Vec<u8>> {
    let offset = ip_offset(frame);
    let (link, ip) = frame.split_at_checked(offset)?;
    let header: [u8; 20] = *ip.first_chunk()?;
    let header_len = usize::from(header[0] & 15).max(5) * 4;
    let (options, behind) = (ip.get(20..header_len)?, &ip[header_len..]);
    if link.last_chunk() != Some(&IPV4.to_be_bytes()) {
        return None;
    }
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut next = header[9];
    let mut extensions = Vec::new();
    let fragment = word(6) & 0x3fff;
    if fragment != 0 {
        let more = u16::from(fragment & 0x2000 != 0);
        let [o0, o1] = ((fragment << 3) | more).to_be_bytes();
        extensions = vec![next, 0, o0, o1, 0, 0, 0, 0];
        next = FRAGMENT;
    }
    if !options.is_empty() {
        let len = (options.len() + 2).next_multiple_of(8);
        let mut header = vec![0; len];
        // An option that fills up.
        header[..4].copy_from_slice(&[next, (len / 8 - 1) as u8, 1, (len - 4) as u8]);
        extensions.splice(0..0, header);
        next = DESTINATION_OPTIONS;
    }
    let payload_len = word(2).wrapping_sub(header_len as u16).wrapping_add(extensions.len() as u16);
    let version = (header[0] >> 4) ^ 4 ^ 6;
    let tos = header[1];
    let mut packet = link[..offset - 2].to_vec();
    packet.extend(IPV6.to_be_bytes());
    packet.extend([(version << 4) | (tos >> 4), tos << 4, 0, 0]);
    packet.extend(payload_len.to_be_bytes());
    packet.extend([next, header[8]]);
    packet.extend(address(*header[12..].first_chunk()?));
    packet.extend(address(*header[16..].first_chunk()?));
    packet.extend(extensions);
    packet.extend(behind);
    Some(packet)
}

/// 192.0.2.1 is `2001:db8::1`; a group is a group.
fn address([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    let subnet = if [a, b, c] == [192, 0, 2] { [0; 3] } else { [a, b, c] };
    let [first, second] = if a >= 224 { [0xff, 2] } else { [0x20, 1] };
    let third = if a >= 224 { [0, 0] } else { [0x0d, 0xb8] };
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&[first, second]);
    bytes[2..4].copy_from_slice(&third);
    bytes[12..15].copy_from_slice(&subnet);
    bytes[15] = d;
    bytes
}

/// A packet over IPv6 with an extension header in front of what it had; its first byte is filled in.
pub fn with_extension(mut frame: Vec<u8>, kind: u8, header: &[u8]) -> Vec<u8> {
    let ip = ip_offset(&frame);
    let mut header = header.to_vec();
    header[0] = frame[ip + 6];
    frame[ip + 6] = kind;
    let payload_len = u16::from_be_bytes([frame[ip + 4], frame[ip + 5]]) + header.len() as u16;
    frame[ip + 4..ip + 6].copy_from_slice(&payload_len.to_be_bytes());
    frame.splice(ip + 40..ip + 40, header);
    frame
}

/// The same with so many headers of destination options that say nothing.
pub fn with_destination_options(frame: Vec<u8>, headers: usize) -> Vec<u8> {
    let filled = |frame, _| with_extension(frame, DESTINATION_OPTIONS, &[0, 0, 1, 4, 0, 0, 0, 0]);
    (0..headers).fold(frame, filled)
}
