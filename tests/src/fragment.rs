//! Fragments of packets.

use crate::{
    ipv6::FRAGMENT,
    packet::{IPV4, internet_checksum},
};

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
        let next = std::mem::replace(&mut ip[6], FRAGMENT);
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
