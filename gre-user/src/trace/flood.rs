//! What becomes of a frame that goes to several: each member of the network gets a copy.

use gre_common::{
    bridge::Way,
    encap::encap,
    tables::{Hook, IfIndex, MemberId, Tables as _, Via},
    verdict::{DropReason, Verdict},
};

use super::{
    Tracer,
    fate::{Fate, To},
    frame::Frame,
    notes::Notes,
    send,
    tables::Recorder,
};
use crate::state::live::Live;

/// The copies of what came by a tunnel: one for each port.
pub fn to_ports(
    live: &Live,
    first: MemberId,
    output: impl Fn(IfIndex) -> Fate,
) -> Vec<(Via, Fate)> {
    let members = live.members_from(first).into_iter();
    members.filter_map(|member| Some((member.via, output(member.via.to_port()?)))).collect()
}

/// The copies of what came by a port: one for each tunnel and each other port.
pub fn to_all(tracer: &Tracer, first: MemberId, from: IfIndex, frame: &Frame) -> Vec<(Via, Fate)> {
    let from = tracer.live.position(from);
    let members = tracer.live.members_from(first).into_iter();
    let others = members.filter(|it| it.via.to_tunnel().is_some() || it.position != from);
    others
        .map(|member| {
            let Some(tunnel) = member.via.to_tunnel() else {
                let port = member.via.to_port().unwrap_or(IfIndex::NONE);
                return (member.via, Fate::Sent(send::unchanged(To::Port(port), frame)));
            };
            let notes = Notes::default();
            let tables = Recorder::new(tracer, &notes, String::new());
            let Some(tenant) = tables.tenant(member.tenant) else {
                let discard = DropReason::RedirectFailed.unattributed();
                return (member.via, Fate::Dropped(discard));
            };
            let way = Way { id: member.tenant, tenant, via: member.via };
            let fate = match encap(frame, &tables, &way, tunnel) {
                Verdict::Pass(reason) => Fate::Passed(reason),
                Verdict::Drop(discard) => Fate::Dropped(discard),
                Verdict::Forward(plan) => {
                    Fate::Sent(send::output(tracer, Hook::FLOOD_TC, &plan, frame))
                }
            };
            (member.via, fate)
        })
        .collect()
}
