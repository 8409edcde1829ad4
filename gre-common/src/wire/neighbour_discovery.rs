//! Neighbour discovery for IPv6 over Ethernet (RFC 4861, RFC 2464).

use super::{
    be32::Be32,
    checksum,
    ethernet::{self, Ends, EtherType, MacAddr},
    icmp, ipv6,
};
use crate::packet::Packet;

/// Length of a message without options.
const SHORT_LEN: usize = TARGET + 16;
/// Length of a message with its sender's MAC address.
const MESSAGE_LEN: usize = SHORT_LEN + 8;
/// Length of the shortest frame that carries a solicitation.
const SOLICITATION_LEN: usize = TRANSPORT + SHORT_LEN;
const TRANSPORT: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
/// Where the address asked for stands in a solicitation.
const TARGET: usize = 8;
/// No router has forwarded it.
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Flags of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Option: MAC address of whose the target is, in units of eight bytes.
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];
/// All nodes of the link (RFC 4291 section 2.7.1), and their MAC address.
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES_MAC: MacAddr = [0x33, 0x33, 0, 0, 0, 1];

/// Someone asks for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks.
    pub asker: MacAddr,
    /// The asker's address; unspecified where it asks whether the target is taken (RFC 4862 section 5.4.2).
    asker_address: [Be32; 4],
    /// What is asked for.
    pub target: [Be32; 4],
}

impl Solicitation {
    /// Reads a frame without VLAN tag (RFC 4861 section 7.1.1). Its checksum is left unread.
    #[inline(always)]
    pub fn parse<P: Packet + ?Sized>(packet: &P) -> Option<Self> {
        let ether_type = packet.read(ethernet::TYPE_OFFSET).map(EtherType::from_be_bytes)?;
        let start = ipv6::Start(packet.read(ethernet::HEADER_LEN)?);
        let [kind, code] = packet.read(TRANSPORT)?;
        let len = start.payload_len();
        let is_solicitation = ether_type == EtherType::IPV6
            && start.version() == 6
            && start.next_header() == icmp::PROTO_V6
            && start.hop_limit() == HOP_LIMIT
            && [kind, code] == [SOLICITATION, 0]
            && TRANSPORT + len >= SOLICITATION_LEN;
        if !is_solicitation {
            return None;
        }
        Some(Self {
            asker: packet.read(size_of::<MacAddr>())?,
            asker_address: packet.words(ethernet::HEADER_LEN + ipv6::SOURCE_OFFSET)?,
            target: packet.words(TRANSPORT + TARGET)?,
        })
    }

    /// Whether the checksum of the frame that was read is right. One with more than the asker's MAC address behind it is taken for wrong.
    #[inline(always)]
    pub fn is_sound<P: Packet + ?Sized>(&self, packet: &P) -> bool {
        let start = packet.read(ethernet::HEADER_LEN).map(ipv6::Start);
        let len = start.map_or(0, ipv6::Start::payload_len);
        let message = match len {
            SHORT_LEN => packet.words(TRANSPORT).map(|[a, b, c, d, e, f]| {
                let none = Be32::default();
                [a, b, c, d, e, f, none, none]
            }),
            MESSAGE_LEN => packet.words(TRANSPORT),
            _ => None,
        };
        let destination = packet.words(ethernet::HEADER_LEN + ipv6::DESTINATION_OFFSET);
        let Some((message, destination)) = message.zip(destination) else { return false };
        let sum = pseudo_sum(self.asker_address, destination, len);
        checksum::fold(checksum::add_words(sum, &message)) == checksum::SOUND
    }

    /// Who has the address.
    #[inline(always)]
    pub fn advertisement(&self, mac: MacAddr, is_router: bool) -> Advertisement {
        let none = self.asker_address.iter().fold(0, |bits, word| bits | word.as_read()) == 0;
        let (dst_mac, dst, solicited) = if none {
            (ALL_NODES_MAC, Be32::words(ALL_NODES), 0)
        } else {
            (self.asker, self.asker_address, SOLICITED)
        };
        let flags = OVERRIDE | solicited | if is_router { ROUTER } else { 0 };
        let [m0, m1, m2, m3, m4, m5] = mac;
        let [o0, o1] = TARGET_LINK_LAYER;
        let option = [[o0, o1, m0, m1], [m2, m3, m4, m5]].map(Be32::from);
        let [t0, t1, t2, t3] = self.target;
        let flags = Be32::from([flags, 0, 0, 0]);
        let sum = checksum::add_words(pseudo_sum(self.target, dst, MESSAGE_LEN), &self.target);
        let start = Be32::from([ADVERTISEMENT, 0, 0, 0]);
        let sum = checksum::add_words(sum, &[start, flags, option[0], option[1]]);
        let [c0, c1] = (!checksum::fold(sum)).to_ne_bytes();
        let [d0, d1, d2, d3] = dst;
        Advertisement {
            align: [0; 2],
            link: Ends::new(dst_mac, mac).header(EtherType::IPV6),
            packet: [
                [0x60, 0, 0, 0].into(),
                [0, MESSAGE_LEN as u8, icmp::PROTO_V6, HOP_LIMIT].into(),
                t0,
                t1,
                t2,
                t3,
                d0,
                d1,
                d2,
                d3,
                [ADVERTISEMENT, 0, c0, c1].into(),
                flags,
                t0,
                t1,
                t2,
                t3,
                option[0],
                option[1],
            ],
        }
    }
}

/// Someone is told who has an address: a frame in two parts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Has the packet begin at a word.
    pub align: [u8; 2],
    /// Its Ethernet header.
    pub link: [u8; ethernet::HEADER_LEN],
    /// The IPv6 packet.
    pub packet: [Be32; ipv6::HEADER_WORDS + MESSAGE_LEN / 4],
}

/// The part of the pseudo-header (RFC 8200 section 8.1) in a running checksum.
#[inline(always)]
fn pseudo_sum(src: [Be32; 4], dst: [Be32; 4], len: usize) -> u64 {
    let len = (len as u32).to_be_bytes().into();
    let sum = checksum::add_words(0, &src);
    let sum = checksum::add_words(sum, &dst);
    checksum::add_words(sum, &[len, Be32::from([0, 0, 0, icmp::PROTO_V6])])
}
