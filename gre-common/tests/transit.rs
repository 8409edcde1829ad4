//! Which rule each kind of passing frame meets: a table per concern, a line per case.

mod support;

use std::net::Ipv4Addr;

use gre_common::{transit::transit, verdict::PassReason};
use support::{
    book::{Book, ELSEWHERE, RECEIVER, SENDER, THIRD},
    frame::{
        ARP, Frame, GRE, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, SERVICE_VLAN, TCP, VLAN, ethernet, ipv6,
        small_ipv4, tagged,
    },
    outcome::merged,
};

fn passing() -> Frame {
    Frame::gre().from(SENDER).to(RECEIVER)
}

/// GRE over IPv6 with this key, behind `extensions`, the first of which is `next`.
fn over_ipv6(next: u8, extensions: &[u8], key: u32) -> Vec<u8> {
    let gre = [&[0x20, 0, 8, 0][..], &key.to_be_bytes(), &small_ipv4()].concat();
    ethernet(IPV6, &ipv6(0, 64, next, &[extensions, &gre].concat()))
}

/// What it is, the frame, the number of its rule or why it meets none.
type Row = (&'static str, Vec<u8>, Result<u32, PassReason>);

#[rustfmt::skip]
fn rules() -> Vec<Row> {
    use PassReason::NoRule;
    let ip = small_ipv4();
    let keyed = |key, src, dst| Frame::gre().key(key).from(src).to(dst).ipv4(&small_ipv4());
    vec![
        ("both addresses", keyed(10, SENDER, RECEIVER), Ok(1)),
        ("to an address, from any", keyed(10, THIRD, RECEIVER), Ok(2)),
        ("from an address, to any", keyed(10, SENDER, THIRD), Ok(3)),
        ("any addresses", keyed(10, THIRD, THIRD), Ok(4)),
        ("the other direction is another packet", keyed(10, RECEIVER, SENDER), Ok(4)),
        ("the destination decides before the source", keyed(20, SENDER, RECEIVER), Ok(5)),
        ("no rule for these addresses", keyed(20, THIRD, THIRD), Err(NoRule)),
        ("another key", keyed(11, SENDER, RECEIVER), Err(NoRule)),
        ("the key, byte-swapped", keyed(0x0a00_0000, SENDER, RECEIVER), Err(NoRule)),
        ("key 0", keyed(0, SENDER, RECEIVER), Ok(8)),
        ("no key", passing().ipv4(&ip), Ok(9)),
        ("checksum before the key", passing().key(10).checksum().ipv4(&ip), Ok(1)),
        ("checksum and sequence number", passing().key(10).checksum().sequence(3).ipv4(&ip), Ok(1)),
        ("any payload", passing().key(10).carrying(0x1234, &[0; 9]), Ok(1)),
        ("no payload", passing().key(10).carrying(IPV4, &[]), Ok(1)),
        ("over IPv6", over_ipv6(GRE, &[], 30), Ok(7)),
        ("over IPv6, a rule for IPv4 addresses", over_ipv6(GRE, &[], 20), Err(NoRule)),
        ("over IPv6, a rule for any", over_ipv6(GRE, &[], 10), Ok(4)),
        ("over IPv6, behind an encapsulation limit", over_ipv6(60, &[GRE, 0, 4, 1, 4, 1, 1, 0], 30), Ok(7)),
    ]
}

#[rustfmt::skip]
fn headers() -> Vec<Row> {
    use PassReason::{ExtensionHeaders, Fragment, Malformed, NotGre, NotIp, Pptp};
    let ip = small_ipv4();
    let keyed = || passing().key(10);
    let with = |change: fn(Ipv4) -> Ipv4| passing().key(10).ip(change).ipv4(&small_ipv4());
    let fragment6 = |offset: u16| {
        let [high, low] = (offset << 3 | 1).to_be_bytes();
        over_ipv6(44, &[GRE, 0, high, low, 0, 0, 0, 9], 30)
    };
    let mapped = {
        let mut frame = over_ipv6(GRE, &[], 10);
        let ends = [SENDER, RECEIVER].map(|end| Ipv4Addr::from(end).to_ipv6_mapped().octets());
        frame[22..54].copy_from_slice(&ends.concat());
        frame
    };
    let cut6 = |by| { let mut frame = over_ipv6(GRE, &[], 30); frame.truncate(frame.len() - by); frame };
    vec![
        ("no bytes", vec![], Err(NotIp)),
        ("ARP", ethernet(ARP, &[0; 28]), Err(NotIp)),
        ("TCP", ethernet(IPV4, &Ipv4::new(TCP).around(&[0; 40])), Err(NotGre)),
        ("TCP over IPv6", ethernet(IPV6, &ipv6(0, 64, TCP, &[0; 40])), Err(NotGre)),
        ("PPTP", passing().flags(0x2001).key(10).ipv4(&ip), Err(Pptp)),
        ("one VLAN tag", keyed().tagged(VLAN).ipv4(&ip), Ok(1)),
        ("two VLAN tags", keyed().tagged(SERVICE_VLAN).tagged(VLAN).ipv4(&ip), Ok(1)),
        ("a VLAN tag, over IPv6", tagged(&[VLAN], IPV6, &over_ipv6(GRE, &[], 30)[14..]), Ok(7)),
        ("IPv4 options", with(|ip| ip.options(&[1; 40])), Ok(1)),
        ("Ethernet padding", keyed().padding(30).ipv4(&ip), Ok(1)),
        ("TTL 0 is the router's business", with(|ip| ip.ttl(0)), Ok(1)),
        ("a first fragment shows its key", with(|ip| ip.fragment(MORE_FRAGMENTS)), Ok(1)),
        ("a later fragment shows none", with(|ip| ip.fragment(185)), Err(Fragment)),
        ("one in the middle", with(|ip| ip.fragment(MORE_FRAGMENTS + 185)), Err(Fragment)),
        ("a first fragment over IPv6", fragment6(0), Ok(7)),
        ("a later fragment over IPv6", fragment6(185), Err(Fragment)),
        ("a fragment too small for the key", passing().flags(0x2000).ip(|ip| ip.fragment(MORE_FRAGMENTS)).carrying(IPV4, &[]), Err(Malformed)),
        ("wrong IPv4 checksum", with(Ipv4::bad_checksum), Err(Malformed)),
        ("IPv4 length beyond the frame", with(|ip| ip.claiming(200)), Err(Malformed)),
        ("IPv4 length ends before the key", with(|ip| ip.claiming(24)), Err(Malformed)),
        ("IPv4 length ends before GRE", with(|ip| ip.claiming(19)), Err(Malformed)),
        ("IPv6 length beyond the frame", cut6(1), Err(Malformed)),
        ("IPv4 addresses mapped to IPv6", mapped, Err(Malformed)),
        ("routing bit", keyed().flags(0x4000).ipv4(&ip), Err(Malformed)),
        ("bit 5", keyed().flags(0x0400).ipv4(&ip), Err(Malformed)),
        ("bits 6 to 12 are ignored", keyed().flags(0x03f8).ipv4(&ip), Ok(1)),
        ("version 2", keyed().flags(2).ipv4(&ip), Err(Malformed)),
        ("routing header", over_ipv6(43, &[GRE, 0, 0, 0, 0, 0, 0, 0], 30), Err(ExtensionHeaders)),
    ]
}

#[test]
fn every_row() {
    let book = Book::cast();
    let differing: Vec<_> = [rules(), headers()]
        .concat()
        .into_iter()
        .map(|(what, frame, expected)| (what, book.number(frame.as_slice()), expected))
        .filter(|(_, met, expected)| met != expected)
        .collect();
    assert!(differing.is_empty(), "what, met, expected: {differing:#?}");
}

/// Where the frame is cut: it matches only while it is whole.
#[test]
fn a_cut_frame_meets_no_rule() {
    let book = Book::cast();
    for frame in [passing().key(10).ipv4(&small_ipv4()), over_ipv6(GRE, &[], 30)] {
        for len in 0..frame.len() {
            assert!(book.number(&frame[..len]).is_err(), "{len} of {} bytes", frame.len());
        }
        assert!(book.number(frame.as_slice()).is_ok());
    }
}

#[test]
fn rules_are_those_of_an_interface() {
    let frame = passing().key(10).ipv4(&small_ipv4());
    assert_eq!(transit(frame.as_slice(), &Book::cast(), ELSEWHERE), Err(PassReason::NoRule));
}

/// Linux leaves the length field of a merged packet larger than 64 KiB zero.
#[test]
fn a_merged_packet_is_one() {
    let book = Book::cast();
    let frame = passing().key(10).ip(|ip| ip.claiming(0)).ipv4(&small_ipv4());
    assert_eq!(book.number(&merged(&frame, 1_400)), Ok(1));
    assert_eq!(book.number(frame.as_slice()), Err(PassReason::Malformed));
}
