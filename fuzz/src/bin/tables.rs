//! Any frame by tables in which anything stands, as in pinned maps that somebody else has written to: every decision
//! comes to an end, and none reaches behind the frame.
#![cfg_attr(fuzzing, no_main)]

use gre_common::{
    bridge,
    decap::{Payload, decap},
    encap::encap,
    fragment::Fragments,
    mss, neighbour,
    tables::{IfIndex, TenantId, TunnelId},
    too_big::TooBig,
    transit::transit,
    verdict::Verdict,
};
use gre_fuzz::{
    chaos::Chaos,
    support::{
        apply::{Apply, answer},
        plain,
    },
};

gre_fuzz::target!(check);

fn check(bytes: &[u8]) {
    // The tables are made of the end of the frame.
    let seed = bytes.last_chunk().map_or(0, |end| u64::from_le_bytes(*end));
    let tables = Chaos::new(seed);
    // Chance seldom finds a checksum.
    let sound = [plain::repaired(bytes), plain::with_sound_header(bytes)];
    for frame in [Some(bytes), sound[0].as_deref(), sound[1].as_deref()].into_iter().flatten() {
        received(&tables, frame);
        sent(&tables, frame);
        let _ = transit(frame, &tables, IfIndex(1));
    }
}

fn received(tables: &Chaos, frame: &[u8]) {
    let Verdict::Forward(plan) = decap(frame, tables) else { return };
    let inner = plan.apply(frame);
    let tenant = plan.binding.tenant;
    let is_frame = plan.payload == Payload::Ethernet;
    let _ = bridge::from_tunnel(frame, tables, tenant, is_frame, plan.strip);
    let _ = plan.is_syn.then(|| mss::clamp(&inner[..], tables, &plan.syn()));
}

fn sent(tables: &Chaos, frame: &[u8]) {
    let tenant = TenantId(0);
    let _ = neighbour::is_answered(frame, tables, tenant);
    for tunnel in [0, 1, u32::MAX].map(TunnelId) {
        let Some(too_big) = TooBig::about(frame, tables, tenant, tunnel) else { continue };
        let _ = answer(&too_big, frame);
    }
    let Verdict::Forward(way) = bridge::from_port(frame, tables, IfIndex(1)) else { return };
    let Some(tunnel) = way.via.to_tunnel() else { return };
    let Verdict::Forward(plan) = encap(frame, tables, &way, tunnel) else { return };
    let outer = plan.apply(frame);
    let _ = plan.is_syn.then(|| mss::clamp(&outer[..], tables, &plan.syn()));
    let _ = Fragments::of(frame, usize::from(plan.tunnel.mtu));
}
