//! What the programs of an uplink do.

use gre_common::{
    bridge,
    decap::{Decap, Payload, decap},
    packet::Packet as _,
    tables::{Delivery, Hook, IfIndex, RunOptions, Sequence, TenantId, TunnelOptions, Via},
    verdict::{DropReason, Notice, PassReason, Verdict},
    wire::{
        ethernet::{self, EtherType},
        ipv4,
    },
};

use super::{
    Result, Tracer,
    fate::{Asking, Fate, Output, Passage, To},
    flood,
    frame::Frame,
    inner,
    learn::Learned,
    outer, rewrite,
    tables::Recorder,
};
use crate::slowpath::rewrite::inner_frame;

/// Shortest frame that the kernel leaves behind at TC, where an Ethernet frame came out of a packet.
const MIN_FRAME: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;

/// What `uplink_xdp` or `uplink_tc` does with a frame.
pub(super) fn receive(tracer: &Tracer, hook: Hook, frame: &Frame) -> Result<Passage> {
    let mut asking = Asking::new();
    let gre = outer::read(frame, &asking.notes);
    let subject = gre.as_ref().map(outer::Gre::subject).unwrap_or_default();
    let tables = Recorder::new(tracer, &asking.notes, subject);
    let verdict = decap(frame, &tables);
    if let Some(gre) = gre.filter(|_| tables.is_bound()) {
        asking.notes.add("inner", inner::of_gre(frame, &gre));
    }
    let fate = match verdict {
        Verdict::Pass(reason) => Fate::Passed(reason),
        Verdict::Drop(discard) => Fate::Dropped(discard),
        Verdict::Forward(plan) => {
            let (tenant, mut notices) = (plan.binding.tenant, Vec::new());
            let mut arrival =
                Arrival { tracer, frame, tables: &tables, plan, notices: &mut notices };
            let fate = if hook.is_xdp() { arrival.by_xdp() } else { arrival.by_tc() }?;
            drop(tables);
            (asking.tenant, asking.notices) = (Some(tenant), notices);
            fate
        }
    };
    Ok(asking.end(hook, fate))
}

/// A packet that is to be delivered.
struct Arrival<'a, 't> {
    tracer: &'a Tracer,
    frame: &'a Frame,
    tables: &'a Recorder<'t>,
    plan: Decap<'a>,
    notices: &'a mut Vec<Notice>,
}

impl Arrival<'_, '_> {
    fn by_xdp(&mut self) -> Result<Fate> {
        if self.plan.is_syn {
            self.note("delivery", "left to TC: it opens a connection, whose MSS TC lowers");
            return Ok(Fate::Passed(PassReason::LeftToTc));
        }
        if self.tracer.meta.run.has(RunOptions::STEER) {
            self.note("steer", "the CPU of its inner flow decides the same again");
        }
        let Some(delivery) = self.way_to_port() else {
            return Ok(Fate::Passed(PassReason::LeftToTc));
        };
        if !self.is_in_order() {
            return Ok(self.dropped(DropReason::OutOfSequence));
        }
        if self.asks(TunnelOptions::LEARN) {
            self.learn()?;
        }
        let port = self.plan.binding.port.ifindex;
        if delivery == Delivery::REDIRECT && !self.tracer.live.redirects_to_port(port)? {
            return Ok(self.dropped(DropReason::RedirectFailed));
        }
        self.remark();
        Ok(Fate::Sent(self.output(port, false)))
    }

    fn by_tc(&mut self) -> Result<Fate> {
        if !self.is_in_order() {
            return Ok(self.dropped(DropReason::OutOfSequence));
        }
        let binding = self.plan.binding;
        let mut via = Via::NONE;
        if self.asks(TunnelOptions::LEARN) {
            self.learn()?;
        }
        if self.asks(TunnelOptions::SWITCHED) {
            let (id, is_l2) = (binding.tenant, self.plan.payload == Payload::Ethernet);
            let found = bridge::from_tunnel(self.frame, self.tables, id, is_l2, self.plan.strip);
            match found {
                Ok(found) => via = found,
                Err(reason) => return Ok(self.dropped(reason)),
            }
        }
        let first = via.to_members();
        if first.is_some() && !self.tracer.is_device(self.tracer.meta.flood) {
            return Ok(self.dropped(DropReason::RedirectFailed));
        }
        self.remark();
        if self.plan.is_syn {
            self.note("tcp", rewrite::OPENS);
        }
        let Some(first) = first else {
            let port = via.to_port().unwrap_or(binding.port.ifindex);
            return Ok(Fate::Sent(self.output(port, true)));
        };
        self.notices.push(Notice::Flooded);
        let output = |port| Fate::Sent(self.output(port, true));
        Ok(Fate::Flooded(flood::to_ports(&self.tracer.live, first, output)))
    }

    /// How XDP gets the packet to its port; `None`: it leaves that to TC.
    fn way_to_port(&self) -> Option<Delivery> {
        let port = self.plan.binding.port;
        let leave = |why: &str| {
            self.note("delivery", format!("left to TC: {why}"));
            None
        };
        if self.asks(TunnelOptions::SWITCHED) {
            return leave("the tenant has several ports");
        }
        if self.tracer.meta.run.has(RunOptions::GENERIC) {
            let mtu = self.tracer.links.get(&port.ifindex).map_or(0, |link| link.mtu as usize);
            if self.len() > mtu + ethernet::HEADER_LEN {
                return leave("it is longer than the port's MTU");
            }
            self.note("delivery", "redirected");
            return Some(Delivery::REDIRECT);
        }
        if port.delivery == Delivery::REDIRECT {
            self.note("delivery", "redirected");
        } else if self.is_tagged() {
            return leave("the tenant's frame begins with a VLAN tag");
        } else {
            self.note("delivery", "handed over to uplink_tc");
        }
        Some(port.delivery)
    }

    fn is_tagged(&self) -> bool {
        let ether_type = self.frame.read(self.plan.strip + ethernet::TYPE_OFFSET);
        self.plan.payload == Payload::Ethernet
            && ether_type.is_some_and(|bytes| EtherType::from_be_bytes(bytes).is_vlan())
    }

    /// Compares the sequence number with that of the last packet, which it does not become.
    fn is_in_order(&self) -> bool {
        let is_next = |tenant: TenantId, number| {
            let next = self.tracer.live.sequence(tenant).received;
            let is_next = Sequence::is_next(next, number);
            let order = if is_next { "in order" } else { "too old" };
            self.note("order", format!("{number}, {} or later is due: {order}", next as u32));
            is_next
        };
        self.plan.is_in_order(self.frame, is_next)
    }

    /// Notes where the sender would be learned to be.
    fn learn(&mut self) -> Result<()> {
        let (binding, start) = (self.plan.binding, self.plan.strip);
        let via = Via::tunnel(binding.tunnel);
        let learned = Learned::from(self.tracer, self.frame, start, binding.tenant, via)?;
        let Some(learned) = learned else { return Ok(()) };
        if learned.is_believed {
            self.tables.learn(learned.key, via);
        }
        self.note("learn", learned.words);
        self.notices.extend(learned.notice);
        Ok(())
    }

    /// Notes what else is changed or counted.
    fn remark(&mut self) {
        if let Some(ecn) = self.plan.ecn.bits() {
            self.note("ecn", format!("the inner field becomes {ecn:02b}: congestion on the way"));
        }
        self.notices.extend(self.plan.notice);
    }

    /// The frame that a port gets.
    fn output(&self, port: IfIndex, by_tc: bool) -> Output {
        let ends = self.tracer.live.ends_of(port).unwrap_or(self.plan.binding.port.ends);
        let frame = self.frame.bytes().map(|bytes| {
            let mut bytes = bytes.to_vec();
            if by_tc && self.plan.is_syn {
                rewrite::clamp(&mut bytes, &self.tracer.live, &self.plan.syn());
            }
            let mut frame = inner_frame(&mut bytes, &self.plan, ends).to_vec();
            if by_tc {
                frame.resize(frame.len().max(MIN_FRAME), 0);
            }
            frame
        });
        let len = frame.as_ref().map_or_else(|| self.len(), Vec::len);
        Output { to: To::Port(port), len, frame }
    }

    /// Length of the tenant's frame, in bytes.
    fn len(&self) -> usize {
        let link_len = match self.plan.payload {
            Payload::Ethernet => 0,
            Payload::Ip(_) => ethernet::HEADER_LEN,
        };
        link_len + self.plan.inner_len
    }

    fn asks(&self, option: TunnelOptions) -> bool {
        self.plan.binding.options.has(option)
    }

    fn dropped(&self, reason: DropReason) -> Fate {
        Fate::Dropped(reason.of(self.plan.binding.tenant))
    }

    fn note(&self, step: &'static str, detail: impl Into<String>) {
        self.tables.note(step, detail);
    }
}
