//! Replays what Linux and Open vSwitch really sent: xgre must understand each packet, and write the same.

mod support;

use std::{fs::File, path::Path};

use gre_common::{
    tables::{FieldPolicy, NextHop, Service, TenantId, Tunnel},
    verdict::PassReason,
};
use pcap_file::{DataLink, pcap::PcapReader};
use support::{
    checksum::{assert_well_formed, fill_ipv4},
    frame::{ARP, IPV4, IPV6},
    outcome::{Outcome, forwarded, passed, receive, send},
    world::{World, ends, tunnel},
};

/// What one end of a capture is set to, so that xgre in its place sends the same packets.
struct Peer {
    file: &'static str,
    service: Service,
    ends: [[u8; 4]; 2],
    /// The key in packets to each end.
    keys: [Option<u32>; 2],
    ttl: FieldPolicy,
    tos: FieldPolicy,
    /// Linux numbers its packets although they have "don't fragment" set. RFC 6864 section 4.1 lets it;
    /// xgre and Open vSwitch send 0. So the id, and the header checksum over it, are not compared.
    numbers_packets: bool,
}

/// Of the links that the packets were taken off.
const MTU: u32 = 1600;

const LINUX_ENDS: [[u8; 4]; 2] = [[192, 0, 2, 1], [192, 0, 2, 2]];
const OVS_ENDS: [[u8; 4]; 2] = [[192, 168, 5, 23], [192, 168, 5, 238]];

/// A Linux device by its options. Its TTL is inherited by default; what is not IP gets the route's, 64.
const fn linux(file: &'static str, service: Service, keys: [Option<u32>; 2]) -> Peer {
    let (ttl, tos) = (FieldPolicy::inherit(64), FieldPolicy::fixed(0));
    Peer { file, service, ends: LINUX_ENDS, keys, ttl, tos, numbers_packets: true }
}

const KEY_10: [Option<u32>; 2] = [Some(10); 2];

const PEERS: [Peer; 8] = [
    linux("gre", Service::L3, [None; 2]),
    linux("gre-key0", Service::L3, [Some(0); 2]),
    linux("gre-key10", Service::L3, KEY_10),
    linux("gre-ikey7-okey8", Service::L3, [Some(7), Some(8)]),
    Peer {
        ttl: FieldPolicy::fixed(64),
        tos: FieldPolicy::inherit(0),
        ..linux("gre-ttl64-tosinherit-key10", Service::L3, KEY_10)
    },
    linux("gretap", Service::L2, [None; 2]),
    linux("gretap-key10", Service::L2, KEY_10),
    Peer {
        file: "ovs-in_key-flow-key10",
        service: Service::L2,
        ends: OVS_ENDS,
        keys: KEY_10,
        ttl: FieldPolicy::fixed(64),
        tos: FieldPolicy::fixed(0),
        numbers_packets: false,
    },
];

impl Peer {
    /// Tables of both ends at once. Beside their two tenants are others with every other key that the
    /// captures know, for packets to go astray to.
    fn world(&self, addresses: [u8; 12]) -> (World, [TenantId; 2]) {
        let mut world = World::default();
        let [a, b] = self.ends;
        let tenants = [(a, b, 0), (b, a, 1)].map(|(local, remote, end)| {
            let tunnel = tunnel(local, remote);
            let next_hop = NextHop { ends: ends(addresses), mtu: MTU, ..tunnel.next_hop };
            let id = world.add_tunnel(Tunnel { ttl: self.ttl, tos: self.tos, next_hop, ..tunnel });
            let in_key = self.keys[end];
            for decoy in [None, Some(0), Some(7), Some(8), Some(10)] {
                if decoy != in_key {
                    world.add_tenant(id, self.service, decoy, decoy);
                }
            }
            world.add_tenant(id, self.service, in_key, self.keys[1 - end])
        });
        (world, tenants)
    }

    /// A packet as far as it is compared.
    fn comparable(&self, mut frame: Vec<u8>) -> Vec<u8> {
        if self.numbers_packets {
            frame[18..20].fill(0);
            fill_ipv4(&mut frame, 14);
        }
        frame
    }
}

#[test]
fn packets_of_linux_and_open_vswitch_are_understood_and_written_alike() {
    for peer in PEERS {
        let file = peer.file;
        for (number, frame) in frames(file).iter().enumerate() {
            let (world, tenants) = peer.world(frame[..12].try_into().unwrap());
            let to =
                peer.ends.iter().position(|end| end == &frame[30..34]).expect("another address");

            let inner = match receive(&world, frame) {
                Outcome::Forwarded(tenant, inner, None) if tenant == tenants[to] => inner,
                other => panic!("{file}, packet {number}: {other:?}"),
            };
            assert_carries_well_formed_packet(&inner);

            let sender = tenants[1 - to];
            let expected = forwarded(sender, &peer.comparable(frame.clone()));
            assert_eq!(send(&world, sender, &inner), expected, "{file}, packet {number}");
        }
    }
}

#[test]
fn what_is_not_handled_yet_is_passed_on() {
    let rows = [
        ("gre-csum", PassReason::Checksum),
        ("gre-csum-seq-key10", PassReason::Checksum),
        ("gretap-csum-seq-key10", PassReason::Checksum),
        ("ip6gre-key10-encaplimit-none", PassReason::Ipv6Underlay),
        ("ip6gre-key10", PassReason::Ipv6Underlay),
        ("ip6gretap-key10", PassReason::Ipv6Underlay),
        ("ip6gretap-csum-seq-key10", PassReason::Ipv6Underlay),
    ];
    for (file, reason) in rows {
        let service = if file.contains("tap") { Service::L2 } else { Service::L3 };
        let keys = if file.contains("key10") { KEY_10 } else { [None; 2] };
        let (world, _) = linux("", service, keys).world([0; 12]);
        for (number, frame) in frames(file).iter().enumerate() {
            assert_eq!(receive(&world, frame), passed(reason), "{file}, packet {number}");
        }
    }
}

/// The frames of a capture; each has 40 or more, so that an empty one cannot pass for tested.
fn frames(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/captures/{name}.pcap"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = PcapReader::new(file).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    let mut frames = vec![];
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    assert!(frames.len() >= 40, "{name}: {} packets", frames.len());
    frames
}

fn assert_carries_well_formed_packet(frame: &[u8]) {
    match u16::from_be_bytes([frame[12], frame[13]]) {
        IPV4 | IPV6 => assert_well_formed(&frame[14..]),
        ARP => assert_eq!(frame.len(), 42),
        other => panic!("type {other:04x}"),
    }
}
