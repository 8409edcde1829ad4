//! Replays what Linux and Open vSwitch really sent: xgre must understand each packet, and write the same.

mod support;

use std::net::IpAddr;

use gre_common::{
    tables::{FieldPolicy, NextHop, Service, TenantId, Tunnel, TunnelOptions},
    wire::address::Address,
};
use support::{
    captures::frames,
    checksum::{self, assert_well_formed, fill_ipv4},
    frame::{ARP, IPV4, IPV6},
    outcome::{Outcome, forwarded, receive, send},
    world::{World, ends, tunnel},
};

/// What one end of a capture is set to, so that xgre in its place sends the same packets.
struct Peer {
    file: &'static str,
    service: Service,
    ends: [&'static str; 2],
    /// The key in packets to each end.
    keys: [Option<u32>; 2],
    ttl: FieldPolicy,
    tos: FieldPolicy,
    options: TunnelOptions,
    /// Linux numbers its packets although they have "don't fragment" set. RFC 6864 section 4.1 lets it;
    /// xgre and Open vSwitch send 0. So the id, and the header checksum over it, are not compared.
    numbers_packets: bool,
}

/// Of the links that the packets were taken off.
const MTU: u32 = 1600;

const LINUX_ENDS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const LINUX_ENDS_V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];
const OVS_ENDS: [&str; 2] = ["192.168.5.23", "192.168.5.238"];

const CHECKSUM: TunnelOptions = TunnelOptions::CHECKSUM;
const CHECKSUM_SEQUENCE: TunnelOptions = CHECKSUM.with(TunnelOptions::SEQUENCE, true);

/// A Linux device by its options. Its TTL is inherited by default; what is not IP gets the route's, 64.
const fn linux(file: &'static str, service: Service, keys: [Option<u32>; 2]) -> Peer {
    let (ttl, tos) = (FieldPolicy::INHERIT, FieldPolicy::fixed(0));
    let options = TunnelOptions::NONE;
    Peer { file, service, ends: LINUX_ENDS, keys, ttl, tos, options, numbers_packets: true }
}

/// The same over IPv6, where the hop limit is the fixed 64 and packets have no number.
const fn linux_v6(file: &'static str, service: Service) -> Peer {
    let ttl = FieldPolicy::fixed(64);
    Peer { ends: LINUX_ENDS_V6, ttl, numbers_packets: false, ..linux(file, service, KEY_10) }
}

const KEY_10: [Option<u32>; 2] = [Some(10); 2];

const PEERS: [Peer; 15] = [
    linux("gre", Service::L3, [None; 2]),
    linux("gre-key0", Service::L3, [Some(0); 2]),
    linux("gre-key10", Service::L3, KEY_10),
    linux("gre-ikey7-okey8", Service::L3, [Some(7), Some(8)]),
    Peer {
        ttl: FieldPolicy::fixed(64),
        tos: FieldPolicy::INHERIT,
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
        options: TunnelOptions::NONE,
        numbers_packets: false,
    },
    Peer { options: CHECKSUM, ..linux("gre-csum", Service::L3, [None; 2]) },
    Peer { options: CHECKSUM_SEQUENCE, ..linux("gre-csum-seq-key10", Service::L3, KEY_10) },
    Peer { options: CHECKSUM_SEQUENCE, ..linux("gretap-csum-seq-key10", Service::L2, KEY_10) },
    linux_v6("ip6gre-key10-encaplimit-none", Service::L3),
    linux_v6("ip6gre-key10", Service::L3),
    linux_v6("ip6gretap-key10", Service::L2),
    Peer { options: CHECKSUM_SEQUENCE, ..linux_v6("ip6gretap-csum-seq-key10", Service::L2) },
];

impl Peer {
    /// Tables of both ends at once. Beside their two tenants are others with every other key that the
    /// captures know, for packets to go astray to.
    fn world(&self, addresses: [u8; 12]) -> (World, [TenantId; 2]) {
        let mut world = World::default();
        let [a, b] = self.ends;
        let tenants = [(a, b, 0), (b, a, 1)].map(|(local, remote, end)| {
            let [local, remote] = [local, remote].map(address);
            let tunnel = tunnel([0; 4], [0; 4]);
            let next_hop = NextHop { ends: ends(addresses), mtu: MTU, ..tunnel.next_hop };
            let Self { ttl, tos, options, .. } = *self;
            let id =
                world.add_tunnel(Tunnel { local, remote, ttl, tos, options, next_hop, ..tunnel });
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
        let mut gre = 34;
        if self.numbers_packets {
            frame[18..20].fill(0);
            fill_ipv4(&mut frame, 14);
        }
        if self.is_v6() {
            gre = 54;
            // The flow label is each sender's own.
            frame[15] &= 0xf0;
            frame[16..18].fill(0);
            // Linux may put a tunnel encapsulation limit before GRE, xgre does not.
            if frame[20] == DESTINATION_OPTIONS {
                frame[20] = frame[54];
                frame.drain(54..62);
                let payload_len = u16::from_be_bytes([frame[18], frame[19]]) - 8;
                frame[18..20].copy_from_slice(&payload_len.to_be_bytes());
            }
        }
        if self.options.has(TunnelOptions::SEQUENCE) {
            // The checksum covers the sequence number, which is at another place in its row.
            assert_eq!(checksum::internet(&frame[gre..]), 0, "GRE checksum");
            frame[gre + 4..gre + 6].fill(0);
            frame[gre + 12..gre + 16].fill(0);
        }
        frame
    }

    fn is_v6(&self) -> bool {
        !address(self.ends[0]).is_v4()
    }

    /// Which end a frame is for.
    fn receiver(&self, frame: &[u8]) -> usize {
        let to = if self.is_v6() {
            Address::from(IpAddr::from(<[u8; 16]>::try_from(&frame[38..54]).unwrap()))
        } else {
            Address::from(IpAddr::from(<[u8; 4]>::try_from(&frame[30..34]).unwrap()))
        };
        self.ends.iter().position(|end| address(end) == to).expect("another address")
    }
}

const DESTINATION_OPTIONS: u8 = 60;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("an address").into()
}

#[test]
fn packets_of_linux_and_open_vswitch_are_understood_and_written_alike() {
    for peer in PEERS {
        let file = peer.file;
        for (number, frame) in frames(file).iter().enumerate() {
            let (world, tenants) = peer.world(frame[..12].try_into().unwrap());
            let to = peer.receiver(frame);

            let inner = match receive(&world, frame) {
                Outcome::Forwarded(tenant, inner, None) if tenant == tenants[to] => inner,
                other => panic!("{file}, packet {number}: {other:?}"),
            };
            assert_carries_well_formed_packet(&inner);

            let sender = tenants[1 - to];
            let sent = match send(&world, sender, &inner) {
                Outcome::Forwarded(tenant, sent, None) => forwarded(tenant, &peer.comparable(sent)),
                other => panic!("{file}, packet {number}: {other:?}"),
            };
            let expected = forwarded(sender, &peer.comparable(frame.clone()));
            assert_eq!(sent, expected, "{file}, packet {number}");
        }
    }
}

fn assert_carries_well_formed_packet(frame: &[u8]) {
    match u16::from_be_bytes([frame[12], frame[13]]) {
        IPV4 | IPV6 => assert_well_formed(&frame[14..]),
        ARP => assert_eq!(frame.len(), 42),
        other => panic!("type {other:04x}"),
    }
}
