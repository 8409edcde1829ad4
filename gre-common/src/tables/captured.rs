//! What `xgre capture` gets to see.

use super::{Hook, IfIndex, TenantId, TransitAction, TunnelId};
use crate::{
    verdict::{DropReason, Notice, PassReason},
    wire::be32::Be32,
};

/// What stands before a frame in the map `CAPTURED`. The frame is as it came to the hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When, in nanoseconds of the kernel's monotonic clock.
    pub time: u64,
    /// Where it came in.
    pub ifindex: IfIndex,
    /// The program.
    pub hook: Hook,
    /// What was decided.
    pub fate: Fate,
    /// Whose it is, if that is known.
    pub tenant: TenantId,
    /// What it came or goes through, if that is known.
    pub tunnel: TunnelId,
    /// The VLAN tag that the device took out of the frame; zeros: none.
    pub vlan: Be32,
    /// Bytes of the frame.
    pub len: u32,
    /// Bytes of it that are here, those of `room` among them. Behind them the kernel fills up.
    pub captured: u32,
    /// Bytes without meaning before the frame: room for outer headers.
    pub room: u32,
    /// Nothing.
    pub reserved: u32,
}

/// What became of a packet, in a word: a kind, and a reason of that kind.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate(u32);

impl Fate {
    /// Decapsulated, for a port.
    pub const RECEIVED: Self = Self(Self::FORWARD);
    /// Encapsulated, and sent.
    pub const SENT: Self = Self(Self::FORWARD + 1);

    const PASS: u32 = 0x1_0000;
    const DROP: u32 = 0x2_0000;
    const FORWARD: u32 = 0x3_0000;
    const NOTICE: u32 = 0x4_0000;
    const RULE: u32 = 0x5_0000;
    const KIND: u32 = 0xffff_0000;

    /// Passed on, unchanged.
    #[inline(always)]
    pub const fn passed(reason: PassReason) -> Self {
        Self(Self::PASS + reason as u32)
    }

    /// Discarded.
    #[inline(always)]
    pub const fn dropped(reason: DropReason) -> Self {
        Self(Self::DROP + reason as u32)
    }

    /// Neither received nor sent, but what the notice says.
    #[inline(always)]
    pub const fn noticed(notice: Notice) -> Self {
        Self(Self::NOTICE + notice as u32)
    }

    /// What a transit rule says.
    #[inline(always)]
    pub const fn ruled(action: TransitAction) -> Self {
        Self(Self::RULE + action.code())
    }

    /// As a number.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Of a number that was one.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Whether it was discarded.
    #[inline(always)]
    pub const fn is_drop(self) -> bool {
        self.0 & Self::KIND == Self::DROP || self.0 == Self::ruled(TransitAction::DROP).0
    }

    /// The verdict and, where there are several of a kind, the reason, in the words of statistics and rules.
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        let index = (self.0 & !Self::KIND) as usize;
        let label = |label: Option<&'static str>| label.or(Some("unknown"));
        match self.0 & Self::KIND {
            Self::PASS => ("pass", label(PassReason::ALL.get(index).map(|it| it.label()))),
            Self::DROP => ("drop", label(DropReason::ALL.get(index).map(|it| it.label()))),
            Self::NOTICE => ("forward", label(Notice::ALL.get(index).map(|it| it.label()))),
            Self::RULE => ("rule", label(["count", "drop", "redirect"].get(index).copied())),
            _ if self == Self::SENT => ("send", None),
            _ => ("receive", None),
        }
    }
}

/// Which packets somebody wants to see.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight(u32);

impl Sight {
    /// Those that are, or could have been, of a tunnel or a tenant.
    pub const OURS: Self = Self(0);
    /// Those that are discarded.
    pub const DROPS: Self = Self(1);
    /// All that come by.
    pub const ALL: Self = Self(2);

    /// As a number.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Of a number that was one.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Whether a packet of this fate is among them.
    #[inline(always)]
    pub const fn takes_in(self, fate: Fate) -> bool {
        match self {
            Self::DROPS => fate.is_drop(),
            Self::ALL => true,
            _ => {
                fate.0 != Fate::passed(PassReason::NotIp).0
                    && fate.0 != Fate::passed(PassReason::NotGre).0
            }
        }
    }
}

const _: () = assert!(size_of::<Captured>() == 48);
