//! Who asks for a neighbour that is known is answered.

mod support;

use gre_common::{
    bridge::from_port,
    neighbour::asked_for,
    tables::{Neighbour, Via},
    verdict::Verdict,
    wire::{arp, be32::Be32, ethernet::MacAddr, neighbour_discovery::Solicitation},
};
use support::{
    checksum,
    world::{BLUE, GREEN, OWN, World, port_of},
};

const ASKER: MacAddr = [2, 0, 0, 0, 0, 1];
const KNOWN: MacAddr = [2, 0, 0, 0, 0, 2];

fn world() -> World {
    let mut world = World::with_cast();
    world.neighbour(GREEN, "10.0.0.2", Neighbour::new(KNOWN));
    world.neighbour(GREEN, "10.0.0.1", Neighbour::new(ASKER));
    world.neighbour(GREEN, "fd00::2", Neighbour::new(KNOWN));
    world.neighbour(BLUE, "10.0.0.254", Neighbour::PORT);
    world.neighbour(BLUE, "fd00::fe", Neighbour::PORT);
    world
}

/// Who has `target`?
fn request(target: [u8; 4]) -> Vec<u8> {
    let kind = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6], &ASKER, &kind[..], &ASKER, &[10, 0, 0, 1], &[0; 6], &target, &[0; 18]].concat()
}

/// The same in IPv6.
fn solicitation(src: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    let mut dst = [0; 16];
    dst[..2].copy_from_slice(&[0xff, 2]);
    dst[11..13].copy_from_slice(&[1, 0xff]);
    dst[13..].copy_from_slice(&target[13..]);
    let icmp = [&[135, 0, 0, 0, 0, 0, 0, 0], &target[..], &[1, 1], &ASKER].concat();
    let pseudo = [&src[..], &dst, &[0, 0, 0, 32, 0, 0, 0, 58], &icmp].concat();
    let sum = checksum::internet(&pseudo).to_be_bytes();
    let mut packet = [&[0x60, 0, 0, 0, 0, 32, 58, 255], &src[..], &dst, &icmp].concat();
    packet[42..44].copy_from_slice(&sum);
    [&[0x33, 0x33, 0xff, 0, 0, 2], &ASKER[..], &[0x86, 0xdd], &packet].concat()
}

fn v6(last: u8) -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

fn is_answered(frame: &[u8], id: gre_common::tables::TenantId) -> bool {
    match from_port(frame, &world(), port_of(id)) {
        Verdict::Forward(way) => way.via == Via::TO_ANSWER,
        _ => false,
    }
}

fn frame(link: [u8; 14], packet: &[Be32]) -> Vec<u8> {
    let packet = packet.iter().flat_map(|word| word.bytes());
    link.into_iter().chain(packet).collect()
}

#[test]
fn who_is_known_is_told() {
    for (what, frame, id, expected) in [
        ("known", request([10, 0, 0, 2]), GREEN, true),
        ("unknown", request([10, 0, 0, 3]), GREEN, false),
        ("its own", request([10, 0, 0, 1]), GREEN, false),
        ("another tenant's", request([10, 0, 0, 2]), BLUE, false),
        ("the port itself", request([10, 0, 0, 254]), BLUE, true),
        ("known, IPv6", solicitation(v6(1), v6(2)), GREEN, true),
        ("taken?", solicitation([0; 16], v6(2)), GREEN, true),
        ("unknown, IPv6", solicitation(v6(1), v6(3)), GREEN, false),
        ("the port itself, IPv6", solicitation(v6(1), v6(0xfe)), BLUE, true),
    ] {
        assert_eq!(is_answered(&frame, id), expected, "{what}");
    }
}

#[test]
fn only_who_asks_is_told() {
    let damage = |offset: usize, mut frame: Vec<u8>| {
        frame[offset] ^= 1;
        frame
    };
    // A reply, another hardware type; a forwarded question, a wrong checksum, another message.
    for (what, frame) in [
        ("a reply", damage(21, damage(20, request([10, 0, 0, 2])))),
        ("another hardware", damage(15, request([10, 0, 0, 2]))),
        ("forwarded", damage(21, solicitation(v6(1), v6(2)))),
        ("a wrong checksum", damage(57, solicitation(v6(1), v6(2)))),
        ("another message", damage(54, solicitation(v6(1), v6(2)))),
        ("cut", solicitation(v6(1), v6(2))[..77].to_vec()),
        ("cut ARP", request([10, 0, 0, 2])[..41].to_vec()),
    ] {
        assert!(!is_answered(&frame, GREEN), "{what}");
    }
}

#[test]
fn arp_replies_by_the_book() {
    let world = world();
    for (id, target, mac) in [(GREEN, [10, 0, 0, 2], KNOWN), (BLUE, [10, 0, 0, 254], OWN)] {
        let asked = request(target);
        let known = asked_for(&asked[..], &world, id).expect("it is known");
        let request = arp::Request::parse(asked[..42].try_into().unwrap()).expect("a request");
        let reply = request.reply(known.mac().unwrap_or(OWN));
        let reply = frame(reply.link, &reply.packet);
        let kind = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
        let expected = [&ASKER, &mac, &kind[..], &mac, &target, &ASKER, &[10, 0, 0, 1]].concat();
        assert_eq!(reply[..], expected);
    }
}

#[test]
fn advertisements_by_the_book() {
    let world = world();
    let all = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for (id, src, target, mac, to, dst, flags) in [
        (GREEN, v6(1), v6(2), KNOWN, ASKER, v6(1), 0x60),
        (GREEN, [0; 16], v6(2), KNOWN, [0x33, 0x33, 0, 0, 0, 1], all, 0x20),
        (BLUE, v6(1), v6(0xfe), OWN, ASKER, v6(1), 0xe0),
    ] {
        let asked = solicitation(src, target);
        let known = asked_for(&asked[..], &world, id).expect("it is known");
        assert_eq!(Neighbour::from_bits(known.bits()), known);
        let question = Solicitation::parse(&asked[..]).expect("a solicitation");
        let told = question.advertisement(known.mac().unwrap_or(OWN), known.mac().is_none());
        let told = frame(told.link, &told.packet);
        checksum::assert_well_formed(&told[14..]);
        let link = [&to[..], &mac, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]].concat();
        assert_eq!(told[..22], link);
        assert_eq!(told[22..54], [target, dst].concat());
        assert_eq!([told[54], told[55], told[58]], [136, 0, flags]);
        assert_eq!(told[62..], [&target[..], &[2, 1], &mac].concat());
    }
}
