//! Rules for GRE packets that merely pass through.

use super::{Counters, IfIndex, IfName, KeyField};
use crate::wire::address::Address;

/// Key of the map `TRANSIT_RULES`: the packets that a rule is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransitKey {
    /// The interface that they come in by.
    pub ifindex: IfIndex,
    /// Their GRE key.
    pub key: KeyField,
    /// Their destination, where the tunnel ends that they are in; [`Address::NONE`] is any.
    pub local: Address,
    /// Their source, where it begins; [`Address::NONE`] is any.
    pub remote: Address,
}

/// Value of the map `TRANSIT_RULES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitRule {
    /// What becomes of the packets.
    pub action: TransitAction,
    /// Where [`TransitAction::REDIRECT`] sends them; else [`IfIndex::NONE`].
    pub target: IfIndex,
    /// The packets, and the bytes of their frames.
    pub matched: Counters,
    /// Name of the interface that they come in by, when the rule was made.
    pub iface: IfName,
    /// Name of the target, when the rule was made; else zeros.
    pub target_name: IfName,
}

/// What becomes of a packet in transit.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitAction(u32);

impl TransitAction {
    /// It goes on its way.
    pub const COUNT: Self = Self(0);
    /// It is discarded.
    pub const DROP: Self = Self(1);
    /// It leaves, unchanged, by another interface.
    pub const REDIRECT: Self = Self(2);

    /// As a number.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        self.0
    }
}

const _: () = {
    assert!(size_of::<TransitKey>() == 44);
    assert!(size_of::<TransitRule>() == 56);
};
