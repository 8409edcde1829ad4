//! The flow of any inner packet.
#![cfg_attr(fuzzing, no_main)]

use std::net::IpAddr;

use gre_common::{decap::decap, flow, verdict::Verdict};
use gre_fuzz::support::{
    frame::{Frame, IPV4, IPV6, TCP, UDP, VLAN},
    plain::{self, Gre},
    world::World,
};

/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

thread_local! {
    static WORLD: World = World::with_cast();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    check_as_it_is(frame);
    if let Some(frame) = plain::repaired(frame) {
        check_as_it_is(&frame);
    }
}

fn check_as_it_is(frame: &[u8]) {
    let Some(expected) = hash(frame) else { return };
    let gre = Gre::read(frame).expect("a delivered frame is whole");
    let (IpAddr::V4(remote), IpAddr::V4(local)) = (gre.source(), gre.destination()) else {
        panic!("there is no tunnel over IPv6");
    };
    let around = Frame::gre().from(remote.octets()).to(local.octets()).maybe_key(gre.key);
    let wrapped = |inner: &[u8]| {
        let plain = around.clone().carrying(gre.protocol, inner);
        let other = around.clone().tagged(VLAN).padding(20).ip(|ip| ip.options(&[1; 8]));
        let hashes = [plain, other.carrying(gre.protocol, inner)].map(|frame| hash(&frame));
        assert_eq!(hashes, [Some(expected); 2], "another flow: {inner:02x?}");
    };
    wrapped(gre.inner);

    let mut inner = gre.inner.to_vec();
    match gre.protocol {
        IPV4 => change_ipv4(&mut inner),
        IPV6 => change_ipv6(&mut inner),
        _ => {}
    }
    wrapped(&inner);
}

fn hash(frame: &[u8]) -> Option<u32> {
    WORLD.with(|world| match decap(frame, world) {
        Verdict::Forward(plan) => {
            let inner = plan.strip..plan.strip + plan.inner_len;
            Some(flow::hash(frame, plan.inner_ip.version, plan.inner_ip.offset, inner))
        }
        _ => None,
    })
}

/// Changes all that does not tell to which flow an IPv4 packet belongs.
fn change_ipv4(packet: &mut [u8]) {
    let is_fragment = plain::word(packet, 6).is_some_and(|bits| bits & FRAGMENT != 0);
    let protocol = packet[9];
    let (header, payload) = packet.split_at_mut(plain::header_len(packet));
    for part in [1..2, 4..6, 8..9, 10..12, 20..header.len()] {
        invert(&mut header[part]);
    }
    change_payload(payload, if is_fragment { None } else { Some(protocol) });
}

/// The same for IPv6.
fn change_ipv6(packet: &mut [u8]) {
    let protocol = packet[6];
    let (header, payload) = packet.split_at_mut(40);
    header[0] ^= 0x0f;
    for part in [1..4, 7..8] {
        invert(&mut header[part]);
    }
    change_payload(payload, Some(protocol));
}

fn change_payload(payload: &mut [u8], protocol: Option<u8>) {
    let ports = if matches!(protocol, Some(TCP | UDP)) { 4 } else { 0 };
    invert(payload.get_mut(ports..).unwrap_or_default());
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}
