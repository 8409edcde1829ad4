//! Uplinks, and what their programs tell each other.

use super::{IfIndex, IfName};

/// Value of the map `UPLINKS`, by interface index.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: IfName,
    /// How packets are taken off it.
    pub mode: UplinkMode,
}

/// How packets are taken off an uplink.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkMode(u32);

impl UplinkMode {
    /// XDP in the driver.
    pub const NATIVE: Self = Self(1);
    /// XDP behind the driver.
    pub const GENERIC: Self = Self(2);
    /// TC only.
    pub const TC: Self = Self(3);
    /// Not at all: TC decides and counts, and leaves them alone.
    pub const SHADOW: Self = Self(4);

    /// Whether there is an XDP program.
    pub const fn has_xdp(self) -> bool {
        matches!(self, Self::NATIVE | Self::GENERIC)
    }
}

/// What `uplink_xdp` leaves in a packet's metadata for `uplink_tc`.
///
/// Metadata may travel on with the packet to where another xgre meets it; the first two fields tell
/// whose it is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// [`Meta::cookie`](super::Meta::cookie) of the state.
    pub cookie: u32,
    /// The uplink.
    pub uplink: IfIndex,
    /// The port's device.
    pub port: IfIndex,
}

const _: () = {
    assert!(size_of::<Uplink>() == 20);
    assert!(size_of::<Handover>() == 12);
};
