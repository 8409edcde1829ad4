//! Where an l3 tenant's packets go: by the longest prefix, and by flow.

mod support;

use std::collections::BTreeSet;

use gre_common::{
    bridge::{from_port, from_tunnel},
    tables::{IfIndex, MemberId, TunnelId, Via},
    verdict::{DropReason, PassReason, Verdict},
};
use support::{
    frame::{ARP, IPV4, IPV6},
    world::{BLUE, SPLIT, World, port_of},
};

const FIRST: Via = Via::tunnel(TunnelId(0));
const SECOND: Via = Via::tunnel(TunnelId(1));
const BESIDE: Via = Via::port(IfIndex(900));

/// [`BLUE`] has two tunnels and two ports, and so has [`SPLIT`] with other routes.
fn world() -> World {
    let mut world = World::with_cast();
    for id in [BLUE, SPLIT] {
        world.bridge(id, MemberId(0x101), MemberId(0x301));
    }
    for (prefix, ways) in [
        ("10.0.0.0/8", &[FIRST][..]),
        ("10.1.0.0/16", &[SECOND]),
        ("10.1.2.0/23", &[BESIDE]),
        ("10.1.2.3/32", &[FIRST]),
        ("10.9.0.0/16", &[Via::port(port_of(BLUE))]),
        ("10.8.0.0/16", &[FIRST, SECOND]),
        ("fd00::/8", &[FIRST]),
        ("fd00:1::/32", &[BESIDE]),
        ("fd00:8::/32", &[FIRST, SECOND]),
    ] {
        world.route(BLUE, prefix, ways);
    }
    world.route(SPLIT, "10.0.0.0/8", &[SECOND]);
    world.route(SPLIT, "0.0.0.0/0", &[BESIDE]);
    world.route(SPLIT, "::/0", &[FIRST]);
    world
}

fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&[2; 12], &ether_type.to_be_bytes()[..], packet].concat()
}

/// A UDP packet.
fn packet(dst: &str, port: u16) -> Vec<u8> {
    let udp = [&port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat();
    if let Ok(dst) = dst.parse::<std::net::Ipv4Addr>() {
        let start = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 7, 7, 7];
        return frame(IPV4, &[&start[..], &dst.octets(), &udp].concat());
    }
    let dst: std::net::Ipv6Addr = dst.parse().unwrap();
    let start = [0x60, 0, 0, 0, 0, 8, 17, 64];
    frame(IPV6, &[&start[..], &[0xfd; 16], &dst.octets(), &udp].concat())
}

#[test]
fn by_the_longest_prefix() {
    let world = world();
    let unreachable = Err(DropReason::Unreachable);
    for (id, dst, expected) in [
        (BLUE, "10.2.3.4", Ok(FIRST)),
        (BLUE, "10.1.4.1", Ok(SECOND)),
        (BLUE, "10.1.3.255", Ok(BESIDE)),
        (BLUE, "10.1.2.3", Ok(FIRST)),
        (BLUE, "10.9.0.1", Err(DropReason::SplitHorizon)),
        (BLUE, "11.0.0.1", unreachable),
        (BLUE, "fd01::1", Ok(FIRST)),
        (BLUE, "fd00:1::1", Ok(BESIDE)),
        (BLUE, "fe00::1", unreachable),
        (SPLIT, "10.1.2.3", Ok(SECOND)),
        (SPLIT, "11.0.0.1", Ok(BESIDE)),
        (SPLIT, "fd00:1::1", Ok(FIRST)),
    ] {
        let decided = match from_port(&packet(dst, 1)[..], &world, port_of(id)) {
            Verdict::Forward(way) => Ok(way.via),
            Verdict::Drop(discard) if discard.tenant() == Some(id) => Err(discard.reason),
            other => panic!("{dst}: {other:?}"),
        };
        assert_eq!(decided, expected, "{dst}");
    }
}

#[test]
fn what_came_by_a_tunnel_leaves_by_none() {
    let world = world();
    for (dst, expected) in [
        ("10.1.3.1", Ok(BESIDE)),
        ("10.9.0.1", Ok(Via::port(port_of(BLUE)))),
        ("10.2.3.4", Err(DropReason::SplitHorizon)),
        ("11.0.0.1", Err(DropReason::Unreachable)),
    ] {
        assert_eq!(from_tunnel(&packet(dst, 1)[..], &world, BLUE, false, 14), expected, "{dst}");
    }
    assert_eq!(from_tunnel(&[][..], &world, BLUE, false, 0), Err(DropReason::Unreachable));
}

#[test]
fn a_flow_stays_on_one_of_equal_ways() {
    let world = world();
    for dst in ["10.8.0.1", "fd00:8::1"] {
        let way = |port| match from_port(&packet(dst, port)[..], &world, port_of(BLUE)) {
            Verdict::Forward(way) => way.via.bits(),
            other => panic!("{other:?}"),
        };
        let ways: BTreeSet<_> = (0..100).map(way).collect();
        assert_eq!(ways, [FIRST, SECOND].map(Via::bits).into(), "{dst}");
        assert!((0..100).all(|port| way(port) == way(port)));
    }
}

#[test]
fn what_is_no_packet_is_not_routed() {
    let world = world();
    let decide = |frame: &[u8]| from_port(frame, &world, port_of(BLUE));
    for frame in [frame(ARP, &[0; 28]), frame(0x8100, &[0; 40]), vec![2; 13]] {
        assert_eq!(decide(&frame), Verdict::Pass(PassReason::NotIp));
    }
    let wrong = frame(IPV6, &[0x45; 40]);
    assert_eq!(decide(&wrong), Verdict::Drop(DropReason::InnerVersion.of(BLUE)));
    let cut = &packet("10.2.3.4", 1)[..33];
    assert_eq!(decide(cut), Verdict::Drop(DropReason::Unreachable.of(BLUE)));
}
