//! What becomes of every kind of frame that an uplink receives: a table per concern, a line per case.

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};

use gre_common::{
    decap::{Payload, decap},
    packet::Packet,
    tables::TunnelOptions,
    verdict::{DropReason, Notice, PassReason, Verdict},
    wire::{ecn::Remark, ethernet::EtherType},
};
use support::{
    frame::{
        ARP, ETHERNET, Frame, GRE, ICMP, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, SERVICE_VLAN, TCP, UDP,
        VLAN, ethernet, ipv6, small_ipv4, small_ipv6, tagged,
    },
    ipv6::{address, extended, over_ipv6},
    outcome::{
        Outcome, assert_rows, at_port, decap_plan, delivered, dropped, forwarded, passed, receive,
        refused,
    },
    reasons::{
        self, BRIDGE_DROPS, ENCAP_DROPS, ENCAP_PASSES, KERNEL_DROPS, KERNEL_PASSES, TRANSIT_PASSES,
    },
    world::{
        BLUE, GREEN, KEYLESS, LOCAL, PORTLESS, REMOTE, SECOND_REMOTE, SPLIT, STRANGER, TWIN, WHITE,
        World, ZERO,
    },
};

/// What it is, the frame, what becomes of it.
type Row = (&'static str, Vec<u8>, Outcome);

/// A frame from the remote end of the cast's tunnel.
fn arriving() -> Frame {
    Frame::gre().from(REMOTE).to(LOCAL)
}

/// One for the l3 tenant with key 10.
fn blue() -> Frame {
    arriving().key(10)
}

/// One for the l2 tenant with key 20.
fn green() -> Frame {
    arriving().key(20)
}

#[rustfmt::skip]
fn not_ours() -> Vec<Row> {
    use PassReason::{NotGre, NotIp, NotLocal, Pptp};
    let ip = small_ipv4();
    let gre_in_ipv6 = ethernet(IPV6, &ipv6(0, 64, GRE, &[0; 40]));
    // Linux puts the tunnel encapsulation limit there (RFC 2473 section 4.1.1).
    let options = [&[GRE, 0, 4, 1, 4, 1, 1, 0][..], &[0; 40]].concat();
    let gre_behind_options = ethernet(IPV6, &ipv6(0, 64, 60, &options));
    let broken_version = {
        let mut frame = blue().ipv4(&ip);
        frame[14] = 0x65;
        frame
    };
    vec![
        ("no bytes", vec![], passed(NotIp)),
        ("a runt", vec![0; 13], passed(NotIp)),
        ("ARP", ethernet(ARP, &[0; 28]), passed(NotIp)),
        ("802.3 with a length", ethernet(46, &[0; 46]), passed(NotIp)),
        ("three VLAN tags", blue().tagged(SERVICE_VLAN).tagged(VLAN).tagged(VLAN).ipv4(&ip), passed(NotIp)),
        ("version 6 with the type of IPv4", broken_version, passed(NotIp)),
        ("ihl 0", blue().ip(|ip| ip.header_words(0)).ipv4(&ip), passed(NotIp)),
        ("ihl 4", blue().ip(|ip| ip.header_words(4)).ipv4(&ip), passed(NotIp)),
        ("TCP", ethernet(IPV4, &Ipv4::new(TCP).to(LOCAL).around(&[0; 40])), passed(NotGre)),
        ("TCP over IPv6", ethernet(IPV6, &ipv6(0, 64, TCP, &[0; 40])), passed(NotGre)),
        ("GRE over IPv6 to nobody here", gre_in_ipv6, passed(NotLocal)),
        ("GRE over IPv6 behind destination options to nobody here", gre_behind_options, passed(NotLocal)),
        ("to nobody here", blue().to(STRANGER).ipv4(&ip), passed(NotLocal)),
        ("multicast", blue().to([224, 0, 0, 5]).ipv4(&ip), passed(NotLocal)),
        ("malformed, to nobody here", blue().to(STRANGER).flags(0x4007).ipv4(&ip), passed(NotLocal)),
        ("fragment to nobody here", blue().to(STRANGER).ip(|ip| ip.fragment(1)).ipv4(&ip), passed(NotLocal)),
        ("bad checksum, to nobody here", blue().to(STRANGER).ip(Ipv4::bad_checksum).ipv4(&ip), passed(NotLocal)),
        ("PPTP", blue().flags(0x0001).carrying(0x880b, &ip), passed(Pptp)),
        ("PPTP with acknowledgement", blue().flags(0x0081).sequence(1).carrying(0x880b, &ip), passed(Pptp)),
    ]
}

#[rustfmt::skip]
fn outer_header() -> Vec<Row> {
    use DropReason::{BadIpChecksum, InnerLength, Truncated};
    let ip = small_ipv4();
    let delivered = delivered(BLUE, &ip);
    let frame = |change: fn(Ipv4) -> Ipv4| blue().ip(change).padding(8).ipv4(&small_ipv4());
    vec![
        ("one VLAN tag", blue().tagged(VLAN).ipv4(&ip), delivered.clone()),
        ("a service tag", blue().tagged(SERVICE_VLAN).ipv4(&ip), delivered.clone()),
        ("two VLAN tags", blue().tagged(SERVICE_VLAN).tagged(VLAN).ipv4(&ip), delivered.clone()),
        ("four bytes of IPv4 options", frame(|ip| ip.options(&[1; 4])), delivered.clone()),
        ("forty bytes of IPv4 options", frame(|ip| ip.options(&[1; 40])), delivered.clone()),
        ("one byte of padding", blue().padding(1).ipv4(&ip), delivered.clone()),
        ("more padding than packet", blue().padding(900).ipv4(&ip), delivered.clone()),
        ("TTL 1", frame(|ip| ip.ttl(1)), delivered.clone()),
        ("evil bit", frame(|ip| ip.fragment(0x8000)), delivered),
        ("first fragment", frame(|ip| ip.fragment(MORE_FRAGMENTS)), passed(PassReason::Fragment)),
        ("last fragment", frame(|ip| ip.fragment(185)), passed(PassReason::Fragment)),
        ("tiny fragment", arriving().ip(|ip| ip.fragment(MORE_FRAGMENTS)).ipv4(&[]), passed(PassReason::Fragment)),
        ("bad checksum", frame(Ipv4::bad_checksum), refused(BadIpChecksum)),
        ("bad checksum over options", frame(|ip| ip.options(&[1; 8]).bad_checksum()), refused(BadIpChecksum)),
        ("length beyond the frame", frame(|ip| ip.claiming(69)), refused(Truncated)),
        ("length within the header", frame(|ip| ip.claiming(19)), refused(Truncated)),
        ("ihl beyond the length", frame(|ip| ip.header_words(15).claiming(59)), refused(Truncated)),
        ("length ends before the key", frame(|ip| ip.claiming(24)), refused(Truncated)),
        ("length ends before the inner packet", frame(|ip| ip.claiming(28)), dropped(BLUE, InnerLength)),
    ]
}

#[rustfmt::skip]
fn gre_header() -> Vec<Row> {
    use DropReason::{ReservedBits, UnknownVersion};
    let ip = small_ipv4();
    let odd = Ipv4::new(UDP).around(b"odd");
    let corrupted = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 0x10;
        frame
    };
    let flagged = |flags| blue().flags(flags).ipv4(&small_ipv4());
    vec![
        ("bits 6 to 12 set", flagged(0x03f8), delivered(BLUE, &ip)),
        ("bit 6 set", flagged(0x0200), delivered(BLUE, &ip)),
        ("bit 12 set", flagged(0x0008), delivered(BLUE, &ip)),
        ("routing bit", flagged(0x4000), refused(ReservedBits)),
        ("bit 4", flagged(0x0800), refused(ReservedBits)),
        ("bit 5", flagged(0x0400), refused(ReservedBits)),
        ("version 2", flagged(0x0002), refused(UnknownVersion)),
        ("version 4", flagged(0x0004), refused(UnknownVersion)),
        ("version 7", flagged(0x0007), refused(UnknownVersion)),
        ("checksum", blue().checksum().ipv4(&ip), delivered(BLUE, &ip)),
        ("checksum before padding", blue().checksum().padding(7).ipv4(&ip), delivered(BLUE, &ip)),
        ("checksum over an odd number of bytes", blue().checksum().ipv4(&odd), delivered(BLUE, &odd)),
        ("wrong checksum", corrupted(blue().checksum().ipv4(&ip), 38), dropped(BLUE, DropReason::BadChecksum)),
        ("wrong byte under a checksum", corrupted(blue().checksum().ipv4(&ip), 60), dropped(BLUE, DropReason::BadChecksum)),
        ("wrong last byte under a checksum", corrupted(blue().checksum().ipv4(&odd), odd.len() + 45), dropped(BLUE, DropReason::BadChecksum)),
        ("checksum and sequence", blue().checksum().sequence(3).ipv4(&ip), delivered(BLUE, &ip)),
        ("checksum without key", arriving().checksum().ipv4(&ip), delivered(KEYLESS, &ip)),
        ("sequence nobody asks for", blue().sequence(77).ipv4(&ip), delivered(BLUE, &ip)),
        // The flag promises a field that the packet has no room for.
        ("key flag without key", arriving().flags(0x2000).carrying(IPV4, &[]), refused(DropReason::Truncated)),
        ("checksum flag alone", arriving().flags(0x8000).carrying(IPV4, &[]), refused(DropReason::Truncated)),
        ("sequence flag alone", blue().flags(0x1000).carrying(IPV4, &[]), refused(DropReason::Truncated)),
    ]
}

#[rustfmt::skip]
fn binding() -> Vec<Row> {
    use DropReason::WrongRemote;
    let ip = small_ipv4();
    let frame = ethernet(IPV4, &ip);
    let from_second = Frame::gre().from(SECOND_REMOTE).to(LOCAL);
    let from_stranger = Frame::gre().from(STRANGER).to(LOCAL);
    vec![
        ("key 10", blue().ipv4(&ip), delivered(BLUE, &ip)),
        ("key 0", arriving().key(0).ipv4(&ip), delivered(ZERO, &ip)),
        ("no key", arriving().ipv4(&ip), delivered(KEYLESS, &ip)),
        ("the key of received packets", arriving().key(7).ipv4(&ip), delivered(SPLIT, &ip)),
        ("the key of sent packets", arriving().key(8).ipv4(&ip), passed(PassReason::NoBinding)),
        ("key 20 by one tunnel", green().ethernet(&frame), forwarded(GREEN, &frame)),
        ("key 20 by another", from_second.clone().key(20).ipv4(&ip), delivered(TWIN, &ip)),
        ("no key by another", from_second.clone().ethernet(&frame), forwarded(WHITE, &frame)),
        ("unknown key", arriving().key(11).ipv4(&ip), passed(PassReason::NoBinding)),
        ("the key, byte-swapped", arriving().key(0x0a00_0000).ipv4(&ip), passed(PassReason::NoBinding)),
        ("the key and higher bits", arriving().key(0x1_000a).ipv4(&ip), passed(PassReason::NoBinding)),
        ("the largest key", arriving().key(u32::MAX).ipv4(&ip), passed(PassReason::NoBinding)),
        ("key 10 from a stranger", from_stranger.clone().key(10).ipv4(&ip), dropped(BLUE, WrongRemote)),
        ("no key from a stranger", from_stranger.clone().ipv4(&ip), dropped(KEYLESS, WrongRemote)),
        ("key 10 from another tunnel's end", from_second.clone().key(10).ipv4(&ip), dropped(BLUE, WrongRemote)),
        ("key 0 from another tunnel's end", from_second.key(0).ipv4(&ip), dropped(ZERO, WrongRemote)),
        ("unknown key from a stranger", from_stranger.key(11).ipv4(&ip), passed(PassReason::NoBinding)),
        ("no port", arriving().key(30).ipv4(&ip), dropped(PORTLESS, DropReason::NoPort)),
    ]
}

#[rustfmt::skip]
fn payload_types() -> Vec<Row> {
    use DropReason::{InnerVersion, UnknownPayload, WrongService};
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let frame = ethernet(IPV4, &v4);
    let arp = ethernet(ARP, &[1; 28]);
    let tenants_own = Frame::gre().from(LOCAL).to(STRANGER).key(20).ipv4(&v4);
    let control = |payload_type| blue().carrying(payload_type, &[0; 64]);
    vec![
        ("IPv4", blue().ipv4(&v4), delivered(BLUE, &v4)),
        ("IPv6", blue().ipv6(&v6), delivered(BLUE, &v6)),
        ("IPv6 without key", arriving().ipv6(&v6), delivered(KEYLESS, &v6)),
        ("Ethernet", green().ethernet(&frame), forwarded(GREEN, &frame)),
        ("Ethernet with ARP", green().ethernet(&arp), forwarded(GREEN, &arp)),
        ("a tenant's own GRE is payload", blue().ipv4(&tenants_own[14..]), delivered(BLUE, &tenants_own[14..])),
        ("a tenant's own GRE in Ethernet", green().ethernet(&tenants_own), forwarded(GREEN, &tenants_own)),
        ("Ethernet for an l3 tenant", blue().ethernet(&frame), dropped(BLUE, WrongService)),
        ("IPv4 for an l2 tenant", green().ipv4(&v4), dropped(GREEN, WrongService)),
        ("IPv6 for an l2 tenant", green().ipv6(&v6), dropped(GREEN, WrongService)),
        ("IPv6 said to be IPv4", blue().ipv4(&v6), dropped(BLUE, InnerVersion)),
        ("IPv4 said to be IPv6", blue().ipv6(&[&v4[..], &[0; 20]].concat()), dropped(BLUE, InnerVersion)),
        ("ARP", blue().carrying(ARP, &[0; 28]), dropped(BLUE, UnknownPayload)),
        ("protocol number for payload type", blue().carrying(47, &v4), dropped(BLUE, UnknownPayload)),
        ("unknown, for an l2 tenant", green().carrying(0xffff, &frame), dropped(GREEN, UnknownPayload)),
        ("keepalive", control(0x0000), passed(PassReason::ControlPayload)),
        ("WCCP", control(0x883e), passed(PassReason::ControlPayload)),
        ("ERSPAN II", control(0x88be), passed(PassReason::ControlPayload)),
        ("ERSPAN III", control(0x22eb), passed(PassReason::ControlPayload)),
        ("NHRP", control(0x2001), passed(PassReason::ControlPayload)),
        ("MPLS", control(0x8847), passed(PassReason::ControlPayload)),
        ("MPLS multicast", control(0x8848), passed(PassReason::ControlPayload)),
        ("IS-IS", control(0x00fe), passed(PassReason::ControlPayload)),
    ]
}

#[rustfmt::skip]
fn inner_packets() -> Vec<Row> {
    use DropReason::{InnerLength, Loop};
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let empty_v4 = Ipv4::new(UDP).around(&[]);
    let with_rest = [&v4[..], &[9; 3]].concat();
    let (empty, half) = (ethernet(IPV4, &[]), ethernet(IPV4, &[0x45; 19]));
    let half_tag = ethernet(VLAN, &[]);
    let lie = |change: fn(Ipv4) -> Ipv4| blue().ipv4(&change(Ipv4::new(UDP)).around(b"12345678"));
    let mut long_v6 = v6.clone();
    long_v6[5] += 1;
    let to_remote = Ipv4::new(ICMP).to(REMOTE).around(&[0; 8]);
    let question = |gre: &[u8]| Ipv4::new(GRE).from(LOCAL).to(REMOTE).around(gre);
    let (keepalive, keyed) = (question(&[0; 4]), question(&[0x20, 0, 0, 0, 0, 0, 0, 10]));
    let (tunneled, cut_off) = (question(&[0, 0, 8, 0]), question(&[0; 2]));
    let from_remote = Ipv4::new(ICMP).from(REMOTE).around(&[0; 8]);
    vec![
        ("IPv4 header alone", blue().ipv4(&empty_v4), delivered(BLUE, &empty_v4)),
        ("bytes behind the IP packet", blue().ipv4(&with_rest), delivered(BLUE, &with_rest)),
        ("none", blue().ipv4(&[]), dropped(BLUE, InnerLength)),
        ("IPv4 header cut off", blue().ipv4(&v4[..19]), dropped(BLUE, InnerLength)),
        ("IPv6 header cut off", blue().ipv6(&v6[..39]), dropped(BLUE, InnerLength)),
        ("IPv4 header cut off, padding behind it", blue().padding(30).ipv4(&v4[..19]), dropped(BLUE, InnerLength)),
        ("IPv4 longer than its room", lie(|ip| ip.claiming(29)), dropped(BLUE, InnerLength)),
        ("IPv4 shorter than its header", lie(|ip| ip.claiming(19)), dropped(BLUE, InnerLength)),
        ("ihl 4", lie(|ip| ip.header_words(4)), dropped(BLUE, InnerLength)),
        ("ihl beyond the IP length", lie(|ip| ip.header_words(8)), dropped(BLUE, InnerLength)),
        ("IPv6 longer than its room", blue().ipv6(&long_v6), dropped(BLUE, InnerLength)),
        ("to the outer source", blue().ipv4(&to_remote), dropped(BLUE, Loop)),
        ("a keepalive", blue().ipv4(&keepalive), passed(PassReason::Keepalive)),
        ("a keepalive with a key", blue().ipv4(&keyed), passed(PassReason::Keepalive)),
        ("a keepalive for l2", green().ipv4(&keepalive), passed(PassReason::Keepalive)),
        ("GRE to the outer source", blue().ipv4(&tunneled), dropped(BLUE, Loop)),
        ("a keepalive cut off", blue().padding(30).ipv4(&cut_off), dropped(BLUE, Loop)),
        ("from the outer source", blue().ipv4(&from_remote), delivered(BLUE, &from_remote)),
        // What an l2 tenant has in its frames is its own business, as long as there is a frame.
        ("Ethernet header alone", green().ethernet(&empty), forwarded(GREEN, &empty)),
        ("Ethernet header cut off", green().ethernet(&empty[..13]), dropped(GREEN, InnerLength)),
        ("half an IP header in Ethernet", green().ethernet(&half), forwarded(GREEN, &half)),
        ("half a VLAN tag, padding behind it", green().padding(30).ethernet(&half_tag), forwarded(GREEN, &half_tag)),
    ]
}

const NOT_ECT: u8 = 0;
const ECT1: u8 = 1;
const ECT0: u8 = 2;
const CE: u8 = 3;

/// RFC 6040 figure 4: inner, outer, and what goes on, if anything does.
const CONGESTION: [(u8, u8, Option<u8>); 16] = [
    (NOT_ECT, NOT_ECT, Some(NOT_ECT)),
    (NOT_ECT, ECT0, Some(NOT_ECT)),
    (NOT_ECT, ECT1, Some(NOT_ECT)),
    (NOT_ECT, CE, None),
    (ECT0, NOT_ECT, Some(ECT0)),
    (ECT0, ECT0, Some(ECT0)),
    (ECT0, ECT1, Some(ECT1)),
    (ECT0, CE, Some(CE)),
    (ECT1, NOT_ECT, Some(ECT1)),
    (ECT1, ECT0, Some(ECT1)),
    (ECT1, ECT1, Some(ECT1)),
    (ECT1, CE, Some(CE)),
    (CE, NOT_ECT, Some(CE)),
    (CE, ECT0, Some(CE)),
    (CE, ECT1, Some(CE)),
    (CE, CE, Some(CE)),
];

/// Each line of figure 4, in every packet that has an inner ECN field. Both headers have a DSCP, which stays.
#[rustfmt::skip]
fn congestion() -> Vec<Row> {
    let v4 = |ecn| Ipv4::new(UDP).tos(0xb8 | ecn).options(&[1; 4]).around(b"a datagram");
    let v6 = |ecn| ipv6(0xb8 | ecn, 64, UDP, b"a datagram");
    let framed = |ecn| ethernet(IPV4, &v4(ecn));
    let twice_tagged = |ecn| tagged(&[SERVICE_VLAN, VLAN], IPV4, &v4(ecn));
    let tagged_v6 = |ecn| tagged(&[VLAN], IPV6, &v6(ecn));
    CONGESTION
        .iter()
        .flat_map(|&(inner, outer, result)| {
            let notice = (inner == NOT_ECT && outer != NOT_ECT).then_some(Notice::EcnMismatch);
            let row = |what, tenant, frame, received: &dyn Fn(u8) -> Vec<u8>| match result {
                Some(ecn) => (what, frame, Outcome::Forwarded(tenant, received(ecn), notice)),
                None => (what, frame, dropped(tenant, DropReason::Ecn)),
            };
            let l3 = || blue().ip(|ip| ip.tos(0x28 | outer));
            let l2 = || green().ip(|ip| ip.tos(0x28 | outer));
            [
                row("ECN, IPv4", BLUE, l3().ipv4(&v4(inner)), &|ecn| at_port(&v4(ecn))),
                row("ECN, IPv6", BLUE, l3().ipv6(&v6(inner)), &|ecn| at_port(&v6(ecn))),
                row("ECN, IPv4 in Ethernet", GREEN, l2().ethernet(&framed(inner)), &framed),
                row("ECN, IPv4 behind two tags", GREEN, l2().ethernet(&twice_tagged(inner)), &twice_tagged),
                row("ECN, IPv6 behind a tag", GREEN, l2().ethernet(&tagged_v6(inner)), &tagged_v6),
            ]
        })
        .collect()
}

/// Congestion, and no inner IP header to mark.
#[rustfmt::skip]
fn congestion_without_inner_ip() -> Vec<Row> {
    let ce = || green().ip(|ip| ip.tos(CE));
    let arp = ethernet(ARP, &[1; 28]);
    let (no_v4, no_v6) = (ethernet(IPV4, &[]), ethernet(IPV6, &[]));
    let v4_in_padding = |ecn| [ce().ethernet(&no_v4), Ipv4::new(UDP).tos(ecn).around(&[])].concat();
    let v6_in_padding = |ecn| [ce().ethernet(&no_v6), ipv6(ecn, 64, UDP, &[])].concat();
    vec![
        ("CE, ARP", ce().ethernet(&arp), forwarded(GREEN, &arp)),
        ("CE, IPv4 in the padding", v4_in_padding(ECT0), forwarded(GREEN, &no_v4)),
        ("CE, IPv4 without ECN in the padding", v4_in_padding(NOT_ECT), forwarded(GREEN, &no_v4)),
        ("CE, IPv6 in the padding", v6_in_padding(ECT0), forwarded(GREEN, &no_v6)),
        ("CE, IPv6 without ECN in the padding", v6_in_padding(NOT_ECT), forwarded(GREEN, &no_v6)),
    ]
}

/// In strict mode.
#[rustfmt::skip]
fn strict() -> Vec<Row> {
    let ip = small_ipv4();
    vec![
        ("unknown key", arriving().key(11).ipv4(&ip), refused(DropReason::NoBinding)),
        ("unknown key, checksum", arriving().key(11).checksum().ipv4(&ip), refused(DropReason::NoBinding)),
        ("to nobody here", blue().to(STRANGER).ipv4(&ip), passed(PassReason::NotLocal)),
        ("wrong remote", blue().from(STRANGER).ipv4(&ip), dropped(BLUE, DropReason::WrongRemote)),
        ("PPTP", arriving().flags(1).ipv4(&ip), passed(PassReason::Pptp)),
        ("a tenant's", blue().ipv4(&ip), delivered(BLUE, &ip)),
    ]
}

/// What every packet over IPv6 meets that one over IPv4 does not.
#[rustfmt::skip]
fn over_ipv6_only() -> Vec<Row> {
    const FRAGMENT: u8 = 44;
    const ROUTING: u8 = 43;
    const DESTINATION: u8 = 60;
    const HOP_BY_HOP: u8 = 0;
    let ip = small_ipv4();
    let frame = over_ipv6(&blue().padding(3).ipv4(&ip));
    let behind = |first, headers: &[u8]| extended(&frame, first, headers);
    let elsewhere = |first, headers: &[u8]| extended(&over_ipv6(&blue().to(STRANGER).ipv4(&ip)), first, headers);
    let with_byte = |at: usize, value| {
        let mut frame = frame.clone();
        frame[at] = value;
        frame
    };
    let limit = [4, 1, 4, 1, 1, 0];
    let options = |next: u8, options: [u8; 6]| [&[next, 0], &options[..]].concat();
    let padding = {
        let mut frame = behind(DESTINATION, &options(GRE, limit));
        frame[18..20].fill(0);
        frame
    };
    let to_own_source = ipv6_to(address(REMOTE));
    let keepalive = {
        let mut packet = to_own_source.clone();
        (packet[6], packet[42], packet[43]) = (GRE, 0, 0);
        packet
    };
    let mapped = {
        let mut frame = frame.clone();
        let ends = [STRANGER, LOCAL].map(|end| Ipv4Addr::from(end).to_ipv6_mapped().octets());
        frame[22..54].copy_from_slice(&ends.concat());
        frame
    };
    vec![
        ("hop limit 1", with_byte(21, 1), delivered(BLUE, &ip)),
        ("a flow label", with_byte(17, 0xff), delivered(BLUE, &ip)),
        ("version 4 with the type of IPv6", with_byte(14, 0x45), passed(PassReason::NotIp)),
        ("length beyond the frame", with_byte(19, 44), refused(DropReason::Truncated)),
        ("length ends before the key", with_byte(19, 7), refused(DropReason::Truncated)),
        ("an encapsulation limit", behind(DESTINATION, &options(GRE, limit)), delivered(BLUE, &ip)),
        ("padding as an option", behind(HOP_BY_HOP, &options(GRE, [1, 4, 0, 0, 0, 0])), delivered(BLUE, &ip)),
        ("two headers with options", behind(HOP_BY_HOP, &[options(DESTINATION, [1, 4, 0, 0, 0, 0]), options(GRE, limit)].concat()), delivered(BLUE, &ip)),
        ("an option that is not known", behind(DESTINATION, &options(GRE, [0xc7, 4, 0, 0, 0, 0])), passed(PassReason::ExtensionHeaders)),
        ("sixteen bytes of options", behind(DESTINATION, &[&[GRE, 1, 1, 12][..], &[0; 12]].concat()), passed(PassReason::ExtensionHeaders)),
        ("a routing header", behind(ROUTING, &options(GRE, [0; 6])), passed(PassReason::ExtensionHeaders)),
        ("three headers with options", behind(DESTINATION, &[options(DESTINATION, limit), options(DESTINATION, limit), options(GRE, limit)].concat()), passed(PassReason::ExtensionHeaders)),
        ("a routing header, to nobody here", elsewhere(ROUTING, &options(GRE, [0; 6])), passed(PassReason::NotLocal)),
        ("TCP behind options", behind(DESTINATION, &options(TCP, limit)), passed(PassReason::NotGre)),
        ("first fragment", behind(FRAGMENT, &[GRE, 0, 0, 1, 0, 0, 0, 1]), passed(PassReason::Fragment)),
        ("later fragment", behind(FRAGMENT, &[GRE, 0, 0, 8, 0, 0, 0, 1]), passed(PassReason::Fragment)),
        ("fragment behind options", behind(DESTINATION, &[options(FRAGMENT, limit), vec![GRE, 0, 0, 8, 0, 0, 0, 1]].concat()), passed(PassReason::Fragment)),
        ("fragment of TCP", behind(FRAGMENT, &[TCP, 0, 0, 8, 0, 0, 0, 1]), passed(PassReason::NotGre)),
        ("fragment, to nobody here", elsewhere(FRAGMENT, &[GRE, 0, 0, 8, 0, 0, 0, 1]), passed(PassReason::NotLocal)),
        ("cut in its extension header", behind(DESTINATION, &options(GRE, limit))[..60].to_vec(), passed(PassReason::ExtensionHeaders)),
        ("options behind the end of the packet", padding, passed(PassReason::ExtensionHeaders)),
        ("IPv4 addresses mapped to IPv6", mapped, passed(PassReason::NotLocal)),
        ("a keepalive", over_ipv6(&blue().ipv6(&keepalive)), passed(PassReason::Keepalive)),
        ("the inner destination is the outer source", over_ipv6(&blue().ipv6(&to_own_source)), dropped(BLUE, DropReason::Loop)),
    ]
}

fn ipv6_to(destination: Ipv6Addr) -> Vec<u8> {
    let mut packet = small_ipv6();
    packet[24..40].copy_from_slice(&destination.octets());
    packet
}

/// With `--seq`. What order is, the kernel side sees.
#[test]
fn an_ordered_tunnel_wants_sequence_numbers() {
    let world = World::with_cast().options(TunnelOptions::SEQUENCE);
    let ip = small_ipv4();
    let none = dropped(BLUE, DropReason::OutOfSequence);
    assert_eq!(receive(&world, &blue().ipv4(&ip)), none);
    let frame = blue().sequence(9).ipv4(&ip);
    assert_eq!(receive(&world, &frame), delivered(BLUE, &ip));
    let plan = decap_plan(&world, &frame);
    assert!(plan.is_in_order(&frame[..], |tenant, number| (tenant, number) == (BLUE, 9)));
    assert!(!plan.is_in_order(&frame[..], |_, _| false));
    let world = World::with_cast();
    let plan = decap_plan(&world, &frame);
    assert!(plan.is_in_order(&frame[..], |_, _| false));
}

/// A frame that the kernel has decrypted.
struct Decrypted<'f>(&'f [u8]);

impl Packet for Decrypted<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.read(offset)
    }

    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        self.0.sum(offset, len)
    }

    fn excused(&self) -> TunnelOptions {
        TunnelOptions::IPSEC
    }
}

#[test]
fn what_should_have_come_encrypted_is_left_to_the_kernel() {
    let world = World::with_cast().options(TunnelOptions::IPSEC);
    let ip = small_ipv4();
    let frame = blue().ipv4(&ip);
    assert_eq!(receive(&world, &frame), passed(PassReason::Ipsec));
    assert!(matches!(decap(&Decrypted(&frame), &world), Verdict::Forward(_)));
    let ordered =
        World::with_cast().options(TunnelOptions::IPSEC.with(TunnelOptions::SEQUENCE, true));
    let Verdict::Drop(discard) = decap(&Decrypted(&frame), &ordered) else { panic!("a drop") };
    assert_eq!(discard, DropReason::OutOfSequence.of(BLUE), "nothing else is excused");
}

/// What does not depend on the outer IP header is the same over both versions.
#[test]
fn over_ipv6_every_frame_meets_the_same_fate() {
    // Not a loop there: an IPv4 address is no IPv6 address.
    let of_ipv4 = [dropped(BLUE, DropReason::Loop), passed(PassReason::Keepalive)];
    let rows =
        behind_either_header().into_iter().filter(|(_, _, outcome)| !of_ipv4.contains(outcome));
    let world = World::with_cast().over_ipv6();
    let judge =
        |(what, frame, expected): Row| (what, receive(&world, &over_ipv6(&frame)), expected);
    assert_rows(rows.map(judge));
    let judge = |(what, frame, expected): Row| (what, receive(&world, &frame), expected);
    assert_rows(over_ipv6_only().into_iter().map(judge));
    let world = World::with_cast().over_ipv6().strict();
    let judge =
        |(what, frame, expected): Row| (what, receive(&world, &over_ipv6(&frame)), expected);
    assert_rows(strict().into_iter().map(judge));
}

fn default_rows() -> Vec<Row> {
    [not_ours(), outer_header(), behind_either_header()].concat()
}

/// What the outer IP header has no part in.
fn behind_either_header() -> Vec<Row> {
    [
        gre_header(),
        binding(),
        payload_types(),
        inner_packets(),
        congestion(),
        congestion_without_inner_ip(),
    ]
    .concat()
}

#[test]
fn every_frame_meets_its_fate() {
    let world = World::with_cast();
    let judge = |(what, frame, expected): Row| (what, receive(&world, &frame), expected);
    assert_rows(default_rows().into_iter().map(judge));
}

#[test]
fn strict_mode_drops_only_what_no_tenant_is_bound_to() {
    let world = World::with_cast().strict();
    let judge = |(what, frame, expected): Row| (what, receive(&world, &frame), expected);
    assert_rows(strict().into_iter().map(judge));
}

#[test]
fn every_reason_has_a_row() {
    let ordered = ("", vec![], dropped(BLUE, DropReason::OutOfSequence));
    let protected = ("", vec![], passed(PassReason::Ipsec));
    let rows = [default_rows(), strict(), over_ipv6_only(), vec![ordered, protected]].concat();
    let (passed, dropped) = reasons::in_rows(rows.into_iter().map(|(_, _, outcome)| outcome));
    for reason in PassReason::ALL {
        let elsewhere = [ENCAP_PASSES, TRANSIT_PASSES, KERNEL_PASSES].concat().contains(reason);
        assert_eq!(passed.contains(reason), !elsewhere, "{reason:?}");
    }
    for reason in DropReason::ALL {
        let elsewhere = [ENCAP_DROPS, BRIDGE_DROPS, KERNEL_DROPS].concat().contains(reason);
        assert_eq!(dropped.contains(reason), !elsewhere, "{reason:?}");
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_not_delivered() {
    let world = World::with_cast();
    let ip_starts = [(14, blue()), (22, blue().tagged(SERVICE_VLAN).tagged(VLAN))];
    for (ip_start, frame) in ip_starts {
        let frame = frame.ip(|ip| ip.options(&[1; 8])).ipv4(&small_ipv4());
        for len in 0..frame.len() {
            let expected = if len < ip_start + 20 {
                passed(PassReason::NotIp)
            } else {
                refused(DropReason::Truncated)
            };
            assert_eq!(receive(&world, &frame[..len]), expected, "cut to {len} bytes");
        }
    }
}

#[test]
fn nothing_is_read_beyond_the_ip_length() {
    let world = World::with_cast();
    let inner = small_ipv4();
    let true_len = 20 + 8 + inner.len();
    for claimed in 0..true_len + 20 {
        let frame = blue().ip(|ip| ip.claiming(claimed)).ipv4(&inner);
        let expected = match claimed {
            // The IP header, then the GRE header with its key.
            0..28 => refused(DropReason::Truncated),
            _ if claimed < true_len => dropped(BLUE, DropReason::InnerLength),
            _ if claimed == true_len => delivered(BLUE, &inner),
            _ => refused(DropReason::Truncated),
        };
        assert_eq!(receive(&world, &frame), expected, "IP length {claimed} of {true_len}");
    }
}

#[test]
fn every_key_bit_counts() {
    let world = World::with_cast();
    for bit in 0..32 {
        let key = 0x0a ^ (1 << bit);
        let expected = match world.bound(LOCAL, REMOTE, Some(key)) {
            Some(tenant) => {
                panic!("{tenant:?} is bound to key {key}: choose other keys for the cast")
            }
            None => passed(PassReason::NoBinding),
        };
        assert_eq!(
            receive(&world, &arriving().key(key).ipv4(&small_ipv4())),
            expected,
            "key {key}"
        );
    }
}

#[test]
fn a_plan_says_what_the_inner_packet_is() {
    let world = World::with_cast();
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let rows = [
        (blue().padding(4).ipv4(&v4), Payload::Ip(EtherType(IPV4)), 42, v4.len(), 4),
        (blue().ipv6(&v6), Payload::Ip(EtherType(IPV6)), 42, v6.len(), 0),
        (arriving().ipv4(&v4), Payload::Ip(EtherType(IPV4)), 38, v4.len(), 0),
        (
            green().tagged(VLAN).ethernet(&ethernet(IPV4, &v4)),
            Payload::Ethernet,
            46,
            14 + v4.len(),
            0,
        ),
    ];
    for (frame, payload, strip, inner_len, padding) in rows {
        let plan = decap_plan(&world, &frame);
        assert_eq!(
            (plan.payload, plan.strip, plan.inner_len, plan.padding, plan.ecn),
            (payload, strip, inner_len, padding, Remark::NONE),
        );
    }
}

#[test]
fn without_tunnels_everything_passes() {
    let world = World::default().strict();
    for (what, frame, _) in default_rows() {
        assert!(matches!(decap(&frame[..], &world), Verdict::Pass(_)), "{what}");
    }
    let frame = arriving().carrying(ETHERNET, &[0; 60]);
    assert_eq!(receive(&world, &frame), passed(PassReason::NotLocal));
}
