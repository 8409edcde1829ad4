//! Tunnels and the way to their remote ends.

use super::{IfIndex, Slot};
use crate::wire::ethernet::Ends;

/// An outer header field that is fixed, or copied from the inner packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPolicy {
    /// 1: copy from the inner packet where it has the field.
    inherit: u8,
    /// The value otherwise.
    value: u8,
}

impl FieldPolicy {
    /// Always `value`.
    pub const fn fixed(value: u8) -> Self {
        Self { inherit: 0, value }
    }

    /// The inner packet's, or `fallback` where it is not IP.
    pub const fn inherit(fallback: u8) -> Self {
        Self { inherit: 1, value: fallback }
    }

    /// Whether the inner packet's value is copied.
    pub const fn is_inherited(self) -> bool {
        self.inherit != 0
    }

    /// The value for a packet whose inner field is `inner`.
    #[inline(always)]
    pub const fn resolve(self, inner: Option<u8>) -> u8 {
        match inner {
            Some(inner) if self.inherit != 0 => inner,
            _ => self.value,
        }
    }
}

/// The outer "don't fragment" bit.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DfPolicy(u16);

impl DfPolicy {
    /// Always set.
    pub const SET: Self = Self(0);
    /// The inner IPv4 packet's; set for any other payload.
    pub const COPY: Self = Self(1);
    /// Never set.
    pub const CLEAR: Self = Self(2);
}

/// How far the resolver got with a tunnel's next hop.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopState(u32);

impl HopState {
    /// No usable route to the remote address.
    pub const NO_ROUTE: Self = Self(0);
    /// Device and next hop are known, its MAC address is not: the kernel resolves it.
    pub const UNRESOLVED: Self = Self(1);
    /// The addresses of the Ethernet header are complete.
    pub const RESOLVED: Self = Self(2);
}

/// The way to a tunnel's remote address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// How much of the rest is valid.
    pub state: HopState,
    /// The uplink.
    pub ifindex: IfIndex,
    /// The neighbour: a gateway, or the remote address itself.
    pub address: [u8; 4],
    /// Addresses of outgoing frames.
    pub ends: Ends,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
}

impl NextHop {
    /// No way known.
    pub const NONE: Self = Self {
        state: HopState::NO_ROUTE,
        ifindex: IfIndex::NONE,
        address: [0; 4],
        ends: Ends::NONE,
        mtu: 0,
    };
}

/// Value of the map `TUNNELS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What the slot holds.
    pub slot: Slot,
    /// Local address: source of packets sent.
    pub local: [u8; 4],
    /// Remote address: destination of packets sent.
    pub remote: [u8; 4],
    /// Outer TTL.
    pub ttl: FieldPolicy,
    /// Outer DSCP; the ECN bits follow RFC 6040 whatever this says.
    pub tos: FieldPolicy,
    /// Outer "don't fragment".
    pub df: DfPolicy,
    /// Largest inner packet (behind its Ethernet header for l2), in bytes; 0: what the path allows.
    pub mtu: u16,
    /// Number of tenants that use it.
    pub tenants: u32,
    /// The way to the remote address, kept by the resolver.
    pub next_hop: NextHop,
}

impl Tunnel {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        slot: Slot::FREE,
        local: [0; 4],
        remote: [0; 4],
        ttl: FieldPolicy::fixed(0),
        tos: FieldPolicy::fixed(0),
        df: DfPolicy::SET,
        mtu: 0,
        tenants: 0,
        next_hop: NextHop::NONE,
    };
}

const _: () = {
    assert!(size_of::<Tunnel>() == 52);
};
