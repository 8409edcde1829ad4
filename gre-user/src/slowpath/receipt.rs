//! Decides about a packet as the hook does, delivers, counts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gre_common::{
    bridge,
    decap::{Decap, Payload, decap},
    tables::{IfIndex, TunnelOptions},
    verdict::{DropReason, PassReason, Verdict},
};

use super::{
    arrivals::Arrivals,
    keepalive::Keepalives,
    rewrite::inner_frame,
    socket::{Port, Received},
};
use crate::state::{
    self,
    live::{Live, Snapshot},
};

/// What is asked about a packet.
pub(super) struct Receipt {
    arrivals: Arrivals,
    port: Arc<Port>,
    keepalives: Keepalives,
}

impl Receipt {
    pub const fn new(arrivals: Arrivals, port: Arc<Port>, keepalives: Keepalives) -> Self {
        Self { arrivals, port, keepalives }
    }

    /// Asks the other ends of tunnels that are due. Returns how long it has time until the next are.
    pub fn ask(&mut self, live: &mut Live, now: Instant) -> Duration {
        self.keepalives.ask(live, now)
    }

    /// Carries out the decision about a packet.
    pub fn handle(&mut self, received: &mut Received, live: &mut Live) {
        let Some(uplink) = self.arrivals.uplink(received.arrival) else { return };
        if let Err(error) = self.decide(received.frame(), uplink, live) {
            log::debug!("slow path: cannot count a packet: {error}");
        }
    }

    fn decide(&mut self, frame: &mut [u8], uplink: IfIndex, live: &mut Live) -> state::Result<()> {
        let tables = live.tables();
        let plan = match decap(frame, &tables) {
            // The hook has passed it, for the same reason, and counted it.
            Verdict::Pass(PassReason::Keepalive) => {
                self.keepalives.answer(frame);
                return Ok(());
            }
            Verdict::Pass(PassReason::ControlPayload) => {
                self.keepalives.answered(frame, live);
                return Ok(());
            }
            Verdict::Pass(_) => return Ok(()),
            Verdict::Drop(discard) => return live.count_dropped(uplink, discard),
            Verdict::Forward(plan) => plan,
        };
        let (binding, inner_len, notice) = (*plan.binding, plan.inner_len, plan.notice);
        let ports = ports(frame, &tables, &plan, live);
        let is_next = |tenant, number| live.advance(tenant, number);
        let is_limited = binding.options.has(TunnelOptions::LIMITED);
        let outcome = if plan.is_in_order(&*frame, is_next) {
            ports.and_then(|ports| {
                let may_receive = || live.may_receive(binding.tenant, inner_len);
                if is_limited && may_receive().is_ok_and(|may_receive| !may_receive) {
                    return Err(DropReason::RateLimit);
                }
                let ends = ports.first().and_then(|port| live.ends_of(*port));
                let ends = ends.unwrap_or(binding.port.ends);
                self.deliver(&ports, inner_frame(frame, &plan, ends))
            })
        } else {
            Err(DropReason::OutOfSequence)
        };
        match outcome {
            Ok(()) => live.count_received(&binding, inner_len, notice),
            Err(reason) => live.count_dropped(uplink, reason.of(binding.tenant)),
        }
    }

    /// To every port. It is delivered where one takes it.
    fn deliver(&self, ports: &[IfIndex], frame: &[u8]) -> Result<(), DropReason> {
        let mut outcome = Err(DropReason::RedirectFailed);
        for port in ports {
            match self.port.send(*port, frame) {
                Ok(()) => outcome = Ok(()),
                Err(error) => log::debug!("slow path: port {}: {error}", port.0),
            }
        }
        outcome
    }
}

/// Where the tenant's frame goes.
fn ports(
    frame: &[u8],
    tables: &Snapshot<'_>,
    plan: &Decap<'_>,
    live: &Live,
) -> Result<Vec<IfIndex>, DropReason> {
    let binding = plan.binding;
    if !binding.options.has(TunnelOptions::SWITCHED) {
        return Ok(vec![binding.port.ifindex]);
    }
    let is_l2 = plan.payload == Payload::Ethernet;
    let via = bridge::from_tunnel(frame, tables, binding.tenant, is_l2, plan.strip)?;
    Ok(via.to_port().map_or_else(|| live.ports_of(binding.tenant), |port| vec![port]))
}
