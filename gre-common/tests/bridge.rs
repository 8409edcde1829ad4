//! Where frames go: rows of what is known, and what is decided.

mod support;

use gre_common::{
    bridge::{from_port, from_tunnel, source},
    tables::{FDB_AGE, FdbEntry, FdbKey, IfIndex, MemberId, TunnelId, Via},
    verdict::{DropReason, PassReason, Verdict},
    wire::ethernet::MacAddr,
};
use support::world::{BLUE, GREEN, World, port_of};

const BROADCAST: MacAddr = [0xff; 6];
const MANY: MacAddr = [0x33, 0x33, 0, 0, 0, 1];
/// At the port that frames come from.
const HERE: MacAddr = [2, 0, 0, 0, 0, 1];
/// At another port.
const BESIDE: MacAddr = [2, 0, 0, 0, 0, 2];
/// Behind the second tunnel.
const FAR: MacAddr = [2, 0, 0, 0, 0, 3];
const NOWHERE: MacAddr = [2, 0, 0, 0, 0, 4];

const OTHER_PORT: IfIndex = IfIndex(900);
const MEMBERS: MemberId = MemberId(0x101);
const PORTS: MemberId = MemberId(0x301);

/// [`GREEN`] has two tunnels and two ports.
fn world() -> World {
    let mut world = World::with_cast();
    world.bridge(GREEN, MEMBERS, PORTS);
    world.learn(GREEN, HERE, Via::port(port_of(GREEN)));
    world.learn(GREEN, BESIDE, Via::port(OTHER_PORT));
    world.learn(GREEN, FAR, Via::tunnel(TunnelId(1)));
    world
}

fn frame(dst: MacAddr, src: MacAddr) -> Vec<u8> {
    [&dst[..], &src, &[0x88, 0xb5], &[0; 50]].concat()
}

#[test]
fn from_a_port() {
    let world = world();
    let flood = Ok(Via::flood(MEMBERS));
    for (what, dst, expected) in [
        ("all", BROADCAST, flood),
        ("many", MANY, flood),
        ("someone nobody knows", NOWHERE, flood),
        ("a station at another port", BESIDE, Ok(Via::port(OTHER_PORT))),
        ("a station behind a tunnel", FAR, Ok(Via::tunnel(TunnelId(1)))),
        ("the same port", HERE, Err(DropReason::SplitHorizon.of(GREEN))),
    ] {
        let decided = match from_port(&frame(dst, HERE)[..], &world, port_of(GREEN)) {
            Verdict::Forward(way) => Ok(way.via),
            Verdict::Drop(discard) => Err(discard),
            Verdict::Pass(reason) => panic!("{what}: passed, {reason:?}"),
        };
        assert_eq!(decided, expected, "{what}");
    }
}

#[test]
fn from_a_tunnel() {
    let world = world();
    let flood = Ok(Via::flood(PORTS));
    for (what, dst, expected) in [
        ("all", BROADCAST, flood),
        ("many", MANY, flood),
        ("someone nobody knows", NOWHERE, flood),
        ("a station at a port", BESIDE, Ok(Via::port(OTHER_PORT))),
        ("a station behind a tunnel", FAR, Err(DropReason::SplitHorizon)),
    ] {
        let frame = [&[0; 42], &frame(dst, FAR)[..]].concat();
        assert_eq!(from_tunnel(&frame[..], &world, GREEN, true, 42), expected, "{what}");
    }
}

#[test]
fn point_to_point_nothing_is_looked_up() {
    let mut world = World::with_cast();
    world.learn(GREEN, FAR, Via::tunnel(TunnelId(1)));
    for (tenant, dst) in [(GREEN, FAR), (GREEN, BROADCAST), (BLUE, FAR)] {
        let verdict = from_port(&frame(dst, HERE)[..], &world, port_of(tenant));
        let Verdict::Forward(way) = verdict else { panic!("{verdict:?}") };
        assert_eq!((way.id, way.via), (tenant, Via::tunnel(TunnelId(0))));
    }
    let stranger = from_port(&frame(FAR, HERE)[..], &world, IfIndex(7));
    assert_eq!(stranger, Verdict::Pass(PassReason::NoTenant));
}

#[test]
fn a_frame_cut_in_its_destination_goes_nowhere() {
    let world = world();
    for len in 0..6 {
        let frame = &frame(FAR, HERE)[..len];
        let dropped = Verdict::Drop(DropReason::InnerLength.of(GREEN));
        assert_eq!(from_port(frame, &world, port_of(GREEN)), dropped);
        assert_eq!(from_tunnel(frame, &world, GREEN, true, 0), Err(DropReason::InnerLength));
    }
}

#[test]
fn one_station_is_learned_and_many_are_not() {
    assert_eq!(source(&frame(FAR, HERE)[..], 0, GREEN), Some(FdbKey::new(GREEN, HERE)));
    assert_eq!(source(&frame(FAR, MANY)[..], 0, GREEN), None);
    assert_eq!(source(&frame(FAR, HERE)[..11], 0, GREEN), None);
    assert_eq!(FdbKey::new(GREEN, HERE).mac(), HERE);
}

#[test]
fn what_was_learned_ages() {
    let via = Via::tunnel(TunnelId(3));
    let learned = FdbEntry { via, seen: 1_000 };
    for (now, expected) in
        [(0, via), (1_000, via), (FDB_AGE + 999, via), (FDB_AGE + 1_000, Via::NONE)]
    {
        assert_eq!(learned.via_at(now), expected, "{now}");
    }
    let said = FdbEntry { via, seen: FdbEntry::STATIC };
    assert_eq!(said.via_at(u64::MAX), via);
}

#[test]
fn a_place_is_never_given_away_as_it_was() {
    let mut id = MemberId::NONE;
    let mut last = id;
    for _ in 0..1_000 {
        id = id.next_turn(5);
        assert!(id != last && id != MemberId::NONE && id.index() == 5);
        last = id;
    }
}
