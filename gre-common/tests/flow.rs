//! Packets of one inner flow stay together, and flows spread.

mod support;

use gre_common::flow;
use support::{
    frame::{ARP, Frame, IPV4, Ipv4, MORE_FRAGMENTS, TCP, UDP, ethernet, ipv6},
    outcome::decap_plan,
    world::{LOCAL, REMOTE, World},
};

fn hash(frame: &[u8]) -> u32 {
    let world = World::with_cast();
    let plan = decap_plan(&world, frame);
    let inner = plan.strip..plan.strip + plan.inner_len;
    flow::hash(frame, plan.inner_ip.version, plan.inner_ip.offset, inner)
}

fn blue() -> Frame {
    Frame::gre().from(REMOTE).to(LOCAL).key(10)
}

fn green() -> Frame {
    Frame::gre().from(REMOTE).to(LOCAL).key(20)
}

/// A transport header with these ports, and a payload.
fn transport(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    [&source.to_be_bytes(), &destination.to_be_bytes(), &[0; 16][..], payload].concat()
}

fn udp4(source: u16, payload: &[u8]) -> Vec<u8> {
    Ipv4::new(UDP).around(&transport(source, 53, payload))
}

#[test]
fn what_is_not_the_flow_does_not_matter() {
    let expected = hash(&blue().ipv4(&udp4(1000, b"one")));
    let others = [
        blue().ipv4(&udp4(1000, b"another")),
        blue().ipv4(&Ipv4::new(UDP).ttl(3).tos(8).id(77).around(&transport(1000, 53, b"one"))),
        blue().ipv4(&Ipv4::new(UDP).options(&[1; 8]).around(&transport(1000, 53, b"one"))),
        green().ethernet(&ethernet(IPV4, &udp4(1000, b"one"))),
    ];
    for other in others {
        assert_eq!(hash(&other), expected, "{other:02x?}");
    }
}

#[test]
fn each_part_of_the_flow_matters() {
    let payload = transport(1000, 53, b"one");
    let six = |protocol, source| ipv6(0, 64, protocol, &transport(source, 53, b"one"));
    let flows = [
        blue().ipv4(&udp4(1000, b"one")),
        blue().ipv4(&udp4(1001, b"one")),
        blue().ipv4(&Ipv4::new(UDP).around(&transport(1000, 54, b"one"))),
        blue().ipv4(&Ipv4::new(TCP).around(&payload)),
        blue().ipv4(&Ipv4::new(UDP).from([10, 1, 1, 1]).around(&payload)),
        blue().ipv4(&Ipv4::new(UDP).to([10, 1, 1, 1]).around(&payload)),
        blue().ipv6(&six(UDP, 1000)),
        blue().ipv6(&six(UDP, 1001)),
        blue().ipv6(&six(TCP, 1000)),
        green().ethernet(&ethernet(ARP, &[0; 28])),
    ];
    let mut hashes: Vec<_> = flows.iter().map(|frame| hash(frame)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), flows.len());
}

/// An Ethernet link pads what is short, and the next one may do it with other bytes.
#[test]
fn padding_has_no_ports() {
    for packet in [Ipv4::new(UDP).around(b"abc"), Ipv4::new(TCP).around(b"")] {
        let [bare, padded] = [0, 10].map(|bytes| hash(&blue().padding(bytes).ipv4(&packet)));
        assert_eq!(bare, padded, "{packet:02x?}");
    }
    let packet = ipv6(0, 64, UDP, b"abc");
    assert_eq!(hash(&blue().padding(10).ipv6(&packet)), hash(&blue().ipv6(&packet)));
}

/// A later fragment has no ports, and the first one must not go elsewhere by its own.
#[test]
fn fragments_of_a_packet_stay_together() {
    let fragment = |bits: u16, payload: &[u8]| {
        hash(&blue().ipv4(&Ipv4::new(UDP).fragment(bits).around(payload)))
    };
    let first = fragment(MORE_FRAGMENTS, &transport(1000, 53, b"one"));
    assert_eq!(fragment(MORE_FRAGMENTS | 3, b"the middle, twenty-four"), first);
    assert_eq!(fragment(6, b"end"), first);
}

#[test]
fn flows_spread_evenly() {
    const CPUS: u64 = 4;
    let mut shares = [0; CPUS as usize];
    for source in 0..4000 {
        let hash = hash(&blue().ipv4(&udp4(source, b"")));
        shares[((u64::from(hash) * CPUS) >> 32) as usize] += 1;
    }
    assert!(shares.iter().all(|share| (800..1200).contains(share)), "{shares:?}");
}
