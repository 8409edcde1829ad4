//! Counters, all of them per CPU.

use super::{IfIndex, TenantId};

/// Value of the per-CPU map `TENANT_COUNTERS`. Bytes are inner bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantCounters {
    /// Packets decapsulated.
    pub rx_packets: u64,
    /// Bytes decapsulated.
    pub rx_bytes: u64,
    /// Packets encapsulated. A merged (GSO) packet counts as one.
    pub tx_packets: u64,
    /// Bytes encapsulated.
    pub tx_bytes: u64,
}

/// Key of the per-CPU map `TENANT_EVENTS`, which holds only what ever happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantEvent {
    /// Whose.
    pub tenant: TenantId,
    /// A [`DropReason`](crate::verdict::DropReason)'s index, or [`TenantEvent::NOTICE`] plus that of a
    /// [`Notice`](crate::verdict::Notice).
    pub event: u32,
}

impl TenantEvent {
    /// First of the events that are not drops.
    pub const NOTICE: u32 = 0x8000_0000;
}

/// A place where packets meet a program.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hook(u32);

impl Hook {
    /// XDP on an uplink.
    pub const UPLINK_XDP: Self = Self(0);
    /// TC ingress on an uplink.
    pub const UPLINK_TC: Self = Self(1);
    /// TC ingress on a port.
    pub const PORT_TC: Self = Self(2);

    /// Every hook.
    pub const ALL: [Self; 3] = [Self::UPLINK_XDP, Self::UPLINK_TC, Self::PORT_TC];

    /// Its program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UPLINK_XDP => "uplink_xdp",
            Self::UPLINK_TC => "uplink_tc",
            _ => "port_tc",
        }
    }
}

/// Key of the per-CPU map `HOOK_COUNTERS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookKey {
    /// The interface; [`IfIndex::NONE`] collects what came from an interface nobody registered.
    pub ifindex: IfIndex,
    /// The program.
    pub hook: Hook,
}

/// Room for reasons in [`HookCounters`]; a power of two.
pub const REASONS: usize = 32;

/// Value of the per-CPU map `HOOK_COUNTERS`: packets that no tenant was charged with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookCounters {
    /// By [`PassReason`](crate::verdict::PassReason).
    pub passed: [u64; REASONS],
    /// By [`DropReason`](crate::verdict::DropReason).
    pub dropped: [u64; REASONS],
}

impl HookCounters {
    /// All zero.
    pub const ZERO: Self = Self { passed: [0; REASONS], dropped: [0; REASONS] };
}

const _: () = {
    assert!(size_of::<TenantCounters>() == 32);
    assert!(size_of::<TenantEvent>() == 8);
    assert!(size_of::<HookKey>() == 8);
    assert!(size_of::<HookCounters>() == 512);
};
