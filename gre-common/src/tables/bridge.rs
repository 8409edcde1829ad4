//! Where the stations of an l2 tenant live, and among whom its frames are flooded.

use super::{IfIndex, TenantId, TunnelId};
use crate::{
    packet::Packet,
    wire::{
        be32::Be32,
        ethernet::{self, MacAddr},
    },
};

/// Nanoseconds after which a learned station is no longer believed to be where it was last heard (IEEE 802.1Q table 8-8).
pub const FDB_AGE: u64 = 300 * 1_000_000_000;

/// Stations that are learned of one tenant.
pub const FDB_LEARNED_MAX: u64 = 8_192;

/// A way to a tenant's station: behind a tunnel, at a port, or unknown. One word, so that it is replaced whole.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Via(u64);

impl Via {
    /// Not known.
    pub const NONE: Self = Self(0);

    const TUNNEL: u32 = 1;
    const PORT: u32 = 2;
    const FLOOD: u32 = 3;
    const ANSWER: u32 = 4;

    /// Nowhere: it asks for a neighbour who is known, and is answered where it came from.
    pub const TO_ANSWER: Self = Self::of(Self::ANSWER, 0);

    /// Behind a tunnel.
    #[inline(always)]
    pub const fn tunnel(TunnelId(tunnel): TunnelId) -> Self {
        Self::of(Self::TUNNEL, tunnel)
    }

    /// At a port of this host.
    #[inline(always)]
    pub const fn port(IfIndex(ifindex): IfIndex) -> Self {
        Self::of(Self::PORT, ifindex)
    }

    /// To all members from this one on.
    #[inline(always)]
    pub const fn flood(MemberId(first): MemberId) -> Self {
        Self::of(Self::FLOOD, first)
    }

    /// The tunnel, if it is behind one.
    #[inline(always)]
    pub fn to_tunnel(self) -> Option<TunnelId> {
        (self.kind() == Self::TUNNEL).then_some(TunnelId(self.index()))
    }

    /// The device, if it is at a port.
    #[inline(always)]
    pub fn to_port(self) -> Option<IfIndex> {
        (self.kind() == Self::PORT).then_some(IfIndex(self.index()))
    }

    /// The first of the members that get a copy each, if it is a flood.
    #[inline(always)]
    pub fn to_members(self) -> Option<MemberId> {
        (self.kind() == Self::FLOOD).then_some(MemberId(self.index()))
    }

    /// The same, forgotten; see [`Packet::forget`].
    #[inline(always)]
    #[must_use]
    pub fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self::of(packet.forget(self.kind()), packet.forget(self.index()))
    }

    /// As a number.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What [`bits`](Self::bits) said.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    const fn of(kind: u32, index: u32) -> Self {
        Self((kind as u64) << 32 | index as u64)
    }

    #[inline(always)]
    const fn kind(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    const fn index(self) -> u32 {
        self.0 as u32
    }
}

/// Key of the map `FDB`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FdbKey {
    /// Whose station.
    pub tenant: TenantId,
    /// Its MAC address, and two bytes that are zero.
    mac: [Be32; 2],
}

impl FdbKey {
    /// Of a tenant's station.
    #[inline(always)]
    pub fn new(tenant: TenantId, mac: MacAddr) -> Self {
        Self { tenant, mac: ethernet::words(mac) }
    }

    /// The station.
    pub const fn mac(&self) -> MacAddr {
        ethernet::from_words(self.mac)
    }
}

/// Value of the map `FDB`, by a tenant's station.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// Where the station is.
    pub via: Via,
    /// When it was last heard, in nanoseconds of the monotonic clock; [`FdbEntry::STATIC`].
    pub seen: u64,
}

impl FdbEntry {
    /// Someone said where the station is: it does not age, and nothing that is heard changes it.
    pub const STATIC: u64 = u64::MAX;

    /// Whether someone said where the station is.
    #[inline(always)]
    pub const fn is_static(&self) -> bool {
        self.seen == Self::STATIC
    }

    /// Where the station is, as far as is believed at this time.
    #[inline(always)]
    pub const fn via_at(&self, now: u64) -> Via {
        if self.is_static() || now.saturating_sub(self.seen) < FDB_AGE {
            self.via
        } else {
            Via::NONE
        }
    }
}

/// A member of a flood: an index in the map `MEMBERS`, and how often that was given away. A copy on its way to a member
/// that is gone must not find another tenant's.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberId(pub u32);

impl MemberId {
    /// No member.
    pub const NONE: Self = Self(0);

    /// How many members there can be.
    pub const MAX: u32 = 1 << (u32::BITS - Self::TURN_BITS);

    const TURN_BITS: u32 = 8;

    /// Index in `MEMBERS`.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 >> Self::TURN_BITS
    }

    /// The next to be given away with this index; never [`MemberId::NONE`].
    #[must_use]
    pub const fn next_turn(self, index: u32) -> Self {
        let turn = self.0 as u8;
        let turn = if turn == u8::MAX { 1 } else { turn + 1 };
        Self(index << Self::TURN_BITS | turn as u32)
    }
}

/// Value of the map `MEMBERS`: one of those among whom a tenant's frames are flooded. First come its tunnels, then its ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Itself, or who was here last.
    pub id: MemberId,
    /// Who comes next.
    pub next: MemberId,
    /// A tunnel or a port; [`Via::NONE`]: nobody is here.
    pub via: Via,
    /// The tenant.
    pub tenant: TenantId,
    /// A port's [`PortUse::position`](super::PortUse::position), else 0.
    pub position: u32,
}

impl Member {
    /// Nobody.
    pub const NONE: Self = Self {
        id: MemberId::NONE,
        next: MemberId::NONE,
        via: Via::NONE,
        tenant: TenantId::NONE,
        position: 0,
    };
}

const _: () = {
    assert!(size_of::<FdbKey>() == 12);
    assert!(size_of::<FdbEntry>() == 16);
    assert!(size_of::<Member>() == 24);
};
