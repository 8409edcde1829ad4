//! What the sender of a packet that does not fit is told, and of which packets nobody is.

mod support;

use gre_common::{
    tables::{TenantId, Tunnel, TunnelOptions},
    too_big::TooBig,
};
use support::{
    apply::answer,
    checksum::{self, assert_well_formed},
    frame::{
        ARP, DONT_FRAGMENT, Frame, ICMP, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, SERVICE_VLAN, TCP, UDP,
        VLAN, ethernet, ipv6, tagged,
    },
    outcome::{Told, dropped, merged, send},
    world::{BLUE, GREEN, World, tunnel_of},
};

use gre_common::verdict::DropReason;

const ICMP_V6: u8 = 58;

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    Ipv4::new(protocol).dont_fragment().around(payload)
}

/// What is told to the sender of a frame.
fn told(world: &World, tenant: TenantId, frame: &[u8]) -> Option<Vec<u8>> {
    TooBig::about(frame, world, tenant, tunnel_of(world, tenant))
        .map(|too_big| answer(&too_big, frame))
}

/// How the tunnels differ from the default, tenant, VLAN tags, the MTU told over IPv4 and IPv6.
type Way = (&'static str, fn(&mut Tunnel), TenantId, &'static [u16], [u16; 2]);

const WAYS: [Way; 7] = [
    ("l3", |_| (), BLUE, &[], [1472, 1472]),
    ("l2", |_| (), GREEN, &[], [1458, 1458]),
    ("l2 with a tag", |_| (), GREEN, &[VLAN], [1454, 1454]),
    ("l2 with two tags", |_| (), GREEN, &[SERVICE_VLAN, VLAN], [1450, 1450]),
    ("with checksum", |t| t.options = TunnelOptions::CHECKSUM, BLUE, &[], [1468, 1468]),
    ("a tunnel with an MTU", |t| t.mtu = 1300, GREEN, &[VLAN], [1300, 1300]),
    ("less than IPv6 asks for", |t| t.next_hop.mtu = 90, BLUE, &[], [68, 1280]),
];

#[test]
fn the_answer_says_what_fits() {
    for (what, setting, tenant, tags, [mtu, mtu_v6]) in WAYS {
        let world = World::with_cast().tunnels(setting);
        for payload in [1473, 1474, 3000] {
            for (version, packet) in
                [(IPV4, v4(UDP, &vec![7; payload])), (IPV6, ipv6(0, 64, UDP, &vec![7; payload]))]
            {
                let frame = tagged(tags, version, &packet);
                assert_eq!(send(&world, tenant, &frame), dropped(tenant, DropReason::PacketTooBig));
                let answer = told(&world, tenant, &frame).expect("an answer");
                let link_len = 14 + tags.len() * 4;
                let link = [&frame[6..12], &frame[..6], &frame[12..link_len]].concat();
                assert_eq!(answer[..link_len], link, "{what}");
                let answer = &answer[link_len..];
                assert_well_formed(answer);
                if version == IPV4 {
                    assert_eq!(answer.len(), 576, "{what}");
                    assert_eq!(answer[..2], [0x45, 0xc0]);
                    assert_eq!(answer[4..10], [0, 0, 0x40, 0, 64, ICMP]);
                    assert_eq!(answer[12..20], [&packet[16..20], &packet[12..16]].concat());
                    assert_eq!(answer[20..22], [3, 4]);
                    assert_eq!(answer[24..28], u32::from(mtu).to_be_bytes(), "{what}");
                    assert_eq!(answer[28..], packet[..548]);
                } else {
                    assert_eq!(answer.len(), 1280, "{what}");
                    assert_eq!(answer[6..8], [ICMP_V6, 64]);
                    assert_eq!(answer[8..40], [&packet[24..40], &packet[8..24]].concat());
                    assert_eq!(answer[40..42], [2, 0]);
                    assert_eq!(answer[44..48], u32::from(mtu_v6).to_be_bytes(), "{what}");
                    assert_eq!(answer[48..], packet[..1232]);
                }
            }
        }
    }
}

#[test]
fn no_more_is_quoted_than_there_is() {
    let world = World::with_cast().tunnels(|tunnel| tunnel.mtu = 100);
    for (packet, headers) in [(v4(UDP, &[7; 101]), 28), (ipv6(0, 64, UDP, &[7; 101]), 48)] {
        let version = if headers == 28 { IPV4 } else { IPV6 };
        let frame = [&ethernet(version, &packet)[..], &[0xee; 9]].concat();
        let answer = told(&world, BLUE, &frame).expect("an answer");
        assert_well_formed(&answer[14..]);
        assert_eq!(answer[14 + headers..], packet);
    }
}

/// The length fields of a merged packet may say nothing (BIG TCP).
#[test]
fn a_merged_packet_is_quoted_by_its_bytes() {
    let mut packet = v4(TCP, &[7; 4000]);
    packet[2..4].fill(0);
    checksum::fill_ipv4(&mut packet, 0);
    let frame = ethernet(IPV4, &packet);
    let world = World::with_cast();
    let too_big = TooBig::about(&merged(&frame, 2000), &world, BLUE, tunnel_of(&world, BLUE))
        .expect("an answer");
    assert_eq!((too_big.quoted, too_big.mtu), (548, 1472));
}

#[test]
fn a_stripped_tag_takes_room() {
    let frame = ethernet(IPV4, &v4(UDP, &[7; 1500]));
    let told = Told { frame: &frame, segment: 0, stripped_vlan: true };
    let world = World::with_cast();
    let too_big = TooBig::about(&told, &world, GREEN, tunnel_of(&world, GREEN)).expect("an answer");
    assert_eq!((too_big.link_len, too_big.mtu), (14, 1454));
}

#[rustfmt::skip]
#[test]
fn nobody_is_told() {
    let fill = |start: &[u8]| [start, &[0; 1500]].concat();
    let broadcast = [&[0xff; 6], &ethernet(IPV4, &v4(UDP, &fill(&[])))[6..]].concat();
    let six = |source: [u8; 16], destination: [u8; 16]| {
        let mut packet = ipv6(0, 64, UDP, &fill(&[]));
        packet[8..40].copy_from_slice(&[source, destination].concat());
        ethernet(IPV6, &packet)
    };
    let one = |last| { let mut address = [0; 16]; address[15] = last; address };
    let four = |source, destination| ethernet(IPV4, &Ipv4::new(UDP).dont_fragment().from(source).to(destination).around(&fill(&[])));
    let rows = [
        ("it may be fragmented", ethernet(IPV4, &Ipv4::new(UDP).around(&fill(&[])))),
        ("a later fragment", ethernet(IPV4, &Ipv4::new(UDP).fragment(DONT_FRAGMENT | 1).around(&fill(&[])))),
        ("a later fragment of IPv6", ethernet(IPV6, &ipv6(0, 64, 44, &fill(&[UDP, 0, 0, 8, 0, 0, 0, 0])))),
        ("an error about an error", ethernet(IPV4, &v4(ICMP, &fill(&[3, 4])))),
        ("a redirect", ethernet(IPV4, &v4(ICMP, &fill(&[5, 0])))),
        ("an ICMP type that nobody knows", ethernet(IPV4, &v4(ICMP, &fill(&[99, 0])))),
        ("an ICMPv6 error", ethernet(IPV6, &ipv6(0, 64, ICMP_V6, &fill(&[1, 0])))),
        ("an ICMPv6 redirect", ethernet(IPV6, &ipv6(0, 64, ICMP_V6, &fill(&[137, 0])))),
        ("an ICMPv6 error in a first fragment", ethernet(IPV6, &ipv6(0, 64, 44, &fill(&[ICMP_V6, 0, 0, 1, 0, 0, 0, 0, 1])))),
        ("hop-by-hop options", ethernet(IPV6, &ipv6(0, 64, 0, &fill(&[UDP, 0, 1, 4, 0, 0, 0, 0])))),
        ("from nowhere", four([0; 4], [10, 9, 0, 2])),
        ("from loopback", four([127, 0, 0, 1], [10, 9, 0, 2])),
        ("to multicast", four([10, 9, 0, 1], [224, 0, 0, 5])),
        ("to broadcast", four([10, 9, 0, 1], [255; 4])),
        ("in a broadcast frame", broadcast),
        ("from nowhere, IPv6", six(one(0), [0xfd; 16])),
        ("from loopback, IPv6", six(one(1), [0xfd; 16])),
        ("from multicast, IPv6", six([0xff; 16], [0xfd; 16])),
        ("to multicast, IPv6", six([0xfd; 16], [0xff; 16])),
        ("not IP", ethernet(ARP, &fill(&[]))),
        ("another version than said", ethernet(IPV6, &v4(UDP, &fill(&[])))),
    ];
    let world = World::with_cast();
    for (what, frame) in &rows {
        assert_eq!(told(&world, GREEN, frame), None, "{what}");
    }
    assert_eq!(told(&world, TenantId(99), &rows[0].1), None, "no tenant");
}

#[rustfmt::skip]
#[test]
fn these_are_told() {
    let fill = |start: &[u8]| [start, &[0; 1500]].concat();
    let rows = [
        ("an echo request", ethernet(IPV4, &v4(ICMP, &fill(&[8, 0])))),
        ("an echo request, IPv6", ethernet(IPV6, &ipv6(0, 64, ICMP_V6, &fill(&[128, 0])))),
        ("a first fragment", ethernet(IPV4, &Ipv4::new(UDP).fragment(DONT_FRAGMENT | MORE_FRAGMENTS).around(&fill(&[])))),
        ("a first fragment, IPv6", ethernet(IPV6, &ipv6(0, 64, 44, &fill(&[ICMP_V6, 0, 0, 1, 0, 0, 0, 0, 128])))),
        ("options", ethernet(IPV4, &Ipv4::new(TCP).dont_fragment().options(&[1; 40]).around(&fill(&[])))),
        ("GRE", ethernet(IPV4, &Frame::gre().key(1).ipv4(&fill(&[0x45]))[14..])),
    ];
    for (what, frame) in &rows {
        assert!(told(&World::with_cast(), GREEN, frame).is_some(), "{what}");
    }
}
