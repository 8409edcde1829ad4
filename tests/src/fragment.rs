//! Fragments of packets, and packets behind IPv6 extension headers.

use std::net::Ipv6Addr;

use crate::packet::{IPV4, IPV6, internet_checksum};

const IPV6_FRAGMENT: u8 = 44;
const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// A fragment of a frame without VLAN tag: `len` bytes at `offset` of what follows its IP header, which has no
/// options.
pub fn piece(frame: &[u8], offset: usize, len: usize, more: bool, id: u16) -> Vec<u8> {
    let is_v4 = frame[12..ETHERNET_LEN] == IPV4.to_be_bytes();
    let header_len = if is_v4 { IPV4_LEN } else { IPV6_LEN };
    let (headers, payload) = frame.split_at(ETHERNET_LEN + header_len);
    let (link, ip) = headers.split_at(ETHERNET_LEN);
    let (mut ip, part) = (ip.to_vec(), &payload[offset..offset + len]);
    if is_v4 {
        let fields = [
            (2, (IPV4_LEN + len) as u16),
            (4, id),
            (6, u16::from(more) << 13 | (offset / 8) as u16),
            (10, 0),
        ];
        for (at, value) in fields {
            ip[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        let sum = internet_checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        let next = std::mem::replace(&mut ip[6], IPV6_FRAGMENT);
        ip[4..6].copy_from_slice(&((8 + len) as u16).to_be_bytes());
        ip.extend([next, 0]);
        ip.extend((offset as u16 | u16::from(more)).to_be_bytes());
        ip.extend(u32::from(id).to_be_bytes());
    }
    [link, &ip, part].concat()
}

/// All fragments of a frame, of `size` bytes each, a multiple of eight.
pub fn cut(frame: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let is_v4 = frame[12..ETHERNET_LEN] == IPV4.to_be_bytes();
    let len = frame.len() - ETHERNET_LEN - if is_v4 { IPV4_LEN } else { IPV6_LEN };
    let offsets = (0..len).step_by(size);
    offsets
        .map(|offset| {
            let part = size.min(len - offset);
            piece(frame, offset, part, offset + part < len, id)
        })
        .collect()
}

/// A frame over IPv4, without VLAN tag and options, as one over IPv6.
pub fn over_ipv6(frame: &[u8], source: &str, destination: &str) -> Vec<u8> {
    let (headers, payload) = frame.split_at(ETHERNET_LEN + IPV4_LEN);
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an IPv6 address").octets();
    let traffic_class = headers[ETHERNET_LEN + 1];
    let mut over = [&headers[..12], &IPV6.to_be_bytes()].concat();
    over.extend((6 << 28 | u32::from(traffic_class) << 20).to_be_bytes());
    over.extend((payload.len() as u16).to_be_bytes());
    over.extend([headers[ETHERNET_LEN + 9], headers[ETHERNET_LEN + 8]]);
    over.extend([address(source), address(destination)].concat());
    [&over, payload].concat()
}

/// A frame over IPv6 with so many headers of destination options in front of what it carries.
pub fn with_destination_options(frame: &[u8], headers: usize) -> Vec<u8> {
    const DESTINATION_OPTIONS: u8 = 60;
    let mut frame = frame.to_vec();
    for _ in 0..headers {
        let next = std::mem::replace(&mut frame[ETHERNET_LEN + 6], DESTINATION_OPTIONS);
        let behind = frame.split_off(ETHERNET_LEN + IPV6_LEN);
        frame.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend(behind);
    }
    let payload_len = (frame.len() - ETHERNET_LEN - IPV6_LEN) as u16;
    frame[ETHERNET_LEN + 4..][..2].copy_from_slice(&payload_len.to_be_bytes());
    frame
}
