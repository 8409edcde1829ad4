//! From whom a tenant's packets may come.

mod support;

use gre_common::{
    bridge::from_port,
    decap::decap,
    verdict::{DropReason, Verdict},
    wire::ethernet::MacAddr,
};
use support::{
    frame::{ARP, ETHERNET, Frame, IPV4, IPV6},
    world::{BLUE, GREEN, LOCAL, REMOTE, World, port_of},
};

const STATION: MacAddr = [2, 0, 0, 0, 0, 1];
const STRANGER: MacAddr = [2, 0, 0, 0, 0, 9];

fn world() -> World {
    let mut world = World::with_cast();
    world.allow(BLUE, "10.0.0.0/8");
    world.allow(BLUE, "fd00::/16");
    world.allow(GREEN, "10.0.0.0/8");
    world.allow_mac(GREEN, STATION);
    world
}

fn frame(src: MacAddr, ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&[2; 6], &src[..], &ether_type.to_be_bytes(), packet].concat()
}

fn v4(src: [u8; 4]) -> Vec<u8> {
    let start = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0];
    [&start[..], &src, &[10, 0, 0, 2]].concat()
}

fn v6(src: [u8; 4]) -> Vec<u8> {
    let [a, b, c, d] = src;
    let src = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, d];
    [&[0x60, 0, 0, 0, 0, 0, 59, 64][..], &src, &[0xfd; 16]].concat()
}

fn arp(sender: [u8; 4]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 1][..], &STATION, &sender, &[0; 10]].concat()
}

/// What a tenant sends, and what he receives, is judged alike.
#[test]
fn both_ways() {
    let world = world();
    for (what, id, ether_type, src, packet, allowed) in [
        ("IPv4", BLUE, IPV4, STATION, v4([10, 1, 2, 3]), true),
        ("IPv4 of a stranger", BLUE, IPV4, STATION, v4([11, 1, 2, 3]), false),
        ("IPv6", BLUE, IPV6, STATION, v6([0xfd, 0, 1, 1]), true),
        ("IPv6 of a stranger", BLUE, IPV6, STATION, v6([0xfd, 1, 1, 1]), false),
        ("no address yet", BLUE, IPV4, STATION, v4([0; 4]), true),
        ("no IPv6 address yet", BLUE, IPV6, STATION, v6([0; 4]), true),
        ("IPv4 in a frame", GREEN, IPV4, STATION, v4([10, 1, 2, 3]), true),
        ("in a stranger's frame", GREEN, IPV4, STRANGER, v4([10, 1, 2, 3]), false),
        ("a stranger's in a frame", GREEN, IPV4, STATION, v4([11, 1, 2, 3]), false),
        ("IPv6, of which nothing was said", GREEN, IPV6, STATION, v6([0xfd, 0, 1, 1]), false),
        ("ARP", GREEN, ARP, STATION, arp([10, 9, 9, 9]), true),
        ("ARP of a stranger", GREEN, ARP, STATION, arp([11, 9, 9, 9]), false),
        ("an ARP probe", GREEN, ARP, STATION, arp([0; 4]), true),
        ("neither IP nor ARP", GREEN, 0x88b5, STATION, vec![0; 46], true),
        ("ARP cut", GREEN, ARP, STATION, vec![0; 17], false),
    ] {
        let sent = frame(src, ether_type, &packet);
        let dropped = DropReason::Source.of(id);
        let (from_port, key, received, protocol) = if id == GREEN {
            (from_port(&sent[..], &world, port_of(id)), 20, sent.clone(), ETHERNET)
        } else {
            (from_port(&sent[..], &world, port_of(id)), 10, packet, ether_type)
        };
        match from_port {
            Verdict::Forward(_) => assert!(allowed, "{what}, sent"),
            other => assert_eq!((other, allowed), (Verdict::Drop(dropped), false), "{what}, sent"),
        }
        let received = Frame::gre().from(REMOTE).to(LOCAL).key(key).carrying(protocol, &received);
        match decap(&received[..], &world) {
            Verdict::Forward(_) => assert!(allowed, "{what}, received"),
            other => assert_eq!((other, allowed), (Verdict::Drop(dropped), false), "{what}"),
        }
    }
}
