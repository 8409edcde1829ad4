//! Counters.

use super::{IfIndex, TenantId};

/// What a tenant received or sent. The value of the per-CPU map `SENT`, whose packets come from any CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets. A merged (GSO) packet counts as one.
    pub packets: u64,
    /// Inner bytes.
    pub bytes: u64,
}

impl Counters {
    /// Nothing.
    pub const ZERO: Self = Self { packets: 0, bytes: 0 };
}

impl core::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
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
    /// Added by the slow path, which must not write what programs count in at the same time.
    pub const SLOW: u32 = 0x4000_0000;
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
    /// XDP on a port.
    pub const PORT_XDP: Self = Self(3);
    /// The CPU to which XDP on an uplink has sent a packet.
    pub const UPLINK_CPU: Self = Self(4);
    /// TC ingress on an interface with transit rules.
    pub const TRANSIT_TC: Self = Self(5);
    /// TC ingress on the device on which frames go to several.
    pub const FLOOD_TC: Self = Self(7);
    /// The slow path, in userspace, which gets what the kernel has reassembled. It has no program.
    pub const SLOW_PATH: Self = Self(6);

    /// Every hook that has a program.
    pub const ALL: [Self; 7] = [
        Self::UPLINK_XDP,
        Self::UPLINK_CPU,
        Self::UPLINK_TC,
        Self::PORT_TC,
        Self::PORT_XDP,
        Self::TRANSIT_TC,
        Self::FLOOD_TC,
    ];

    /// As a number, below 16.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        self.0
    }

    /// Of a number that was one.
    #[inline(always)]
    pub const fn from_code(code: u32) -> Self {
        Self(code)
    }

    /// Its program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UPLINK_XDP => "uplink_xdp",
            Self::UPLINK_TC => "uplink_tc",
            Self::PORT_TC => "port_tc",
            Self::UPLINK_CPU => "uplink_cpu",
            Self::TRANSIT_TC => "transit_tc",
            Self::FLOOD_TC => "flood_tc",
            Self::SLOW_PATH => "slow_path",
            _ => "port_xdp",
        }
    }

    /// Whether its program is an XDP program, else TC.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::UPLINK_XDP | Self::UPLINK_CPU | Self::PORT_XDP)
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
    assert!(size_of::<Counters>() == 16);
    assert!(size_of::<TenantEvent>() == 8);
    assert!(size_of::<HookKey>() == 8);
    assert!(size_of::<HookCounters>() == 512);
};
