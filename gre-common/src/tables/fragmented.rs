//! Packets that do not fit, and that the slow path sends in fragments.

use super::{Counters, IfIndex, Pace, TenantId};
use crate::wire::be32::Be32;

/// Value of the map `FRAGMENTED`, by [`TenantId`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmented {
    /// How many were handed up.
    pub pace: Pace,
    /// The fragments sent, which belong to what the tenant has sent. The slow path alone counts here.
    pub sent: Counters,
}

/// What stands before a frame that `port_tc` hands up, in the map `TO_FRAGMENT`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedUp {
    /// Whose it is.
    pub tenant: TenantId,
    /// The port's device.
    pub port: IfIndex,
    /// The VLAN tag that it took out of the frame; zeros: none.
    pub vlan: Be32,
    /// Bytes of the frame. Behind it the kernel fills up.
    pub len: u32,
}

impl HandedUp {
    /// Bytes of the longest frame. A record with its own header has a length of 16 bits (`perf_event_header`), and not every kernel
    /// looks whether it fits.
    pub const MAX_LEN: usize = 65_000;
}

const _: () = {
    assert!(size_of::<Fragmented>() == 24);
    assert!(size_of::<HandedUp>() == 16);
};
