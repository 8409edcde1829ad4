//! What becomes of every kind of frame that a tenant sends: a table per concern, a line per case.
//!
//! Expected frames come from the builder of the tests, byte for byte.

mod support;

use gre_common::{
    encap::Payload,
    flow,
    tables::{DfPolicy, FieldPolicy, HopState, IfIndex, TenantId, Tunnel, TunnelOptions},
    verdict::{DropReason, PassReason, Verdict},
    wire::{
        address::Version,
        ethernet::{Ends, EtherType, payload},
    },
};
use support::{
    apply::{Apply, SEQUENCE},
    checksum,
    frame::{
        ARP, DONT_FRAGMENT, ETHERNET, Frame, GRE, ICMP, IPV4, IPV6, Ipv4, SERVICE_VLAN, TCP, UDP,
        VLAN, ethernet, ipv6, small_ipv4, small_ipv6, tagged,
    },
    ipv6::over_ipv6,
    outcome::{Outcome, Told, assert_rows, dropped, encap_plan, forwarded, merged, passed, send},
    plain::ip_packet,
    reasons::{self, ENCAP_DROPS, ENCAP_PASSES},
    sending::encap,
    world::{
        BLUE, GREEN, IP_ID, KEYLESS, LOCAL, REMOTE, SECOND_REMOTE, SPLIT, TWIN, WHITE, World, ZERO,
        port_of,
    },
};

/// What it is, how the tunnels differ from the default, who sends, the frame, what becomes of it.
type Row = (&'static str, fn(&mut Tunnel), TenantId, Vec<u8>, Outcome);

/// A frame to the remote end of the cast's tunnel.
fn leaving() -> Frame {
    Frame::gre().from(LOCAL).to(REMOTE)
}

fn as_default(_: &mut Tunnel) {}

fn framed(packet: &[u8]) -> Vec<u8> {
    ethernet(if packet[0] >> 4 == 4 { IPV4 } else { IPV6 }, packet)
}

#[rustfmt::skip]
fn services_and_keys() -> Vec<Row> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let (frame, frame_v6) = (framed(&v4), framed(&v6));
    let arp = ethernet(ARP, &[1; 28]);
    let own_gre = Ipv4::new(GRE).from(LOCAL).around(&[0; 24]);
    let to_second = Frame::gre().from(LOCAL).to(SECOND_REMOTE);
    let rows = [
        ("IPv4", BLUE, frame.clone(), leaving().key(10).ipv4(&v4)),
        ("IPv6", BLUE, frame_v6.clone(), leaving().key(10).ipv6(&v6)),
        ("key 0", ZERO, frame.clone(), leaving().key(0).ipv4(&v4)),
        ("no key", KEYLESS, frame.clone(), leaving().ipv4(&v4)),
        ("no key, IPv6", KEYLESS, frame_v6.clone(), leaving().ipv6(&v6)),
        ("the key of sent packets", SPLIT, frame.clone(), leaving().key(8).ipv4(&v4)),
        ("another tunnel", TWIN, frame.clone(), to_second.clone().key(20).ipv4(&v4)),
        ("a tenant's own GRE", BLUE, framed(&own_gre), leaving().key(10).ipv4(&own_gre)),
        ("Ethernet", GREEN, frame.clone(), leaving().key(20).ethernet(&frame)),
        ("Ethernet with IPv6", GREEN, frame_v6.clone(), leaving().key(20).ethernet(&frame_v6)),
        ("Ethernet without key", WHITE, frame.clone(), to_second.ethernet(&frame)),
        ("Ethernet with ARP", GREEN, arp.clone(), leaving().key(20).ethernet(&arp)),
    ];
    rows.map(|(what, tenant, frame, sent)| (what, as_default as _, tenant, frame, forwarded(tenant, &sent))).to_vec()
}

#[rustfmt::skip]
fn padding() -> Vec<Row> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let padded = |packet: &[u8]| [&framed(packet)[..], &[0; 14]].concat();
    let with_padding = leaving().key(20).ethernet(&padded(&v4));
    vec![
        ("padding behind IPv4", as_default, BLUE, padded(&v4), forwarded(BLUE, &leaving().key(10).ipv4(&v4))),
        ("padding behind IPv6", as_default, BLUE, padded(&v6), forwarded(BLUE, &leaving().key(10).ipv6(&v6))),
        // Whether an l2 tenant's bytes are padding is for the receiving end to say.
        ("padding in Ethernet", as_default, GREEN, padded(&v4), forwarded(GREEN, &with_padding)),
    ]
}

/// TTL, TOS, DF and id: how the tunnel is set, the inner packet, the outer header.
#[rustfmt::skip]
fn outer_header() -> Vec<Row> {
    type Case = (&'static str, fn(&mut Tunnel), Vec<u8>, fn(Ipv4) -> Ipv4);
    let v4 = || Ipv4::new(UDP).ttl(9).tos(0x28);
    let datagram = b"a datagram";
    let cases: Vec<Case> = vec![
        ("TTL fixed", |t| t.ttl = FieldPolicy::fixed(7), v4().around(datagram), |ip| ip.ttl(7)),
        ("TTL inherited", |t| t.ttl = FieldPolicy::INHERIT, v4().around(datagram), |ip| ip.ttl(9)),
        ("hop limit inherited", |t| t.ttl = FieldPolicy::INHERIT, ipv6(0, 9, UDP, datagram), |ip| ip.ttl(9)),
        ("TOS fixed", |t| t.tos = FieldPolicy::fixed(0xb8), v4().around(datagram), |ip| ip.tos(0xb8)),
        ("TOS inherited", |t| t.tos = FieldPolicy::INHERIT, v4().around(datagram), |ip| ip.tos(0x28)),
        ("class inherited", |t| t.tos = FieldPolicy::INHERIT, ipv6(0x28, 9, UDP, datagram), |ip| ip.tos(0x28)),
        ("a fixed TOS has no ECN", |t| t.tos = FieldPolicy::fixed(0xbb), v4().around(datagram), |ip| ip.tos(0xb8)),
        ("DF set", |t| t.df = DfPolicy::SET, v4().around(datagram), |ip| ip),
        ("DF clear", |t| t.df = DfPolicy::CLEAR, v4().dont_fragment().around(datagram), |ip| ip.fragment(0).id(IP_ID)),
        ("DF copied", |t| t.df = DfPolicy::COPY, v4().dont_fragment().around(datagram), |ip| ip),
        ("no DF copied", |t| t.df = DfPolicy::COPY, v4().around(datagram), |ip| ip.fragment(0).id(IP_ID)),
        ("DF for IPv6", |t| t.df = DfPolicy::COPY, ipv6(0, 9, UDP, datagram), |ip| ip),
    ];
    cases
        .into_iter()
        .flat_map(|(what, setting, packet, outer)| {
            let frame = framed(&packet);
            let two_tags = tagged(&[SERVICE_VLAN, VLAN], u16::from_be_bytes([frame[12], frame[13]]), &packet);
            let payload_type = if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
            let l3 = leaving().ip(outer).key(10).carrying(payload_type, &packet);
            let l2 = leaving().ip(outer).key(20).ethernet(&frame);
            let l2_tagged = leaving().ip(outer).key(20).ethernet(&two_tags);
            [
                (what, setting, BLUE, frame.clone(), forwarded(BLUE, &l3)),
                (what, setting, GREEN, frame, forwarded(GREEN, &l2)),
                (what, setting, GREEN, two_tags, forwarded(GREEN, &l2_tagged)),
            ]
        })
        .chain(outer_header_without_inner_ip())
        .collect()
}

#[rustfmt::skip]
fn outer_header_without_inner_ip() -> Vec<Row> {
    let arp = ethernet(ARP, &[1; 28]);
    let sent =
        |outer: fn(Ipv4) -> Ipv4| forwarded(GREEN, &leaving().ip(outer).key(20).ethernet(&ethernet(ARP, &[1; 28])));
    vec![
        ("no TTL to inherit", |t| t.ttl = FieldPolicy::INHERIT, GREEN, arp.clone(), sent(|ip| ip)),
        ("no TOS to inherit", |t| t.tos = FieldPolicy::INHERIT, GREEN, arp.clone(), sent(|ip| ip)),
        ("no DF to copy", |t| t.df = DfPolicy::COPY, GREEN, arp, sent(|ip| ip)),
    ]
}

/// RFC 6040 section 4.1, normal mode: the outer ECN field is the inner one.
#[rustfmt::skip]
fn congestion() -> Vec<Row> {
    (0..4)
        .flat_map(|ecn: u8| {
            let v4 = Ipv4::new(UDP).tos(0x28 | ecn).around(b"a datagram");
            let v6 = ipv6(0x28 | ecn, 64, UDP, b"a datagram");
            let (framed_v4, framed_v6, tagged_v6) = (framed(&v4), framed(&v6), tagged(&[VLAN], IPV6, &v6));
            let fixed: fn(&mut Tunnel) = |t| t.tos = FieldPolicy::fixed(0xb8);
            let inherit: fn(&mut Tunnel) = |t| t.tos = FieldPolicy::INHERIT;
            let blue = |dscp| leaving().key(10).ip(|ip| ip.tos(dscp | ecn));
            let green = |dscp| leaving().key(20).ip(|ip| ip.tos(dscp | ecn));
            [
                ("ECN, IPv4", fixed, BLUE, framed_v4.clone(), forwarded(BLUE, &blue(0xb8).ipv4(&v4))),
                ("ECN, IPv6", fixed, BLUE, framed_v6, forwarded(BLUE, &blue(0xb8).ipv6(&v6))),
                ("ECN, TOS inherited", inherit, BLUE, framed_v4.clone(), forwarded(BLUE, &blue(0x28).ipv4(&v4))),
                ("ECN, Ethernet", fixed, GREEN, framed_v4.clone(), forwarded(GREEN, &green(0xb8).ethernet(&framed_v4))),
                ("ECN, VLAN tag", fixed, GREEN, tagged_v6.clone(), forwarded(GREEN, &green(0xb8).ethernet(&tagged_v6))),
            ]
        })
        .collect()
}

#[rustfmt::skip]
fn not_sent() -> Vec<Row> {
    use DropReason::{InnerLength, InnerVersion, Loop, NoRoute, PacketTooBig, Unresolved};
    use PassReason::{NoTenant, NotIp, TtlExpired};
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let arp = ethernet(ARP, &[1; 28]);
    let lie = |change: fn(Ipv4) -> Ipv4| framed(&change(Ipv4::new(UDP)).around(b"12345678"));
    let no_route: fn(&mut Tunnel) = |t| t.next_hop.state = HopState::NO_ROUTE;
    let unresolved: fn(&mut Tunnel) = |t| t.next_hop.state = HopState::UNRESOLVED;
    let narrow_without_df: fn(&mut Tunnel) = |t| (t.next_hop.mtu, t.df) = (59, DfPolicy::CLEAR);
    let narrow: fn(&mut Tunnel) = |t| t.next_hop.mtu = 59;
    vec![
        ("no tenant", as_default, TenantId(99), framed(&v4), passed(NoTenant)),
        ("ARP of an l3 tenant", as_default, BLUE, arp.clone(), passed(NotIp)),
        ("VLAN tag of an l3 tenant", as_default, BLUE, tagged(&[VLAN], IPV4, &v4), passed(NotIp)),
        ("a runt of an l3 tenant", as_default, BLUE, vec![0; 13], passed(NotIp)),
        ("Ethernet as an l3 payload", as_default, BLUE, ethernet(ETHERNET, &framed(&v4)), passed(NotIp)),
        ("TTL 0", as_default, BLUE, framed(&Ipv4::new(UDP).ttl(0).around(&[0; 8])), passed(TtlExpired)),
        ("hop limit 0", as_default, BLUE, framed(&ipv6(0, 0, UDP, &[0; 8])), passed(TtlExpired)),
        ("IPv6 said to be IPv4", as_default, BLUE, ethernet(IPV4, &v6), dropped(BLUE, InnerVersion)),
        ("IPv4 said to be IPv6", as_default, BLUE, ethernet(IPV6, &v4), dropped(BLUE, InnerVersion)),
        ("IPv4 longer than the frame", as_default, BLUE, lie(|ip| ip.claiming(29)), dropped(BLUE, InnerLength)),
        ("IPv4 shorter than its header", as_default, BLUE, lie(|ip| ip.claiming(19)), dropped(BLUE, InnerLength)),
        ("ihl beyond the IPv4 length", as_default, BLUE, lie(|ip| ip.header_words(8)), dropped(BLUE, InnerLength)),
        ("IPv6 cut off", as_default, BLUE, ethernet(IPV6, &v6[..v6.len() - 1]), dropped(BLUE, InnerLength)),
        ("what the tunnel sent", as_default, BLUE, leaving().key(11).ipv4(&v4), dropped(BLUE, Loop)),
        ("what the tunnel sent, in Ethernet", as_default, GREEN, leaving().key(10).ipv4(&v4), dropped(GREEN, Loop)),
        ("no route", no_route, BLUE, framed(&v4), dropped(BLUE, NoRoute)),
        ("no route for Ethernet", no_route, GREEN, arp.clone(), dropped(GREEN, NoRoute)),
        ("ARP to an unresolved next hop", unresolved, GREEN, arp, dropped(GREEN, Unresolved)),
        ("too big", narrow, BLUE, framed(&v4), dropped(BLUE, PacketTooBig)),
        ("too big and DF clear", narrow_without_df, BLUE, framed(&v4), dropped(BLUE, PacketTooBig)),
    ]
}

/// With `--csum`, `--seq` and `--ecn compatibility`.
#[rustfmt::skip]
fn options() -> Vec<Row> {
    let checksum: fn(&mut Tunnel) = |t| t.options = TunnelOptions::CHECKSUM;
    let sequence: fn(&mut Tunnel) = |t| t.options = TunnelOptions::SEQUENCE;
    let both: fn(&mut Tunnel) = |t| t.options = TunnelOptions::CHECKSUM.with(TunnelOptions::SEQUENCE, true);
    let compatibility: fn(&mut Tunnel) = |t| t.options = TunnelOptions::ECN_COMPATIBILITY;
    let inherited: fn(&mut Tunnel) = |t| (t.options, t.tos) = (TunnelOptions::ECN_COMPATIBILITY, FieldPolicy::INHERIT);
    let (v4, odd) = (small_ipv4(), Ipv4::new(UDP).around(b"odd"));
    let ce = Ipv4::new(UDP).tos(0x2b).around(b"a datagram");
    let arp = ethernet(ARP, &[1; 28]);
    vec![
        ("checksum", checksum, BLUE, framed(&v4), forwarded(BLUE, &leaving().key(10).checksum().ipv4(&v4))),
        ("checksum without key", checksum, KEYLESS, framed(&v4), forwarded(KEYLESS, &leaving().checksum().ipv4(&v4))),
        ("checksum over an odd number of bytes", checksum, BLUE, framed(&odd), forwarded(BLUE, &leaving().key(10).checksum().ipv4(&odd))),
        ("checksum without padding", checksum, BLUE, [&framed(&odd)[..], &[0xee; 9]].concat(), forwarded(BLUE, &leaving().key(10).checksum().ipv4(&odd))),
        ("checksum over Ethernet", checksum, GREEN, arp.clone(), forwarded(GREEN, &leaving().key(20).checksum().ethernet(&arp))),
        ("sequence", sequence, BLUE, framed(&v4), forwarded(BLUE, &leaving().key(10).sequence(SEQUENCE).ipv4(&v4))),
        ("sequence without key", sequence, KEYLESS, framed(&v4), forwarded(KEYLESS, &leaving().sequence(SEQUENCE).ipv4(&v4))),
        ("checksum and sequence", both, GREEN, framed(&v4), forwarded(GREEN, &leaving().key(20).checksum().sequence(SEQUENCE).ethernet(&framed(&v4)))),
        ("ECN compatibility mode", compatibility, BLUE, framed(&ce), forwarded(BLUE, &leaving().key(10).ipv4(&ce))),
        ("ECN compatibility mode, DSCP inherited", inherited, BLUE, framed(&ce), forwarded(BLUE, &leaving().key(10).ip(|ip| ip.tos(0x28)).ipv4(&ce))),
    ]
}

fn rows() -> Vec<Row> {
    [services_and_keys(), padding(), outer_header(), congestion(), options(), not_sent()].concat()
}

/// But for fields that IPv6 does not have, the outer header says the same.
#[test]
fn over_ipv6_every_frame_meets_the_same_fate() {
    assert_rows(rows().into_iter().map(|(what, setting, tenant, frame, expected)| {
        let narrow = |tunnel: &mut Tunnel| {
            setting(tunnel);
            // A header that is longer by 20 bytes.
            tunnel.next_hop.mtu += 20;
        };
        let world = World::with_cast().tunnels(narrow).over_ipv6();
        let frame =
            if expected == dropped(tenant, DropReason::Loop) { over_ipv6(&frame) } else { frame };
        let outcome = match send(&world, tenant, &frame) {
            Outcome::Forwarded(tenant, mut sent, notice) => {
                let label = u32::from_be_bytes([0, sent[15] & 0xf, sent[16], sent[17]]);
                // An l2 tenant's bytes are all inside, an l3 tenant's padding is not.
                let is_l2 = [GREEN, WHITE].contains(&tenant);
                let end = if is_l2 { frame.len() } else { ip_packet(&frame).unwrap().end };
                assert_eq!(label, label_of(&frame[..end]), "{what}");
                sent[15] &= 0xf0;
                sent[16..18].fill(0);
                Outcome::Forwarded(tenant, sent, notice)
            }
            other => other,
        };
        let expected = match expected {
            Outcome::Forwarded(tenant, sent, notice) => {
                Outcome::Forwarded(tenant, over_ipv6(&sent), notice)
            }
            other => other,
        };
        (what, outcome, expected)
    }));
}

/// The flow label of a tenant's frame: 20 bits of the flow's hash (RFC 6438).
fn label_of(frame: &[u8]) -> u32 {
    let payload = payload(frame, 0);
    let version = match (payload.ether_type, frame[payload.offset] >> 4) {
        (EtherType::IPV4, 4) => Version::V4,
        (EtherType::IPV6, 6) => Version::V6,
        _ => Version::NOT_IP,
    };
    flow::hash(frame, version, payload.offset, 0..frame.len()) >> 12
}

/// The kernel could be told of neither.
#[test]
fn a_merged_packet_has_no_checksum_and_no_number() {
    let frame = framed(&Ipv4::new(TCP).around(&[&tcp(0)[..], &[0; 9000]].concat()));
    for options in [TunnelOptions::CHECKSUM, TunnelOptions::SEQUENCE] {
        let world = World::with_cast().tunnels(|tunnel| tunnel.options = options);
        for tenant in [BLUE, GREEN] {
            let verdict = encap(&merged(&frame, 1400), &world, port_of(tenant));
            assert_eq!(verdict, Verdict::Drop(DropReason::Unsegmented.of(tenant)));
        }
    }
}

/// The GRE checksum is right once a device has filled in the transport checksum, and where it is there already.
#[test]
fn a_checksum_covers_a_transport_checksum_to_come() {
    let world = World::with_cast().tunnels(|tunnel| tunnel.options = TunnelOptions::CHECKSUM);
    let (ends4, ends6) = ([10, 9, 0, 1, 10, 9, 0, 2].to_vec(), [[0xfd; 16], [0xfe; 16]].concat());
    for (protocol, field, header) in [(TCP, 16, tcp(4)), (UDP, 6, vec![0; 8])] {
        for data in [&b"an odd number"[..], b"even"] {
            let pending = [&header[..], data].concat();
            for (ends, v6) in [(&ends4, false), (&ends6, true)] {
                let rest = [0, 0, 0, protocol, 0, 0, 0, pending.len() as u8];
                let pseudo_header = [&ends[..], &rest].concat();
                let with = |sum: u16| {
                    let mut transport = pending.clone();
                    transport[field..field + 2].copy_from_slice(&sum.to_be_bytes());
                    let packet = if v6 {
                        ipv6(0, 64, protocol, &transport)
                    } else {
                        Ipv4::new(protocol).around(&transport)
                    };
                    framed(&packet)
                };
                let there = with(checksum::internet(&[&pseudo_header[..], &pending].concat()));
                let partial = with(!checksum::internet(&pseudo_header));
                for tenant in [BLUE, GREEN] {
                    let headers = |frame| {
                        let told = Told { frame, segment: 0, stripped_vlan: false };
                        encap_plan(&world, tenant, &told).headers
                    };
                    assert_eq!(
                        headers(&partial),
                        headers(&there),
                        "protocol {protocol}, {tenant:?}"
                    );
                    assert_eq!(headers(&there), encap_plan(&world, tenant, &there[..]).headers);
                }
                // Neither: the bytes as they are.
                let wrong = with(0x1234);
                let told = Told { frame: &wrong, segment: 0, stripped_vlan: false };
                let headers = encap_plan(&world, BLUE, &told).headers;
                assert_eq!(headers, encap_plan(&world, BLUE, &wrong[..]).headers);
            }
        }
    }
}

/// A tag that the device took out is back in the sum, as it is in the frame.
#[test]
fn a_stripped_vlan_tag_is_summed() {
    let world = World::with_cast().tunnels(|tunnel| tunnel.options = TunnelOptions::CHECKSUM);
    let whole = tagged(&[VLAN], IPV4, &small_ipv4());
    let stripped = [&whole[..12], &whole[16..]].concat();
    let taken = Told { frame: &stripped, segment: 0, stripped_vlan: true };
    let there = encap_plan(&world, GREEN, &whole[..]);
    assert_eq!(encap_plan(&world, GREEN, &taken).headers, there.headers);
}

#[test]
fn every_frame_meets_its_fate() {
    assert_rows(rows().into_iter().map(|(what, setting, tenant, frame, expected)| {
        let world = World::with_cast().tunnels(setting);
        (what, send(&world, tenant, &frame), expected)
    }));
}

#[test]
fn every_reason_has_a_row() {
    let (passed, dropped) = reasons::in_rows(rows().into_iter().map(|row| row.4));
    for reason in ENCAP_PASSES {
        assert!(passed.contains(reason), "{reason:?}");
    }
    for reason in ENCAP_DROPS {
        // Only of merged packets, which no row has.
        let elsewhere = *reason == DropReason::Unsegmented;
        assert!(elsewhere || dropped.contains(reason), "{reason:?}");
    }
}

#[test]
fn an_ip_packet_cut_at_any_byte_is_not_sent() {
    let world = World::with_cast();
    for packet in [small_ipv4(), small_ipv6()] {
        let frame = framed(&packet);
        for len in 0..frame.len() {
            let outcome = send(&world, BLUE, &frame[..len]);
            assert!(!matches!(outcome, Outcome::Forwarded(..)), "cut to {len} bytes: {outcome:?}");
        }
    }
}

#[test]
fn the_kernel_finds_the_neighbour_for_ip_packets() {
    let unresolved = |tunnel: &mut Tunnel| {
        tunnel.next_hop.state = HopState::UNRESOLVED;
        tunnel.next_hop.ends = Ends::NONE;
    };
    let world = World::with_cast().tunnels(unresolved);
    for tenant in [BLUE, GREEN] {
        let plan = encap_plan(&world, tenant, &framed(&small_ipv4())[..]);
        let hop = plan.tunnel.next_hop;
        assert_eq!((hop.state, hop.address), (HopState::UNRESOLVED, plan.tunnel.remote));
        assert_eq!(hop.ifindex, IfIndex(2));
    }
}

#[test]
fn a_plan_says_what_the_inner_packet_is() {
    let world = World::with_cast();
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let rows = [
        (BLUE, framed(&v4), Payload::Ip, 14),
        (BLUE, framed(&v6), Payload::Ip, 14),
        (GREEN, framed(&v4), Payload::EthernetIp, 0),
        (GREEN, tagged(&[VLAN], IPV6, &v6), Payload::EthernetIp, 0),
        (GREEN, tagged(&[SERVICE_VLAN, VLAN], IPV4, &v4), Payload::EthernetIp, 0),
        (GREEN, ethernet(ARP, &[1; 28]), Payload::Ethernet, 0),
        // The kernel refuses to treat this as IP.
        (GREEN, ethernet(IPV4, &v6), Payload::Ethernet, 0),
    ];
    for (tenant, frame, payload, strip) in rows {
        let plan = encap_plan(&world, tenant, &frame[..]);
        assert_eq!((plan.payload, plan.strip), (payload, strip), "{frame:02x?}");
    }
}

/// Who sends, what stands before the inner IP packet, and how much room each MTU needs for it.
const OVERHEADS: [(TenantId, &[u16], usize); 5] = [
    // The overheads that every description of GRE gives: 24 bytes, 28 with key, 14 more for Ethernet.
    (KEYLESS, &[], 24),
    (BLUE, &[], 28),
    (WHITE, &[], 38),
    (GREEN, &[], 42),
    (GREEN, &[VLAN], 46),
];

#[test]
fn the_largest_packet_that_fits_is_sent_and_no_larger_one() {
    for (tenant, tags, overhead) in OVERHEADS {
        for (version, header_len) in [(IPV4, 20), (IPV6, 40)] {
            let frame = |len: usize| {
                let payload = vec![0; len - header_len];
                let packet = match version {
                    IPV4 => Ipv4::new(ICMP).around(&payload),
                    _ => ipv6(0, 64, ICMP, &payload),
                };
                tagged(tags, version, &packet)
            };
            let fits = |setting: &dyn Fn(&mut Tunnel), len: usize| {
                let outcome = send(&World::with_cast().tunnels(setting), tenant, &frame(len));
                match outcome {
                    Outcome::Forwarded(..) => true,
                    refused => {
                        assert_eq!(refused, dropped(tenant, DropReason::PacketTooBig));
                        false
                    }
                }
            };
            let path = |t: &mut Tunnel| t.next_hop.mtu = 1000;
            let tunnel = |t: &mut Tunnel| t.mtu = 900;
            let both = |t: &mut Tunnel| (t.next_hop.mtu, t.mtu) = (1000, 990);
            assert!(fits(&path, 1000 - overhead) && !fits(&path, 1001 - overhead));
            assert!(fits(&tunnel, 900) && !fits(&tunnel, 901));
            assert!(fits(&both, 1000 - overhead) && !fits(&both, 1001 - overhead));
        }
    }
}

/// Bytes of a TCP header with its options.
fn tcp(options: usize) -> Vec<u8> {
    let mut header = vec![0; 20 + options];
    header[12] = (((20 + options) / 4) << 4) as u8;
    header
}

#[test]
fn a_merged_packet_is_judged_by_its_segments() {
    let world = World::with_cast();
    let udp = || vec![0; 8];
    let transports = [(TCP, tcp(0)), (TCP, tcp(12)), (TCP, tcp(40)), (UDP, udp())];
    for (tenant, tags, overhead) in OVERHEADS {
        for (protocol, transport) in &transports {
            let data = [&transport[..], &vec![0; 30_000]].concat();
            let v4 = Ipv4::new(*protocol).options(&[1; 4]).around(&data);
            let v6 = ipv6(0, 64, *protocol, &data);
            for (version, packet, header_len) in [(IPV4, v4, 24), (IPV6, v6, 40)] {
                let frame = tagged(tags, version, &packet);
                let verdict = |segment| encap(&merged(&frame, segment), &world, port_of(tenant));
                let largest = 1500 - overhead - header_len - transport.len();
                assert!(
                    matches!(verdict(largest), Verdict::Forward(_)),
                    "{largest} for {tenant:?}"
                );
                let too_big = Verdict::Drop(DropReason::PacketTooBig.of(tenant));
                assert_eq!(verdict(largest + 1), too_big);
                // Not merged, it is as large as it is.
                assert_eq!(verdict(0), too_big);
            }
        }
    }
}

#[test]
fn a_merged_packet_obeys_the_tunnel_mtu() {
    let packet = Ipv4::new(TCP).around(&[&tcp(0)[..], &[0; 9000]].concat());
    let world = World::with_cast().tunnels(|tunnel| tunnel.mtu = 1400);
    for tenant in [BLUE, GREEN] {
        let frame = framed(&packet);
        let verdict = |segment| encap(&merged(&frame, segment), &world, port_of(tenant));
        assert!(matches!(verdict(1360), Verdict::Forward(_)));
        assert_eq!(verdict(1361), Verdict::Drop(DropReason::PacketTooBig.of(tenant)));
    }
}

/// Devices take the outermost tag out of a frame's bytes; the tenant's frame has it all the same.
#[test]
fn a_stripped_vlan_tag_counts_as_if_it_were_there() {
    let udp = Ipv4::new(UDP).tos(0x29).ttl(9).around(&[0; 9000]);
    let arp = tagged(&[VLAN], ARP, &[1; 28]);
    let frames = [tagged(&[VLAN], IPV4, &udp), tagged(&[VLAN, VLAN], IPV4, &udp), arp];
    // Of the path and of the tunnel: around the size of the whole packet, and of a segment.
    let around_whole = [(9065, 0), (9066, 0), (9100, 9019), (9100, 9020)];
    let around_segment = [(1073, 0), (1074, 0), (9100, 1027), (9100, 1028)];
    for (path_mtu, tunnel_mtu) in around_whole.into_iter().chain(around_segment) {
        let world = World::with_cast().tunnels(|tunnel| {
            tunnel.ttl = FieldPolicy::INHERIT;
            tunnel.next_hop.mtu = path_mtu;
            tunnel.mtu = tunnel_mtu;
        });
        for (frame, tenant) in frames.iter().flat_map(|frame| [(frame, GREEN), (frame, BLUE)]) {
            let stripped = [&frame[..12], &frame[16..]].concat();
            for segment in [0, 1000] {
                let there = Told { frame, segment, stripped_vlan: false };
                let taken = Told { frame: &stripped, segment, stripped_vlan: true };
                let [there, taken] =
                    [there, taken].map(|told| encap(&told, &world, port_of(tenant)));
                assert_eq!(taken, there, "{tenant:?}, MTU {path_mtu} and {tunnel_mtu}");
            }
        }
    }
}

/// BIG TCP: the length fields have no room for the length.
#[test]
fn a_merged_packet_may_be_longer_than_its_length_field_can_say() {
    let world = World::with_cast();
    let mut v4 = Ipv4::new(TCP).dont_fragment().around(&tcp(0));
    v4[2..4].fill(0);
    let mut v6 = ipv6(0, 64, TCP, &tcp(0));
    v6[4..6].fill(0);
    for packet in [v4, v6] {
        let frame = [framed(&packet), vec![0; 100_000]].concat();
        let plan = encap_plan(&world, BLUE, &merged(&frame, 1400));
        assert_eq!((plan.strip, plan.inner_len, plan.padding), (14, frame.len() - 14, 0));
        assert_eq!(plan.apply(&frame)[16..18], [0xff; 2], "outer IP length");
    }
}

#[test]
fn the_dont_fragment_bit_is_not_inverted() {
    for (df, expected) in [(DfPolicy::SET, DONT_FRAGMENT), (DfPolicy::CLEAR, 0)] {
        let world = World::with_cast().tunnels(|tunnel| tunnel.df = df);
        let Outcome::Forwarded(_, frame, _) = send(&world, BLUE, &framed(&small_ipv4())) else {
            panic!("not sent")
        };
        assert_eq!(u16::from_be_bytes([frame[20], frame[21]]), expected);
    }
}
