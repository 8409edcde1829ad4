//! Carries out a plan on bytes, as the kernel side does on a packet.

use gre_common::{
    decap::{self, Decap, Version},
    encap::{Encap, Headers},
    wire::{be32::Be32, ethernet::EtherType},
};

/// A plan for a frame.
pub trait Apply {
    /// The frame that the plan makes of `frame`.
    fn apply(&self, frame: &[u8]) -> Vec<u8>;
}

impl Apply for Decap<'_> {
    fn apply(&self, frame: &[u8]) -> Vec<u8> {
        let mut inner = inner(frame, self.strip, self.inner_len, self.padding).to_vec();
        if let Some(ecn) = self.ecn {
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
        let link = self.next_hop.ends.header(EtherType::IPV4);
        [&link[..], &headers(self), inner].concat()
    }
}

/// The outer headers behind the Ethernet header, as they stand on the wire.
pub fn headers(plan: &Encap<'_>) -> Vec<u8> {
    let Headers { ipv4, gre, has_key, key } = plan.headers;
    let key = has_key.then_some(key);
    ipv4.into_iter().chain([gre]).chain(key).flat_map(Be32::bytes).collect()
}

fn inner(frame: &[u8], strip: usize, len: usize, padding: usize) -> &[u8] {
    assert_eq!(strip + len + padding, frame.len(), "the plan does not account for every byte");
    &frame[strip..strip + len]
}
