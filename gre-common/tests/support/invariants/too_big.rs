//! What becomes of a frame that does not fit: its sender is told, or it is cut.

use gre_common::{
    encap::inner_mtu,
    fragment::{Fragments, is_allowed},
    partial::{self, Transport},
    tables::{Service, Tables, TenantId},
    too_big::TooBig,
    verdict::{DropReason, Verdict},
    wire::address::Version,
};

use crate::support::{
    apply::answer,
    checksum::{self, assert_well_formed},
    plain,
    sending::encap,
    world::{World, port_of, tunnel_of},
};

/// "Don't fragment", and "more fragments".
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
/// The fragment offset.
const OFFSET: u16 = 0x1fff;

/// The answer to a frame goes back to its sender, is sound, and quotes it.
pub fn is_told_rightly(world: &World, tenant: TenantId, frame: &[u8]) {
    let Some(too_big) = TooBig::about(frame, world, tenant, tunnel_of(world, tenant)) else {
        return;
    };
    assert!(!is_allowed(frame), "told, though it may be cut");
    assert_eq!(too_big.tenant, tenant, "another tenant is told");
    let (network, _) = plain::network(frame).expect("an IP packet");
    let answer = answer(&too_big, frame);
    assert_eq!(answer[..6], frame[6..12], "to another station");
    assert_eq!(answer[6..12], frame[..6], "from another station");
    assert_eq!(frame[0] & 1, 0, "to many");
    assert_eq!(answer[12..network], frame[12..network], "another VLAN");
    let (packet, answer) = (&frame[network..], &answer[network..]);
    assert_well_formed(answer);
    let quoted = if packet[0] >> 4 == 4 {
        assert_ne!(plain::word(packet, 6).unwrap() & DONT_FRAGMENT, 0, "it may be cut");
        assert_eq!(plain::word(packet, 6).unwrap() & OFFSET, 0, "not the first fragment");
        assert_eq!((answer[0], answer[9]), (0x45, 1), "ICMP");
        assert_eq!(answer[12..20], [&packet[16..20], &packet[12..16]].concat(), "addresses");
        assert_eq!((&answer[20..22], answer.len() <= 576), (&[3, 4][..], true));
        assert!(plain::word(answer, 26).unwrap() >= 68, "what every link carries");
        &answer[28..]
    } else {
        assert_eq!((answer[0] >> 4, answer[6]), (6, 58), "ICMP for IPv6");
        assert_eq!(answer[8..40], [&packet[24..40], &packet[8..24]].concat(), "addresses");
        assert_eq!((&answer[40..42], answer.len() <= 1280), (&[2, 0][..], true));
        assert!(plain::word(answer, 46).unwrap() >= 1280, "what every link carries");
        &answer[48..]
    };
    assert!(packet.starts_with(quoted), "what is quoted");
}

/// The fragments of a frame fit its tunnel, and together are the packet.
pub fn is_cut_rightly(world: &World, tenant: TenantId, frame: &[u8]) {
    if !is_allowed(frame) {
        return;
    }
    let (network, _) = plain::network(frame).expect("an IP packet");
    fill_in(frame, network);
    let whose = world.tenant(tenant).unwrap();
    let carried_len = if whose.service == Service::L2 { network } else { 0 };
    let mtu = inner_mtu(world.tunnel(whose.tunnel).unwrap(), whose, carried_len).unwrap();
    let (link, packet) = frame.split_at(network);
    let Some(fragments) = Fragments::of(packet, mtu) else { return };
    let packet = &packet[..usize::from(plain::word(packet, 2).unwrap())];
    let header_len = plain::header_len(packet);
    let bits = plain::word(packet, 6).unwrap();
    let mut at = header_len;
    let mut last = MORE_FRAGMENTS;
    for fragment in fragments {
        assert_ne!(last & MORE_FRAGMENTS, 0, "there is one behind the last");
        let header = fragment.header.bytes();
        let len = header.len() + fragment.payload.len();
        assert!(len <= mtu, "{len} bytes do not fit {mtu}");
        assert_eq!(plain::header_len(header), header.len());
        assert_eq!(checksum::internet(header), 0, "header checksum");
        assert_eq!(usize::from(plain::word(header, 2).unwrap()), len);
        assert_eq!((header[1], &header[4..6]), (packet[1], &packet[4..6]), "TOS, identification");
        assert_eq!((&header[8..10], &header[12..20]), (&packet[8..10], &packet[12..20]));
        assert!(at > header_len || header[20..] == packet[20..header_len], "options of the first");
        last = plain::word(header, 6).unwrap();
        assert_eq!(
            last & !MORE_FRAGMENTS,
            (bits & !MORE_FRAGMENTS) + ((at - header_len) / 8) as u16
        );
        assert!(packet[at..].starts_with(fragment.payload), "other bytes");
        at += fragment.payload.len();
        if at == packet.len() {
            // That has the flag as the packet has it.
            assert_eq!(last & MORE_FRAGMENTS, bits & MORE_FRAGMENTS);
            last = 0;
        }
        let inner = [link, header, fragment.payload].concat();
        if let Verdict::Drop(discard) = encap(&inner[..], world, port_of(tenant)) {
            assert_ne!(discard.reason, DropReason::PacketTooBig, "a fragment does not fit");
        }
    }
    assert_eq!((at, last), (packet.len(), 0), "bytes are missing");
}

/// A checksum that is filled in is right, and what is behind the packet is left alone.
fn fill_in(frame: &[u8], ip_offset: usize) {
    let offset = ip_offset + plain::header_len(&frame[ip_offset..]);
    let end = ip_offset + usize::from(plain::word(frame, ip_offset + 2).unwrap());
    let Some(len) = end.checked_sub(offset) else { return };
    let protocol = frame[ip_offset + 9];
    let mut filled_in = frame.to_vec();
    let transport = Transport { version: Version::V4, ip_offset, protocol, offset, len };
    partial::fill_in(&mut filled_in, transport);
    if filled_in != frame {
        let mut packet = filled_in[ip_offset..end].to_vec();
        assert_eq!(filled_in[end..], frame[end..], "behind the packet");
        // For chance has seldom made the header's own.
        let header_len = offset - ip_offset;
        packet[10..12].fill(0);
        let sum = checksum::internet(&packet[..header_len]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_well_formed(&packet);
    }
}
