//! Carries out a plan on bytes, as the kernel side does on a packet.

use gre_common::{
    decap::{self, Decap},
    encap::Encap,
    mss::{self, Syn},
    packet::Packet as _,
    too_big::TooBig,
    wire::{address::Version, be32::Be32, checksum, ethernet::EtherType, tcp},
};

use super::world::World;

/// A plan for a frame.
pub trait Apply {
    /// The frame that the plan makes of `frame`.
    fn apply(&self, frame: &[u8]) -> Vec<u8>;
}

impl Apply for Decap<'_> {
    fn apply(&self, frame: &[u8]) -> Vec<u8> {
        let mut inner = inner(frame, self.strip, self.inner_len, self.padding).to_vec();
        if let Some(ecn) = self.ecn.bits() {
            let mark = self.inner_ip.with_ecn(ecn);
            let header = &mut inner[self.inner_ip.offset - self.strip..];
            header[..2].copy_from_slice(&mark.start);
            if self.inner_ip.version == Version::V4 {
                header[10..12].copy_from_slice(&mark.checksum);
            }
        }
        match self.payload {
            decap::Payload::Ethernet => inner,
            decap::Payload::Ip(ether_type) => {
                let port = &self.binding.port;
                [&port.ends.header(ether_type)[..], &inner].concat()
            }
        }
    }
}

impl Apply for Encap<'_> {
    fn apply(&self, frame: &[u8]) -> Vec<u8> {
        let inner = inner(frame, self.strip, self.inner_len, self.padding);
        let ether_type = match self.headers.version {
            Version::V6 => EtherType::IPV6,
            _ => EtherType::IPV4,
        };
        let link = self.tunnel.next_hop.ends.header(ether_type);
        [&link[..], &headers(self), inner].concat()
    }
}

/// A frame whose SYN, if it is one, asks for no more than fits.
pub fn clamped(world: &World, frame: &[u8], syn: Option<Syn>) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some(change) = syn.and_then(|syn| mss::clamp(&frame[..], world, &syn)) {
        let value = change.tcp + change.offset;
        assert_eq!(frame[value..value + 2], change.from);
        frame[value..value + 2].copy_from_slice(&change.to);
        let checksum = &mut frame[change.tcp + tcp::CHECKSUM_OFFSET..][..2];
        let [from, to] = change.summands();
        let old = u16::from_ne_bytes([checksum[0], checksum[1]]);
        checksum.copy_from_slice(&checksum::update(old, from, to).to_ne_bytes());
    }
    frame
}

/// The answer to a frame that does not fit.
pub fn answer(too_big: &TooBig, frame: &[u8]) -> Vec<u8> {
    let quoted = &frame[too_big.link_len..][..too_big.quoted];
    let sum = frame.sum(too_big.link_len, too_big.quoted).expect("bytes of the frame");
    let headers = match too_big.version {
        Version::V6 => too_big.headers_v6(frame, sum).expect("an IPv6 header").to_vec(),
        _ => too_big.headers_v4(frame, sum).expect("an IPv4 header").to_vec(),
    };
    let headers: Vec<u8> = headers.into_iter().flat_map(Be32::bytes).collect();
    let link = too_big.link(frame).expect("a link header");
    [&link[..too_big.link_len], &headers, quoted].concat()
}

/// The sequence number of every packet that has one.
pub const SEQUENCE: u32 = 0x0102_0304;

/// The outer headers behind the Ethernet header, as they stand on the wire.
pub fn headers(plan: &Encap<'_>) -> Vec<u8> {
    let headers = &plan.headers;
    let (local, remote) = (plan.tunnel.local, plan.tunnel.remote);
    let mut words = match headers.version {
        Version::V6 => [&headers.ip[..2], &local.words(), &remote.words()].concat(),
        _ => [&headers.ip[..], &[local.last(), remote.last()]].concat(),
    };
    let number = if headers.fields.sequence() { SEQUENCE } else { 0 }.to_be_bytes().into();
    words.push(headers.gre);
    words.extend(headers.fields.checksum().then(|| headers.checksum(number)));
    words.extend(headers.fields.key().then_some(headers.key));
    words.extend(headers.fields.sequence().then_some(number));
    words.into_iter().flat_map(Be32::bytes).collect()
}

fn inner(frame: &[u8], strip: usize, len: usize, padding: usize) -> &[u8] {
    assert_eq!(strip + len + padding, frame.len(), "the plan does not account for every byte");
    &frame[strip..strip + len]
}
