//! Fragments of packets that do not fit (RFC 791 section 3.2).

mod support;

use gre_common::{
    fragment::{Fragments, is_allowed},
    partial::{self, Transport},
    wire::address::Version,
};
use proptest::{collection::vec, prelude::*, sample::select};
use support::{
    checksum::{self, assert_well_formed},
    frame::{ARP, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, TCP, UDP, VLAN, ethernet, ipv6, tagged},
    outcome::merged,
};

const RESERVED: u16 = 0x8000;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|number| (number * 7 + number / 256) as u8).collect()
}

/// The fragments of a packet, each whole.
fn cut(packet: &[u8], mtu: usize) -> Option<Vec<Vec<u8>>> {
    let fragments = Fragments::of(packet, mtu)?;
    Some(fragments.map(|it| [it.header.bytes(), it.payload].concat()).collect())
}

/// Where the payload of a packet begins.
fn header_len(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

fn flags_and_offset(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[6], packet[7]])
}

/// What a router makes of it, byte by byte.
#[test]
fn a_packet_is_cut() {
    let payload = payload(2000);
    let packet = Ipv4::new(UDP).id(0x1234).tos(3).ttl(9);
    let expected = [
        packet.clone().fragment(MORE_FRAGMENTS).around(&payload[..976]),
        packet.clone().fragment(MORE_FRAGMENTS | 0x7a).around(&payload[976..1952]),
        packet.clone().fragment(244).around(&payload[1952..]),
    ];
    for mtu in 996..1004 {
        assert_eq!(cut(&packet.clone().around(&payload), mtu).unwrap(), expected, "{mtu}");
    }
}

#[test]
fn what_fits_stays_whole() {
    for bits in [0, RESERVED, MORE_FRAGMENTS | 3, 0x1f40] {
        for options in [&[][..], &[7, 4, 4, 0]] {
            let packet = Ipv4::new(UDP).id(7).fragment(bits).options(options).around(&payload(80));
            assert_eq!(cut(&packet, packet.len()).unwrap(), [&packet[..]], "{bits:x}");
            let padded = [&packet[..], &[0xee; 9]].concat();
            assert_eq!(cut(&padded, packet.len()).unwrap(), [packet], "{bits:x}");
        }
    }
    let empty = Ipv4::new(UDP).around(&[]);
    assert_eq!(cut(&empty, 68).unwrap(), [empty]);
}

/// "More fragments" stays with the last one, where the packet has it.
#[test]
fn a_fragment_is_cut_again() {
    let payload = payload(160);
    for bits in [MORE_FRAGMENTS | 0x64, 0x64, RESERVED | 0x64] {
        let first = bits | MORE_FRAGMENTS;
        let packet = |bits, payload| Ipv4::new(TCP).id(5).fragment(bits).around(payload);
        let pieces = cut(&packet(bits, &payload), 100).unwrap();
        assert_eq!(pieces, [packet(first, &payload[..80]), packet(bits + 10, &payload[80..])]);
    }
}

/// "The Options field may appear or not in datagrams"; some are "copied into all fragments" (RFC 791 section 3.1).
#[test]
fn options_are_copied_or_not() {
    const RECORD_ROUTE: [u8; 7] = [7, 7, 4, 1, 1, 1, 1];
    const SECURITY: [u8; 5] = [130, 5, 1, 2, 3];
    const ROUTER_ALERT: [u8; 4] = [148, 4, 0, 0];
    let filled_up = |options: &[u8]| {
        let len = options.len().next_multiple_of(4);
        options.iter().copied().chain([0; 3]).take(len).collect::<Vec<u8>>()
    };
    for (options, later) in [
        (RECORD_ROUTE.to_vec(), vec![]),
        (ROUTER_ALERT.to_vec(), ROUTER_ALERT.to_vec()),
        ([&[1][..], &SECURITY, &RECORD_ROUTE].concat(), SECURITY.to_vec()),
        ([&SECURITY[..], &[1], &ROUTER_ALERT].concat(), [&SECURITY[..], &ROUTER_ALERT].concat()),
        ([&SECURITY[..], &[0], &ROUTER_ALERT].concat(), SECURITY.to_vec()),
        (ROUTER_ALERT.repeat(10), ROUTER_ALERT.repeat(10)),
    ] {
        let (options, later) = (filled_up(&options), filled_up(&later));
        let payload = payload(200);
        let packet = Ipv4::new(UDP).id(1);
        let whole = packet.clone().options(&options).around(&payload);
        let pieces = cut(&whole, 120).unwrap();
        let first_len = (100 - options.len()) / 8 * 8;
        let first = packet.clone().fragment(MORE_FRAGMENTS).options(&options);
        assert_eq!(pieces[0], first.around(&payload[..first_len]));
        for piece in &pieces[1..] {
            assert_eq!(piece[20..header_len(piece)], later, "{options:?}");
        }
        let carried: Vec<u8> =
            pieces.iter().flat_map(|it| &it[header_len(it)..]).copied().collect();
        assert_eq!(carried, payload, "{options:?}");
    }
}

#[test]
fn what_is_not_cut() {
    let good = Ipv4::new(UDP).id(1).around(&payload(200));
    assert!(cut(&good, 100).is_some());
    let options = |bytes: &[u8]| Ipv4::new(UDP).id(1).options(bytes).around(&payload(200));
    for (what, packet) in [
        ("don't fragment", Ipv4::new(UDP).dont_fragment().around(&payload(200))),
        ("a wrong checksum", Ipv4::new(UDP).bad_checksum().around(&payload(200))),
        ("shorter than it says", good[..good.len() - 1].to_vec()),
        ("its length ends in the header", Ipv4::new(UDP).claiming(19).around(&payload(200))),
        ("a header that is too short", Ipv4::new(UDP).header_words(4).around(&payload(200))),
        ("IPv6", ipv6(0, 64, UDP, &payload(200))),
        ("beyond what an offset can say", Ipv4::new(UDP).fragment(8191).around(&payload(16))),
        ("an option longer than the header", options(&[130, 9, 0, 0])),
        ("an option that ends before its length", options(&[1, 1, 1, 130])),
    ] {
        assert_eq!(cut(&packet, 100), None, "{what}");
    }
    for mtu in [0, 19, 27] {
        assert_eq!(cut(&good, mtu), None, "{mtu}");
    }
    for len in 0..good.len() {
        assert_eq!(cut(&good[..len], 100), None, "{len}");
    }
}

#[test]
fn which_frames_are_handed_up() {
    let good = Ipv4::new(UDP).around(&payload(200));
    let firm = Ipv4::new(UDP).dont_fragment().around(&payload(200));
    let framed = |packet: &[u8]| ethernet(IPV4, packet);
    for (frame, expected) in [
        (framed(&good), true),
        (tagged(&[VLAN, VLAN], IPV4, &good), true),
        (framed(&Ipv4::new(UDP).fragment(MORE_FRAGMENTS).around(&payload(200))), true),
        (framed(&firm), false),
        (ethernet(IPV6, &good), false),
        (ethernet(ARP, &good), false),
        (framed(&ipv6(0, 64, UDP, &payload(200))), false),
        (framed(&good[..19]), false),
    ] {
        assert_eq!(is_allowed(&frame[..]), expected, "{:x?}", &frame[..40.min(frame.len())]);
    }
    assert!(!is_allowed(&merged(&framed(&good), 100)));
}

/// A transport checksum that a local sender has left to a device.
#[test]
fn checksums_are_filled_in() {
    for protocol in [TCP, UDP] {
        let field = if protocol == TCP { 16 } else { 6 };
        // Of some the checksum is zero, or looks like one that is not there yet.
        for number in 0..=u16::MAX {
            let mut segment = payload(41);
            segment[20..22].copy_from_slice(&number.to_be_bytes());
            segment[field..field + 2].fill(0);
            let packet = Ipv4::new(protocol).around(&segment);
            let pseudo = [&packet[12..20], &[0, protocol, 0, 41][..]].concat();
            let mut pending = ethernet(IPV4, &packet);
            let at = 34 + field;
            let sum = !checksum::internet(&pseudo);
            pending[at..at + 2].copy_from_slice(&sum.to_be_bytes());
            let transport =
                Transport { version: Version::V4, ip_offset: 14, protocol, offset: 34, len: 41 };
            partial::fill_in(&mut pending, transport);
            assert_well_formed(&pending[14..]);
            assert_ne!((protocol, &pending[at..at + 2]), (UDP, &[0, 0][..]), "no checksum");
            let filled_in = pending.clone();
            partial::fill_in(&mut pending, transport);
            assert_eq!(pending, filled_in, "there already");
        }
    }
}

proptest! {
    /// Each one fits, is sound and says where it belongs; together they carry every byte once.
    #[test]
    fn every_byte_arrives(
        payload in vec(any::<u8>(), 0..5000),
        mtu in 68usize..2000,
        bits in select(vec![0, MORE_FRAGMENTS, 0x4d, MORE_FRAGMENTS | 0x4d]),
        options in vec(select(vec![0u8, 1, 130, 148, 4, 3, 2]), 0..=40),
    ) {
        let options = &options[..options.len() / 4 * 4];
        let packet = Ipv4::new(UDP).id(9).fragment(bits).options(options).around(&payload);
        let Some(pieces) = cut(&packet, mtu) else {
            prop_assert!(!options.is_empty());
            return Ok(());
        };
        let mut at = 0;
        for (number, piece) in pieces.iter().enumerate() {
            let header_len = header_len(piece);
            let is_last = number + 1 == pieces.len();
            prop_assert!(piece.len() <= mtu);
            prop_assert_eq!(usize::from(u16::from_be_bytes([piece[2], piece[3]])), piece.len());
            prop_assert_eq!(checksum::internet(&piece[..header_len]), 0);
            let more = if is_last { bits & MORE_FRAGMENTS } else { MORE_FRAGMENTS };
            prop_assert_eq!(flags_and_offset(piece), more | ((bits & 0x1fff) + (at / 8) as u16));
            prop_assert_eq!(&piece[header_len..], &payload[at..at + piece.len() - header_len]);
            at += piece.len() - header_len;
        }
        prop_assert_eq!(at, payload.len());
    }
}
