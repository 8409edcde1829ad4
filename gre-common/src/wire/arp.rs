//! ARP for IPv4 over Ethernet (RFC 826).

use super::{
    be32::Be32,
    ethernet::{self, Ends, EtherType, MacAddr},
};

/// Where the sender's IPv4 address stands.
pub const SENDER_OFFSET: usize = 14;
/// Length of a frame that carries a packet, without padding.
pub const FRAME_LEN: usize = ethernet::HEADER_LEN + 28;

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// Someone asks for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub asker: MacAddr,
    /// The asker's address; zero while it has none (RFC 5227 section 1.1).
    pub asker_address: Be32,
    /// What is asked for.
    pub target: Be32,
}

impl Request {
    /// Reads a frame.
    #[inline(always)]
    pub fn parse(frame: &[u8; FRAME_LEN]) -> Option<Self> {
        let [_, _, _, _, _, _, _, _, _, _, _, _, t0, t1, k0, k1, k2, k3, k4, k5, o0, o1, rest @ ..] =
            *frame;
        let [a0, a1, a2, a3, a4, a5, s0, s1, s2, s3, _, _, _, _, _, _, d0, d1, d2, d3] = rest;
        let is_request = EtherType::from_be_bytes([t0, t1]) == EtherType::ARP
            && [k0, k1, k2, k3, k4, k5] == KIND
            && [o0, o1] == REQUEST;
        is_request.then(|| Self {
            asker: [a0, a1, a2, a3, a4, a5],
            asker_address: [s0, s1, s2, s3].into(),
            target: [d0, d1, d2, d3].into(),
        })
    }

    /// Who has the address.
    #[inline(always)]
    pub fn reply(&self, mac: MacAddr) -> Reply {
        let [k0, k1, k2, k3, k4, k5] = KIND;
        let [o0, o1] = REPLY;
        let [m0, m1, m2, m3, m4, m5] = mac;
        let [a0, a1, a2, a3, a4, a5] = self.asker;
        let [t0, t1, t2, t3] = self.target.bytes();
        Reply {
            link: Ends::new(self.asker, mac).header(EtherType::ARP),
            packet: [
                [k0, k1, k2, k3],
                [k4, k5, o0, o1],
                [m0, m1, m2, m3],
                [m4, m5, t0, t1],
                [t2, t3, a0, a1],
                [a2, a3, a4, a5],
                self.asker_address.bytes(),
            ]
            .map(Be32::from),
        }
    }
}

/// Someone is told who has an address: a frame in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its Ethernet header.
    pub link: [u8; ethernet::HEADER_LEN],
    /// The ARP packet.
    pub packet: [Be32; 7],
}
