//! The MSS of a SYN is lowered to what fits, and nothing else of the packet changes.

use gre_common::{
    mss::{Syn, clamp},
    tables::{Tables as _, TenantId},
    verdict::Verdict,
};

use crate::support::{
    apply::{Apply as _, clamped, headers},
    checksum, plain,
    sending::encap,
    world::{World, port_of},
};

/// A frame that enters at a tenant's port, and may open a connection.
pub fn asks_for_what_fits(world: &World, tenant: TenantId, frame: &[u8]) {
    if let Verdict::Forward(plan) = encap(frame, world, port_of(tenant))
        && plan.is_syn
    {
        let sent = plan.apply(frame);
        let Some(change) = clamp(&sent[..], world, &plan.syn()) else { return };
        let changed = clamped(world, &sent, Some(plan.syn()));
        let segment = change.tcp..segment_end(frame) - plan.strip + plan.syn().start;
        assert_eq!(sum(&changed[segment.clone()]), sum(&sent[segment]), "checksum");
        let (checksum, value) = (change.tcp + 16, change.tcp + change.offset);
        for (at, (after, before)) in changed.iter().zip(&sent).enumerate() {
            let is_meant = [checksum, checksum + 1, value, value + 1].contains(&at);
            assert!(is_meant || after == before, "byte {at}");
        }
        let network = plain::network(frame).expect("a SYN").0;
        let fixed_len = if frame[network] >> 4 == 6 { 40 } else { 20 };
        let carried = network - plan.strip + fixed_len + 20;
        let longest = headers(&plan).len() + carried + usize::from(u16::from_be_bytes(change.to));
        assert!(longest <= plan.tunnel.next_hop.mtu as usize, "segments of {longest} bytes");
        assert_eq!(clamp(&changed[..], world, &plan.syn()), None, "lowered once more");
    }
}

/// Any bytes that are taken for a SYN.
pub fn nothing_else_is_read(world: &World, tenant: TenantId, frame: &[u8]) {
    let tunnel = world.tenant(tenant).expect("one of the cast").tunnel;
    for start in [0, 14, 42, frame.len()] {
        if let Some(change) = clamp(frame, world, &Syn { tenant, tunnel, start }) {
            let value = change.tcp + change.offset;
            assert_eq!(frame[value - 2..value + 2], [&[2, 4], &change.from[..]].concat());
            assert!((20..60).contains(&change.offset), "behind the header");
            assert!(change.to < change.from, "raised");
        }
    }
}

/// Where the TCP segment in a tenant's frame ends.
fn segment_end(frame: &[u8]) -> usize {
    plain::ip_packet(frame).map_or(frame.len(), |packet| packet.end.min(frame.len()))
}

/// What the bytes of a TCP segment sum up to. Its pseudo-header stays.
fn sum(segment: &[u8]) -> u16 {
    // There are two zeros.
    match checksum::internet(segment) {
        0xffff => 0,
        sum => sum,
    }
}
