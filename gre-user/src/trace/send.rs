//! What the programs of a port do.

use gre_common::{
    bridge::{self, Way},
    encap::{Encap, encap, inner_mtu},
    fragment,
    packet::Packet as _,
    tables::{HandedUp, Hook, HopState, IfIndex, Service, Tables as _, TunnelId, Via},
    verdict::{Discard, DropReason, Notice, PassReason, Verdict},
    wire::{ethernet, gre::GreKey},
};

use super::{
    Result, Tracer,
    fate::{Asking, Fate, Output, Passage, To},
    flood,
    frame::Frame,
    inner,
    learn::Learned,
    rewrite,
    tables::Recorder,
};
use crate::slowpath::rewrite::outer_frame;

/// Bytes of the addresses that a frame begins with.
const ADDRESSES: usize = 12;

/// What `port_xdp` or `port_tc` does with a frame.
pub(super) fn send(
    tracer: &Tracer,
    hook: Hook,
    ifindex: IfIndex,
    frame: &Frame,
) -> Result<Passage> {
    let mut asking = Asking::new();
    let words = inner::frame_in_words(frame, 0);
    asking.notes.add("inner", format!("{words}, {} bytes", frame.wire_len()));
    let tables = Recorder::new(tracer, &asking.notes, String::new());
    let (tenant, notices, fate) = match bridge::from_port(frame, &tables, ifindex) {
        Verdict::Pass(reason) => (None, Vec::new(), Fate::Passed(reason)),
        Verdict::Drop(discard) => (discard.tenant(), Vec::new(), Fate::Dropped(discard)),
        Verdict::Forward(way) => {
            let mut notices = Vec::new();
            let mut departure = Departure {
                tracer,
                hook,
                ifindex,
                frame,
                tables: &tables,
                way,
                notices: &mut notices,
            };
            let fate = departure.decide()?;
            (Some(way.id), notices, fate)
        }
    };
    drop(tables);
    (asking.tenant, asking.notices) = (tenant, notices);
    Ok(asking.end(hook, fate))
}

/// A tenant's frame that is to go somewhere.
struct Departure<'a, 't> {
    tracer: &'a Tracer,
    hook: Hook,
    ifindex: IfIndex,
    frame: &'a Frame,
    tables: &'a Recorder<'t>,
    way: Way<'a>,
    notices: &'a mut Vec<Notice>,
}

impl Departure<'_, '_> {
    fn decide(&mut self) -> Result<Fate> {
        let tunnel = self.way.via.to_tunnel();
        if !self.hook.is_xdp() {
            self.learn()?;
        }
        match tunnel {
            Some(tunnel) => self.through(tunnel),
            None if self.hook.is_xdp() => Ok(self.left_to_tc("it does not go through one tunnel")),
            None => Ok(self.spread()),
        }
    }

    fn through(&mut self, tunnel: TunnelId) -> Result<Fate> {
        let verdict = encap(self.frame, self.tables, &self.way, tunnel);
        self.note_size(tunnel);
        match verdict {
            Verdict::Pass(reason) => Ok(Fate::Passed(reason)),
            Verdict::Drop(discard) if discard.reason == DropReason::PacketTooBig => {
                Ok(self.too_big(discard, tunnel))
            }
            Verdict::Drop(discard) => Ok(Fate::Dropped(discard)),
            Verdict::Forward(plan) if self.hook.is_xdp() => self.by_xdp(&plan),
            Verdict::Forward(plan) => Ok(self.sent(&plan)),
        }
    }

    fn by_xdp(&mut self, plan: &Encap<'_>) -> Result<Fate> {
        if plan.is_syn {
            return Ok(self.left_to_tc("it opens a connection, whose MSS TC lowers"));
        }
        let hop = &plan.tunnel.next_hop;
        if hop.state != HopState::RESOLVED {
            return Ok(self.left_to_tc("the next hop is not resolved"));
        }
        if !self.tracer.live.redirects_to_uplink(hop.ifindex)? {
            return Ok(self.left_to_tc("the uplink transmits nothing for XDP"));
        }
        self.learn()?;
        Ok(self.sent(plan))
    }

    fn sent(&self, plan: &Encap<'_>) -> Fate {
        if plan.is_syn {
            self.tables.note("tcp", rewrite::OPENS);
        }
        Fate::Sent(output(self.tracer, self.hook, plan, self.frame))
    }

    /// To another port, or to all members.
    fn spread(&mut self) -> Fate {
        if self.way.via == Via::TO_ANSWER {
            let frame = rewrite::told(self.tracer, self.way.id, self.ifindex, self.frame);
            let len = frame.as_ref().map_or(0, Vec::len);
            self.notices.push(Notice::Answered);
            return Fate::Sent(Output { to: To::Sender(self.ifindex), len, frame });
        }
        let Some(first) = self.way.via.to_members() else {
            self.notices.push(Notice::Switched);
            let port = self.way.via.to_port().unwrap_or(IfIndex::NONE);
            let mut output = unchanged(To::Port(port), self.frame);
            let ends = self.tracer.live.ends_of(port);
            if let (Some(frame), Some(ends), Service::L3) =
                (&mut output.frame, ends, self.way.tenant.service)
            {
                let link = ends.header(ethernet::EtherType::NONE);
                frame[..ADDRESSES].copy_from_slice(&link[..ADDRESSES]);
            }
            return Fate::Sent(output);
        };
        if !self.tracer.is_device(self.tracer.meta.flood) {
            return Fate::Dropped(DropReason::RedirectFailed.of(self.way.id));
        }
        self.notices.push(Notice::Flooded);
        Fate::Flooded(flood::to_all(self.tracer, first, self.ifindex, self.frame))
    }

    fn too_big(&self, discard: Discard, tunnel: TunnelId) -> Fate {
        if self.hook.is_xdp() {
            return self.left_to_tc("it does not fit, and TC tells its sender");
        }
        if self.frame.len() <= HandedUp::MAX_LEN && fragment::is_allowed(self.frame) {
            self.tables.note("fragment", "it may be fragmented, which the daemon does");
            return Fate::HandedUp(discard);
        }
        match rewrite::answer(self.tracer, self.way.id, tunnel, self.frame) {
            Some((too_big, bytes)) => {
                let told = format!("its sender is told by ICMP that {} bytes fit", too_big.mtu);
                self.tables.note("answer", told);
                let to = To::Sender(self.ifindex);
                Fate::Answered(discard, Output { to, len: bytes.len(), frame: Some(bytes) })
            }
            None => Fate::Dropped(discard),
        }
    }

    /// Notes how long the tenant's packet is, and how long it may be.
    fn note_size(&self, tunnel: TunnelId) {
        let tables = self.tracer.live.tables();
        let Some(tunnel) = tables.tunnel(tunnel) else { return };
        let link_len = match self.way.tenant.service {
            Service::L2 => {
                let tag_len = self.frame.wire_len() - self.frame.len();
                ethernet::payload(self.frame, 0).offset + tag_len
            }
            _ => 0,
        };
        let carried = ethernet::payload(self.frame, 0).offset;
        let len = self.frame.len().saturating_sub(carried);
        let fits = inner_mtu(tunnel, self.way.tenant, link_len).unwrap_or(0);
        self.tables.note("size", format!("{len} bytes behind the Ethernet header, {fits} fit"));
    }

    fn learn(&mut self) -> Result<()> {
        if !self.way.tenant.learns() {
            return Ok(());
        }
        let via = Via::port(self.ifindex);
        let learned = Learned::from(self.tracer, self.frame, 0, self.way.id, via)?;
        if let Some(learned) = learned {
            self.tables.note("learn", learned.words);
            self.notices.extend(learned.notice);
        }
        Ok(())
    }

    fn left_to_tc(&self, why: &str) -> Fate {
        self.tables.note("delivery", format!("left to TC: {why}"));
        Fate::Passed(PassReason::LeftToTc)
    }
}

/// The frame that a tunnel's packet is.
pub(super) fn output(tracer: &Tracer, hook: Hook, plan: &Encap<'_>, frame: &Frame) -> Output {
    let sequence = tracer.live.sequence(plan.tenant).sent as u32;
    let sequence = if plan.headers.fields.sequence() { sequence } else { 0 };
    let bytes = frame.on_wire().map(|inner| {
        let mut bytes = outer_frame(plan, sequence, &inner);
        if plan.is_syn && !hook.is_xdp() {
            rewrite::clamp(&mut bytes, &tracer.live, &plan.syn());
        }
        bytes
    });
    let tables = tracer.live.tables();
    let key = tables.tenant(plan.tenant).and_then(|tenant| Option::<GreKey>::from(tenant.out_key));
    let to = To::Tunnel {
        tunnel: plan.tunnel_id,
        key,
        remote: plan.tunnel.remote.into(),
        uplink: plan.tunnel.next_hop.ifindex,
    };
    let len = ethernet::HEADER_LEN + plan.headers.bytes() + plan.inner_len;
    Output { to, len, frame: bytes }
}

/// A frame that leaves as it is.
pub(super) fn unchanged(to: To, frame: &Frame) -> Output {
    Output { to, len: frame.wire_len(), frame: frame.on_wire() }
}
