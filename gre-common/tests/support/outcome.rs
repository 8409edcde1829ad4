//! A verdict and its effect, in a form that tables of expectations can hold.

use std::fmt;

use gre_common::{
    decap::{Decap, decap},
    encap::Encap,
    packet::Packet,
    partial::{Transport, pending_sum},
    tables::{Binding, TenantId},
    verdict::{Discard, DropReason, Notice, PassReason, Verdict},
    wire::be32::Be32,
};

use super::{
    apply::{Apply, clamped},
    frame::{IPV4, IPV6},
    sending::encap,
    world::{OWN, STATION, World, port_of},
};

/// The tag that a device took out: VLAN 5.
pub const VLAN_TAG: [u8; 4] = [0x81, 0, 0, 5];

/// What became of a frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It went on, as this frame.
    Forwarded(TenantId, Vec<u8>, Option<Notice>),
    /// It was left alone.
    Passed(PassReason),
    /// It was discarded.
    Dropped(Discard),
}

/// An l3 tenant's port got this IP packet.
pub fn delivered(tenant: TenantId, packet: &[u8]) -> Outcome {
    forwarded(tenant, &at_port(packet))
}

/// An IP packet with the Ethernet header that it gets at an l3 tenant's port.
pub fn at_port(packet: &[u8]) -> Vec<u8> {
    let ether_type = if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
    [&STATION[..], &OWN, &ether_type.to_be_bytes(), packet].concat()
}

/// An l2 tenant's port, or the uplink, got this frame.
pub fn forwarded(tenant: TenantId, frame: &[u8]) -> Outcome {
    Outcome::Forwarded(tenant, frame.to_vec(), None)
}

/// The frame was left alone.
pub fn passed(reason: PassReason) -> Outcome {
    Outcome::Passed(reason)
}

/// The frame was discarded and its tenant charged.
pub fn dropped(tenant: TenantId, reason: DropReason) -> Outcome {
    Outcome::Dropped(reason.of(tenant))
}

/// The frame was discarded and the hook charged.
pub fn refused(reason: DropReason) -> Outcome {
    Outcome::Dropped(reason.unattributed())
}

/// What becomes of a frame received on an uplink.
pub fn receive(world: &World, frame: &[u8]) -> Outcome {
    match decap(frame, world) {
        Verdict::Pass(reason) => Outcome::Passed(reason),
        Verdict::Drop(discard) => Outcome::Dropped(discard),
        Verdict::Forward(plan) => {
            let Binding { tenant, port, .. } = *plan.binding;
            assert_eq!(port.ifindex, port_of(tenant), "another tenant's port");
            let frame = clamped(world, frame, plan.is_syn.then(|| plan.syn()));
            Outcome::Forwarded(tenant, plan.apply(&frame), plan.notice)
        }
    }
}

/// What becomes of a frame that a tenant sends.
pub fn send(world: &World, tenant: TenantId, frame: &[u8]) -> Outcome {
    match encap(frame, world, port_of(tenant)) {
        Verdict::Pass(reason) => Outcome::Passed(reason),
        Verdict::Drop(discard) => Outcome::Dropped(discard),
        Verdict::Forward(plan) => {
            let sent = clamped(world, &plan.apply(frame), plan.is_syn.then(|| plan.syn()));
            Outcome::Forwarded(plan.tenant, sent, None)
        }
    }
}

/// Compares what became of each row's frame with what should have, and panics with all that differ.
pub fn assert_rows(rows: impl Iterator<Item = (&'static str, Outcome, Outcome)>) {
    let differing: Vec<_> = rows
        .filter(|(_, became, expected)| became != expected)
        .map(|(what, became, expected)| {
            format!("{what}\n  became: {became:?}\n  expected: {expected:?}")
        })
        .collect();
    assert!(differing.is_empty(), "{} rows differ:\n\n{}", differing.len(), differing.join("\n\n"));
}

/// The plan for a frame received on an uplink that must be delivered.
pub fn decap_plan<'w>(world: &'w World, frame: &[u8]) -> Decap<'w> {
    expect_plan(decap(frame, world))
}

/// The plan for a tenant's frame that must be sent.
pub fn encap_plan<'w, P: Packet + ?Sized>(
    world: &'w World,
    tenant: TenantId,
    frame: &P,
) -> Encap<'w> {
    expect_plan(encap(frame, world, port_of(tenant)))
}

fn expect_plan<Plan: fmt::Debug>(verdict: Verdict<Plan>) -> Plan {
    match verdict {
        Verdict::Forward(plan) => plan,
        other => panic!("not forwarded: {other:?}"),
    }
}

/// A frame with what a device tells about it besides its bytes.
pub struct Told<'a> {
    pub frame: &'a [u8],
    /// It is merged (GSO), and stands for packets with this many bytes of payload each.
    pub segment: usize,
    /// The device took a VLAN tag out of its bytes.
    pub stripped_vlan: bool,
}

/// A merged packet.
pub fn merged(frame: &[u8], segment: usize) -> Told<'_> {
    Told { frame, segment, stripped_vlan: false }
}

impl Packet for Told<'_> {
    fn len(&self) -> usize {
        self.frame.len()
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.frame.read(offset)
    }

    fn segment_payload(&self) -> usize {
        self.segment
    }

    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        self.frame.sum(offset, len)
    }

    fn pending_sum(&self, transport: Transport) -> Option<u16> {
        pending_sum(self.frame, transport)
    }

    fn stripped_vlan(&self) -> Option<Be32> {
        self.stripped_vlan.then(|| VLAN_TAG.into())
    }
}

/// Bytes as a hex dump, so that a failed comparison can be read.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(reason) => write!(f, "passed: {}", reason.label()),
            Self::Dropped(discard) => {
                write!(f, "dropped: {}, charged to {:?}", discard.reason.label(), discard.tenant())
            }
            Self::Forwarded(tenant, frame, notice) => {
                write!(f, "forwarded for {tenant:?}, notice {notice:?}:")?;
                for line in frame.chunks(16) {
                    write!(f, "\n   ")?;
                    line.iter().try_for_each(|byte| write!(f, " {byte:02x}"))?;
                }
                Ok(())
            }
        }
    }
}
