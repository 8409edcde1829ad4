//! Frames chosen by people: every field that a receiver looks at, right and wrong.

use std::mem::take;

use testbed::{
    ipv6::{DESTINATION_OPTIONS, FRAGMENT, with_extension},
    packet::{ETHERNET, Gre, IPV4, IPV6, Udp, arp},
};

use crate::{
    mutation::{Random, seal_ip},
    underlay::Underlay,
};

const LOCAL: &str = Underlay::V4.local();
const REMOTE: &str = Underlay::V4.remote();

/// Frames that belong together, and what they are.
pub struct Probe {
    pub what: String,
    pub frames: Vec<Vec<u8>>,
}

impl Probe {
    pub fn new(what: impl Into<String>, frame: impl Into<Vec<u8>>) -> Self {
        Self { what: what.into(), frames: vec![frame.into()] }
    }
}

/// An offset in frames without VLAN tag.
const IP: usize = 14;

fn inner4() -> Udp {
    Udp::new("10.9.0.2", "10.9.0.1", b"payload")
}

fn inner6() -> Udp {
    Udp::new("fd09::2", "fd09::1", b"payload")
}

fn inner2(udp: &Udp) -> Vec<u8> {
    udp.ethernet([2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2])
}

fn tagged(mut frame: Vec<u8>, vid: u8) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0, 0, vid]);
    frame
}

/// To the tenant without key.
pub fn plain() -> Gre {
    Gre::new(REMOTE, LOCAL, IPV4, inner4().ip())
}

/// To the tenant with key 10.
pub fn blue() -> Gre {
    plain().key(10)
}

fn green() -> Gre {
    plain().key(20).carrying(ETHERNET, inner2(&inner4()))
}

fn summed() -> Gre {
    plain().key(30).checksum()
}

/// Valid packets of every tenant, of every kind they carry.
pub fn samples() -> Vec<(&'static str, Gre)> {
    let six = inner6().ip();
    vec![
        ("IPv4 with key", blue()),
        ("IPv6 with key", blue().carrying(IPV6, six.clone())),
        ("IPv4 without key", plain()),
        ("IPv6 without key", plain().carrying(IPV6, six.clone())),
        ("IPv4 with key 0", plain().key(0)),
        ("IPv4 with checksum", summed()),
        ("IPv6 with checksum", summed().carrying(IPV6, six)),
        ("Ethernet with IPv4", green()),
        ("Ethernet with IPv6", green().payload(inner2(&inner6()))),
        ("Ethernet with ARP", green().payload(arp([2; 6]))),
        ("Ethernet with VLAN tag", green().payload(tagged(inner2(&inner4()), 5))),
        ("IPv4 with sequence number", blue().sequence(7)),
        ("Ethernet with sequence number", green().sequence(7)),
        ("an odd number of bytes", summed().payload(Udp::new("10.9.0.2", "10.9.0.1", b"odd").ip())),
        ("a long packet", blue().payload(Udp::new("10.9.0.2", "10.9.0.1", &[0x5a; 1200]).ip())),
    ]
}

/// All of them.
pub fn probes(underlay: Underlay) -> Vec<Probe> {
    let tables =
        [valid, flags, fields, types, lengths, outer, fragments, link, congestion, malformed];
    let mut probes: Vec<_> = tables.into_iter().flat_map(|table| table()).collect();
    for frame in probes.iter_mut().flat_map(|probe| &mut probe.frames) {
        *frame = underlay.carry(take(frame));
    }
    if underlay == Underlay::V6 {
        probes.extend(over_ipv6());
    }
    probes
}

fn valid() -> Vec<Probe> {
    samples().into_iter().map(|(what, packet)| Probe::new(what, packet)).collect()
}

/// Every bit of the first 16, by itself and with reserved ones.
fn flags() -> Vec<Probe> {
    let mut probes = Vec::new();
    for packet in [plain(), blue(), green(), summed()] {
        for bit in 0..16 {
            let mut frame = packet.build();
            frame[packet.offset() + 1 - bit / 8] ^= 1 << (bit % 8);
            probes.push(Probe::new(format!("GRE bit {} inverted", 15 - bit), frame));
        }
        for version in 0..8 {
            probes.push(Probe::new(format!("version {version}"), packet.clone().flags(version)));
        }
        for bits in [0x03f8, 0x0380, 0x0c00, 0x0ff8, 0x4c00] {
            probes.push(Probe::new(format!("bits {bits:#x}"), packet.clone().flags(bits)));
        }
    }
    probes
}

/// Checksum, key and sequence number in every combination.
fn fields() -> Vec<Probe> {
    let mut probes = Vec::new();
    for key in [None, Some(0), Some(10), Some(20), Some(30), Some(99), Some(u32::MAX)] {
        for checksum in [false, true] {
            for sequence in [None, Some(0), Some(7), Some(u32::MAX)] {
                for packet in [plain(), plain().carrying(ETHERNET, inner2(&inner4()))] {
                    let packet = key.into_iter().fold(packet, Gre::key);
                    let packet = sequence.into_iter().fold(packet, Gre::sequence);
                    let packet = if checksum { packet.checksum() } else { packet };
                    let what = format!("key {key:?}, checksum {checksum}, sequence {sequence:?}");
                    probes.push(Probe::new(what, packet));
                }
            }
        }
    }
    for packet in [plain().checksum(), blue().checksum(), green().checksum(), summed()] {
        let offset = packet.offset();
        for (what, at, value) in [
            ("checksum wrong", offset + 4, 0x55),
            ("reserved1 set, checksum wrong", offset + 6, 1),
            ("payload changed", offset + 30, 1),
        ] {
            let mut frame = packet.build();
            frame[at] ^= value;
            probes.push(Probe::new(what, frame));
        }
        let padded = packet.clone().pad_to(200);
        probes.push(Probe::new("checksum, and padding behind", padded.clone()));
        let mut frame = padded.build();
        frame[199] = 1;
        probes.push(Probe::new("checksum, and padding that is not zero", frame));
        let mut frame = packet.build();
        frame[offset + 4..offset + 6].fill(0);
        probes.push(Probe::new("checksum zero", frame));
    }
    probes
}

fn types() -> Vec<Probe> {
    let mut probes = Vec::new();
    for payload_type in [
        0, 1, 0x00fe, 0x05ff, 0x0600, IPV4, 0x0806, 0x1234, 0x2001, 0x22eb, 0x6558, 0x6559, 0x8100,
        IPV6, 0x880b, 0x8847, 0x8848, 0x883e, 0x88be, 0xffff,
    ] {
        for packet in [plain(), blue(), green()] {
            let what = format!("payload type {payload_type:#06x}");
            probes.push(Probe::new(what, packet.carrying(payload_type, inner4().ip())));
        }
    }
    probes
}

/// Frames that end at every byte, and lengths that say every number.
fn lengths() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (name, packet) in [
        ("plain", plain()),
        ("blue", blue()),
        ("green", green()),
        ("summed", summed()),
        ("IPv6", blue().carrying(IPV6, inner6().ip())),
        ("with options", blue().options(2)),
    ] {
        let whole = packet.build();
        for len in IP..whole.len() {
            let cut = whole[..len].to_vec();
            probes.push(Probe::new(format!("{name}, cut at {len}"), cut));
        }
        for len in 0..=whole.len() - IP + 2 {
            let frame = packet.clone().total_len(len as u16);
            probes.push(Probe::new(format!("{name}, length {len}"), frame));
        }
        for len in [100, 1000, u16::MAX] {
            let frame = packet.clone().total_len(len).pad_to(120);
            probes.push(Probe::new(format!("{name}, length {len}, padding behind"), frame));
        }
        for len in [60, 64, 200] {
            let frame = packet.clone().pad_to(len);
            probes.push(Probe::new(format!("{name}, padded to {len}"), frame));
        }
    }
    // Inner packets of every length.
    for len in 0..inner4().ip().len() {
        let frame = blue().payload(inner4().ip()[..len].to_vec());
        probes.push(Probe::new(format!("inner IPv4 of {len} bytes"), frame));
    }
    for len in 0..inner2(&inner4()).len() {
        let frame = green().payload(inner2(&inner4())[..len].to_vec());
        probes.push(Probe::new(format!("inner frame of {len} bytes"), frame));
    }
    for len in 14..24 {
        let frame = green().payload(tagged(inner2(&inner4()), 5)[..len].to_vec());
        probes.push(Probe::new(format!("inner frame with VLAN tag of {len} bytes"), frame));
    }
    for len in 0..inner2(&inner6()).len() {
        let frame = green().payload(inner2(&inner6())[..len].to_vec());
        probes.push(Probe::new(format!("inner frame with IPv6 of {len} bytes"), frame));
    }
    probes
}

/// A packet with these options, filled up with end-of-list.
fn with_options(packet: &Gre, options: &[u8]) -> Vec<u8> {
    let words = options.len().div_ceil(4);
    let mut frame = packet.clone().options(words).build();
    frame[IP + 20..][..words * 4].fill(0);
    frame[IP + 20..][..options.len()].copy_from_slice(options);
    seal_ip(&mut frame, IP);
    frame
}

fn outer() -> Vec<Probe> {
    let mut probes = vec![
        Probe::new("wrong IP checksum", blue().bad_ip_checksum()),
        Probe::new("from another remote", blue().from("192.0.2.9")),
        Probe::new("no key from another remote", plain().from("192.0.2.9")),
        Probe::new("to another host", blue().to("192.0.2.7")),
        Probe::new("to a multicast group", blue().to("224.0.0.5")),
        Probe::new("to everyone", blue().to("255.255.255.255")),
        Probe::new("to everyone on the wire", blue().to("192.0.2.255")),
        Probe::new("another protocol", blue().ip_protocol(17)),
        Probe::new("fragment bits: reserved", blue().fragment(0x8000)),
        Probe::new("fragment bits: don't fragment", blue().fragment(0x4000)),
    ];
    for ttl in [0, 1, 255] {
        probes.push(Probe::new(format!("TTL {ttl}"), blue().ttl(ttl)));
    }
    for dscp in [0x20, 0xb8, 0xfc] {
        probes.push(Probe::new(format!("TOS {dscp:#x}"), blue().tos(dscp)));
    }
    for first in (0..16).chain([0x25, 0x55, 0x65, 0xf5]) {
        let first = if first < 16 { 0x40 | first } else { first };
        let mut frame = blue().build();
        frame[IP] = first;
        seal_ip(&mut frame, IP);
        probes.push(Probe::new(format!("IP version and header length {first:#x}"), frame));
    }
    for words in 1..=10 {
        probes.push(Probe::new(format!("{words} words of options"), green().options(words)));
    }
    let options: [(_, &[u8]); 9] = [
        ("router alert", &[148, 4, 0, 0]),
        ("record route", &[7, 7, 4, 0, 0, 0, 0]),
        ("timestamp", &[68, 8, 5, 0, 0, 0, 0, 0]),
        ("loose source route", &[131, 7, 8, 192, 0, 2, 2]),
        ("strict source route", &[137, 7, 4, 192, 0, 2, 7]),
        ("an unknown option", &[222, 4, 1, 2]),
        ("an option longer than the header", &[7, 40, 4, 0]),
        ("an option of length 0", &[7, 0, 0, 0]),
        ("an option of length 1", &[222, 1, 1, 1]),
    ];
    for (what, option) in options {
        probes.push(Probe::new(what, with_options(&green(), option)));
    }
    probes
}

/// What there is over IPv6 only: extension headers above all.
fn over_ipv6() -> Vec<Probe> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    let packet = || Underlay::V6.carry(blue().build());
    let mut probes = Vec::new();
    let headers: [(_, &[u8]); 13] = [
        ("an encapsulation limit", &[0, 0, 4, 1, 4, 1, 1, 0]),
        ("filling", &[0, 0, 1, 4, 0, 0, 0, 0]),
        ("single filling", &[0, 0, 0, 0, 0, 0, 0, 0]),
        ("16 bytes of filling", &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("router alert", &[0, 0, 5, 2, 0, 0, 1, 0]),
        ("an unknown option to be skipped", &[0, 0, 0x1e, 4, 0, 0, 0, 0]),
        ("an unknown option to be dropped for", &[0, 0, 0x5e, 4, 0, 0, 0, 0]),
        ("an unknown option to be told of", &[0, 0, 0x9e, 4, 0, 0, 0, 0]),
        ("an unknown option to be told of, but not to groups", &[0, 0, 0xde, 4, 0, 0, 0, 0]),
        ("an option longer than its header", &[0, 0, 0x1e, 40, 0, 0, 0, 0]),
        ("filling that is not zero", &[0, 0, 1, 4, 1, 2, 3, 4]),
        ("a header longer than the packet", &[0, 200, 1, 4, 0, 0, 0, 0]),
        (
            "a home address",
            &[0, 2, 0, 0, 201, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ];
    for (what, header) in headers {
        for kind in [HOP_BY_HOP, DESTINATION_OPTIONS] {
            let frame = with_extension(packet(), kind, header);
            probes.push(Probe::new(format!("extension {kind}: {what}"), frame));
        }
    }
    let twice = |outer, inner| {
        let frame = with_extension(packet(), inner, headers[0].1);
        with_extension(frame, outer, headers[1].1)
    };
    for (outer, inner) in [
        (HOP_BY_HOP, DESTINATION_OPTIONS),
        (DESTINATION_OPTIONS, DESTINATION_OPTIONS),
        (DESTINATION_OPTIONS, HOP_BY_HOP),
    ] {
        let what = format!("extensions {outer} and {inner}");
        probes.push(Probe::new(what, twice(outer, inner)));
    }
    for (what, routing) in
        [("arrived", [0, 0, 4, 0, 0, 0, 0, 0]), ("under way", [0, 0, 4, 1, 0, 0, 0, 0])]
    {
        let frame = with_extension(packet(), ROUTING, &routing);
        probes.push(Probe::new(format!("routing, {what}"), frame));
    }
    let back = Udp::new("fd09::2", Underlay::V6.remote(), b"").ip();
    let back = Underlay::V6.carry(blue().carrying(IPV6, back).build());
    probes.push(Probe::new("IPv6 to the outer source", back));
    let inside = packet()[IP..].to_vec();
    let nested = Underlay::V6.carry(blue().carrying(IPV6, inside).build());
    probes.push(Probe::new("GRE over IPv6 in GRE", nested));
    let atomic = with_extension(packet(), FRAGMENT, &[0; 8]);
    probes.push(Probe::new("a fragment that is the whole packet", atomic));
    probes
}

/// Parts of one packet, cut behind so many bytes of IP payload.
fn parts(packet: &Gre, cuts: &[usize]) -> Vec<Vec<u8>> {
    let whole = packet.build();
    let (header, payload) = whole.split_at(IP + 20);
    let mut starts = vec![0];
    starts.extend(cuts);
    let ends = cuts.iter().copied().chain([payload.len()]);
    let part = |(start, end): (usize, usize)| {
        let mut frame = [header, &payload[start..end]].concat();
        let more = if end == payload.len() { 0 } else { 0x2000 };
        let fragment = more | (start / 8) as u16;
        frame[IP + 6..IP + 8].copy_from_slice(&fragment.to_be_bytes());
        frame[IP + 2..IP + 4].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
        seal_ip(&mut frame, IP);
        frame
    };
    starts.into_iter().zip(ends).map(part).collect()
}

fn fragments() -> Vec<Probe> {
    let whole = |what: &str, frames| Probe { what: format!("fragments, {what}"), frames };
    let reversed = |mut frames: Vec<_>| {
        frames.reverse();
        frames
    };
    vec![
        Probe::new("a first fragment alone", blue().fragment(0x2000)),
        Probe::new("a later fragment alone", blue().fragment(0x0010)),
        whole("two", parts(&blue(), &[24])),
        whole("three of Ethernet", parts(&green(), &[16, 32])),
        whole("the GRE header in two", parts(&blue(), &[8])),
        whole("the last one first", reversed(parts(&blue(), &[24]))),
        whole("the last one missing", parts(&blue(), &[8, 24])[..2].to_vec()),
        whole("unknown key", parts(&blue().key(99), &[24])),
    ]
}

/// What is said below IP.
fn link() -> Vec<Probe> {
    let vlan = |vids: &[u16]| vids.iter().fold(blue(), |packet, &vid| packet.vlan(0x8100, vid));
    let mut probes = vec![
        Probe::new("to another station", blue().to_mac([2, 0, 0, 0, 0, 2])),
        Probe::new("Ethernet to another station", green().to_mac([2, 0, 0, 0, 0, 2])),
        Probe::new("to all stations", blue().to_mac([0xff; 6])),
        Probe::new("to a group of stations", blue().to_mac([1, 0, 0x5e, 0, 0, 1])),
        Probe::new("ARP", arp([2; 6])),
        Probe::new("service VLAN tag", blue().vlan(0x88a8, 5)),
        Probe::new("service VLAN and VLAN tag", green().vlan(0x88a8, 5).vlan(0x8100, 6)),
    ];
    for vids in [&[0][..], &[5], &[0, 5], &[5, 0], &[5, 6], &[5, 6, 7]] {
        probes.push(Probe::new(format!("VLAN tags {vids:?}"), vlan(vids)));
    }
    probes
}

/// RFC 6040 figure 4, for each kind of payload.
fn congestion() -> Vec<Probe> {
    let mut probes = Vec::new();
    for outer in 0..4 {
        for inner in 0..4 {
            let (four, six) = (inner4().tos(0xb8 | inner), inner6().tos(0xb8 | inner));
            for (kind, packet) in [
                ("IPv4", blue().payload(four.ip())),
                ("IPv6", blue().carrying(IPV6, six.ip())),
                ("Ethernet, IPv4", green().payload(inner2(&four))),
                ("Ethernet, IPv6", green().payload(inner2(&six))),
                ("Ethernet, VLAN", green().payload(tagged(inner2(&four), 5))),
                ("Ethernet, VLAN 6", green().payload(tagged(inner2(&six), 6))),
            ] {
                let what = format!("{kind}, ECN {outer} outside, {inner} inside");
                probes.push(Probe::new(what, packet.tos(outer)));
            }
        }
    }
    probes
}

/// Inner packets that are not what they should be.
fn malformed() -> Vec<Probe> {
    let changed = |at: usize, value: u8| {
        let mut inner = inner4().ip();
        inner[at] = value;
        blue().payload(inner)
    };
    let in_frame = |at: usize, value: u8| {
        let mut inner = inner2(&inner4());
        inner[14 + at] = value;
        green().payload(inner)
    };
    let mut random = Random::new(1);
    let mut probes = vec![
        Probe::new("inner version", changed(0, 0x65)),
        Probe::new("inner header length 4", changed(0, 0x44)),
        Probe::new("inner header longer than the packet", changed(0, 0x4f)),
        Probe::new("inner length too long", changed(3, 200)),
        Probe::new("inner length too short", changed(3, 19)),
        Probe::new("inner length shorter than its room", changed(3, 30)),
        Probe::new("inner checksum", changed(10, 0)),
        Probe::new("inner TTL 0", changed(8, 0)),
        Probe::new("IPv6 that says IPv4", blue().payload(inner6().ip())),
        Probe::new("IPv4 that says IPv6", blue().carrying(IPV6, inner4().ip())),
        Probe::new("to the outer source", blue().payload(Udp::new("10.9.0.2", REMOTE, b"").ip())),
        Probe::new(
            "to the outer destination",
            blue().payload(Udp::new("10.9.0.2", LOCAL, b"").ip()),
        ),
        Probe::new("GRE in GRE", blue().payload(blue().build()[14..].to_vec())),
        Probe::new("frame: inner version", in_frame(0, 0x65)),
        Probe::new("frame: inner header length", in_frame(0, 0x44)),
        Probe::new("frame: inner version, congestion", in_frame(0, 0x65).tos(3)),
    ];
    for len in [60, 600, 1400] {
        let noise: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        probes.push(Probe::new("noise for l3", blue().payload(noise.clone())));
        probes.push(Probe::new("noise for l2", green().payload(noise)));
    }
    probes
}
