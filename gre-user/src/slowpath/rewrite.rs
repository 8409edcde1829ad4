//! Carries out plans on bytes, as the kernel's programs do on packets.

use gre_common::{
    decap::{Decap, Payload},
    encap::Encap,
    wire::{
        address::Version,
        be32::Be32,
        ethernet::{self, Ends, EtherType},
        ipv4,
    },
};

/// What the tenant gets of a frame, made in its place. Of an l3 tenant it has these addresses.
pub fn inner_frame<'f>(frame: &'f mut [u8], plan: &Decap<'_>, ends: Ends) -> &'f [u8] {
    if let Some(ecn) = plan.ecn.bits() {
        let mark = plan.inner_ip.with_ecn(ecn);
        let header = &mut frame[plan.inner_ip.offset..];
        header[..mark.start.len()].copy_from_slice(&mark.start);
        if plan.inner_ip.version == Version::V4 {
            header[ipv4::CHECKSUM_OFFSET..][..mark.checksum.len()].copy_from_slice(&mark.checksum);
        }
    }
    let end = plan.strip + plan.inner_len;
    match plan.payload {
        Payload::Ethernet => &frame[plan.strip..end],
        Payload::Ip(ether_type) => {
            let begin = plan.strip - ethernet::HEADER_LEN;
            let link = ends.header(ether_type);
            frame[begin..plan.strip].copy_from_slice(&link);
            &frame[begin..end]
        }
    }
}

/// What goes over the underlay for a tenant's frame.
pub fn outer_frame(plan: &Encap<'_>, sequence: u32, frame: &[u8]) -> Vec<u8> {
    let (headers, tunnel) = (&plan.headers, plan.tunnel);
    let (local, remote) = (tunnel.local, tunnel.remote);
    let sequence = Be32::from(sequence.to_be_bytes());
    let (ether_type, mut words) = if headers.version == Version::V6 {
        (EtherType::IPV6, [&headers.ip[..2], &local.words(), &remote.words()].concat())
    } else {
        (EtherType::IPV4, [&headers.ip[..], &[local.last(), remote.last()]].concat())
    };
    words.push(headers.gre);
    words.extend(headers.fields.checksum().then(|| headers.checksum(sequence)));
    words.extend(headers.fields.key().then_some(headers.key));
    words.extend(headers.fields.sequence().then_some(sequence));
    let link = tunnel.next_hop.ends.header(ether_type);
    let inner = &frame[plan.strip..][..plan.inner_len];
    let mut outer = Vec::with_capacity(link.len() + words.len() * size_of::<Be32>() + inner.len());
    outer.extend(link);
    outer.extend(words.into_iter().flat_map(Be32::bytes));
    outer.extend(inner);
    outer
}
