//! Tenants' packets in words.

use std::net::IpAddr;

use gre_common::{
    packet::Packet as _,
    wire::{
        address::Address,
        ethernet::{self, EtherType, MacAddr},
        gre::GreKey,
        ipv4, ipv6,
    },
};

use super::{frame::Frame, outer::Gre};
use crate::value::Mac;

/// What a GRE packet carries.
pub fn of_gre(frame: &Frame, gre: &Gre) -> String {
    let bytes = gre.end - gre.inner;
    let words = match gre.protocol {
        EtherType::ETHERNET => frame_in_words(frame, gre.inner),
        EtherType::IPV4 | EtherType::IPV6 => ip_in_words(frame, gre.inner),
        EtherType(other) => format!("type {other:#06x}"),
    };
    format!("{words}, {bytes} bytes")
}

/// "02:00:00:00:00:02 -> 02:00:00:00:00:01, VLAN 5, IPv4 10.0.0.2 -> 10.0.0.1"
pub fn frame_in_words(frame: &Frame, offset: usize) -> String {
    let mac = |at| frame.read(at).map(|mac: MacAddr| Mac(mac));
    let (Some(dst), Some(src)) = (mac(offset), mac(offset + size_of::<MacAddr>())) else {
        return "a cut Ethernet header".to_owned();
    };
    let payload = ethernet::payload(frame, offset);
    let words = match payload.ether_type {
        EtherType::IPV4 | EtherType::IPV6 => ip_in_words(frame, payload.offset),
        EtherType(other) => format!("type {other:#06x}"),
    };
    let vlans = vlans_in_words(frame, offset).map(|words| format!("{words}, ")).unwrap_or_default();
    format!("{src} -> {dst}, {vlans}{words}")
}

/// "VLAN 5 6"; `None` where there is no tag. One that was taken out of the frame belongs to the first.
pub fn vlans_in_words(frame: &Frame, offset: usize) -> Option<String> {
    let behind = ethernet::payload(frame, offset).offset;
    let tags = (offset + ethernet::HEADER_LEN..behind).step_by(ethernet::VLAN_TAG_LEN);
    let inside = tags.filter_map(|at| frame.read(at).map(u16::from_be_bytes));
    let beside = frame.stripped_vlan().filter(|_| offset == 0).map(|tag| {
        let [_, _, high, low] = tag.bytes();
        u16::from_be_bytes([high, low])
    });
    let ids: Vec<_> = beside.into_iter().chain(inside).map(|tag| tag & 0xfff).collect();
    let ids: Vec<_> = ids.iter().map(u16::to_string).collect();
    (!ids.is_empty()).then(|| format!("VLAN {}", ids.join(" ")))
}

/// "IPv4 10.0.0.2 -> 10.0.0.1", with the protocol where it is not GRE.
pub fn ip_in_words(frame: &Frame, offset: usize) -> String {
    match frame.read(offset) {
        Some([first]) if first >> 4 == 4 => ipv4_in_words(frame, offset),
        Some([first]) if first >> 4 == 6 => ipv6_in_words(frame, offset),
        Some([first]) => format!("IP version {}", first >> 4),
        None => "nothing".to_owned(),
    }
}

fn ipv4_in_words(frame: &Frame, offset: usize) -> String {
    let Some(words) = frame.words(offset) else { return "a cut IPv4 header".to_owned() };
    let header = ipv4::parse(words);
    let [src, dst] =
        [header.src_addr, header.dst_addr].map(|end| IpAddr::from(Address::v4(end.into())));
    let protocol = protocol_in_words(header.proto);
    let fragment = if ipv4::is_fragment(&header) { ", a fragment" } else { "" };
    format!("IPv4 {src} -> {dst}{protocol}{fragment}")
}

fn ipv6_in_words(frame: &Frame, offset: usize) -> String {
    let end = |at| frame.words(offset + at).map(|words| IpAddr::from(Address::v6(words)));
    let ends = (end(ipv6::SOURCE_OFFSET), end(ipv6::DESTINATION_OFFSET));
    let (Some(src), Some(dst), Some(start)) = (ends.0, ends.1, frame.read(offset)) else {
        return "a cut IPv6 header".to_owned();
    };
    format!("IPv6 {src} -> {dst}{}", protocol_in_words(ipv6::Start(start).next_header()))
}

fn protocol_in_words(number: u8) -> String {
    match number {
        ipv4::PROTO_GRE => String::new(),
        ipv4::PROTO_TCP => ", TCP".to_owned(),
        ipv4::PROTO_UDP => ", UDP".to_owned(),
        1 | 58 => ", ICMP".to_owned(),
        other => format!(", protocol {other}"),
    }
}

/// "key 10", "without key"
pub fn key_in_words(key: Option<GreKey>) -> String {
    key.map_or_else(|| "without key".to_owned(), |GreKey(key)| format!("key {key}"))
}
