//! The MSS of a SYN is lowered to what fits, and nothing else of the packet changes.

use gre_common::{
    encap::encap,
    mss::{Syn, clamp},
    tables::TenantId,
    verdict::Verdict,
};

use crate::support::{
    apply::{clamped, headers},
    checksum, plain,
    world::{World, port_of},
};

/// A frame that enters at a tenant's port, and may open a connection.
pub fn asks_for_what_fits(world: &World, tenant: TenantId, frame: &[u8]) {
    if let Verdict::Forward(plan) = encap(frame, world, port_of(tenant))
        && plan.is_syn
        && let Some(change) = clamp(frame, world, &plan.syn())
    {
        let changed = clamped(world, frame, Some(plan.syn()));
        let network = plain::network(frame).expect("a SYN").0;
        assert_eq!(segment_sum(&changed, change.tcp), segment_sum(frame, change.tcp), "checksum");
        let (checksum, value) = (change.tcp + 16, change.tcp + change.offset);
        for (at, (after, before)) in changed.iter().zip(frame).enumerate() {
            let is_meant = [checksum, checksum + 1, value, value + 1].contains(&at);
            assert!(is_meant || after == before, "byte {at} of {network}");
        }
        let fixed_len = if frame[network] >> 4 == 6 { 40 } else { 20 };
        let carried = network - plan.strip + fixed_len + 20;
        let longest = headers(&plan).len() + carried + usize::from(u16::from_be_bytes(change.to));
        assert!(longest <= plan.tunnel.next_hop.mtu as usize, "segments of {longest} bytes");
        assert_eq!(clamp(&changed[..], world, &plan.syn()), None, "lowered once more");
    }
}

/// Any bytes that are taken for a SYN.
pub fn nothing_else_is_read(world: &World, tenant: TenantId, frame: &[u8]) {
    for (start, is_sent) in [(0, true), (14, true), (14, false), (42, false), (frame.len(), false)]
    {
        if let Some(change) = clamp(frame, world, &Syn { tenant, start, is_sent }) {
            let value = change.tcp + change.offset;
            assert_eq!(frame[value - 2..value + 2], [&[2, 4], &change.from[..]].concat());
            assert!((20..60).contains(&change.offset), "behind the header");
            assert!(change.to < change.from, "raised");
        }
    }
}

/// What the bytes of a TCP segment sum up to. Its pseudo-header stays.
fn segment_sum(frame: &[u8], tcp: usize) -> u16 {
    let end = plain::ip_packet(frame).map_or(frame.len(), |packet| packet.end.min(frame.len()));
    // There are two zeros.
    match checksum::internet(&frame[tcp..end]) {
        0xffff => 0,
        sum => sum,
    }
}
