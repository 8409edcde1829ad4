//! Tunnels and the way to their remote ends.

use super::{IfIndex, Slot, options::options};
use crate::wire::{address::Address, ethernet::Ends};

/// The outer TTL where nothing else is asked for.
pub const DEFAULT_TTL: u8 = 64;

/// An outer header field that is fixed, or copied from the inner packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPolicy {
    /// The bits that are copied: all or none.
    copied: u8,
    /// The value where none are, else 0.
    value: u8,
}

impl FieldPolicy {
    /// The inner packet's.
    pub const INHERIT: Self = Self { copied: u8::MAX, value: 0 };

    /// Always `value`.
    pub const fn fixed(value: u8) -> Self {
        Self { copied: 0, value }
    }

    /// The value for a packet whose inner field is `inner`.
    #[inline(always)]
    pub const fn resolve(self, inner: u8) -> u8 {
        inner & self.copied | self.value
    }
}

/// The outer "don't fragment" bit.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DfPolicy(u16);

impl DfPolicy {
    /// Never set.
    pub const CLEAR: Self = Self(0);
    /// Always set.
    pub const SET: Self = Self(1);
    /// The inner IPv4 packet's; set for any other payload.
    pub const COPY: Self = Self(2);

    /// Whether it is set where the inner packet has `inner`.
    #[inline(always)]
    pub const fn resolve(self, inner: bool) -> bool {
        (self.0 | self.0 >> 1 & inner as u16) & 1 != 0
    }
}

/// What a tunnel does besides; in a binding also what its tenant asks for.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelOptions(u32);

options!(TunnelOptions);

impl TunnelOptions {
    /// Packets sent carry a checksum (RFC 2784 section 2.1).
    pub const CHECKSUM: Self = Self(1);
    /// Packets sent carry sequence numbers, and those received must come in order (RFC 2890 section 2.2).
    pub const SEQUENCE: Self = Self(2);
    /// The outer ECN field is zero: compatibility mode (RFC 6040 section 4.1).
    pub const ECN_COMPATIBILITY: Self = Self(4);
    /// The MSS option of TCP stays as it is.
    pub const KEEP_MSS: Self = Self(8);
    /// What the underlay's ICMP says of the path's MTU is not believed.
    pub const NO_PMTU_DISCOVERY: Self = Self(16);
    /// The kernel's IPsec policies are about packets received: what was not decrypted is theirs to judge.
    pub const IPSEC: Self = Self(32);
    /// Of a binding: its tenant is l2.
    pub const ETHERNET: Self = Self(64);
    /// Of a binding: where stations are is learned from what is received.
    pub const LEARN: Self = Self(128);
    /// Of a binding: its tenant has several ports, and a frame goes to the one where its destination is.
    pub const SWITCHED: Self = Self(256);
    /// Of a binding: its tenant's packets come from certain addresses only.
    pub const SOURCES: Self = Self(512);
    /// Of a binding: its tenant's packets are as many as its rate allows.
    pub const LIMITED: Self = Self(1024);
    /// What a binding has beside its tunnel's.
    pub const OF_BINDING: Self = Self(64 | 128 | 256 | 512 | 1024);
    /// What is looked for behind a binding before a packet is delivered.
    pub const NETWORK: Self = Self(128 | 256);
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
    /// Addresses of outgoing frames.
    pub ends: Ends,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
    /// The neighbour: a gateway, or the remote address itself; [`Address::NONE`] leaves it to the kernel.
    pub address: Address,
}

impl NextHop {
    /// No way known.
    pub const NONE: Self = Self {
        state: HopState::NO_ROUTE,
        ifindex: IfIndex::NONE,
        ends: Ends::NONE,
        mtu: 0,
        address: Address::NONE,
    };
}

/// How a tunnel's remote end is asked whether it is there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Seconds between two questions; 0: none are asked.
    pub period: u16,
    /// So many unanswered in a row mean that the tunnel is down.
    pub retries: u16,
    /// 1 while the tunnel is down.
    pub down: u32,
}

impl Keepalive {
    /// No questions.
    pub const OFF: Self = Self { period: 0, retries: 0, down: 0 };
}

/// Value of the map `TUNNELS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What the slot holds.
    pub slot: Slot,
    /// What it does besides.
    pub options: TunnelOptions,
    /// Outer TTL.
    pub ttl: FieldPolicy,
    /// Outer DSCP; the ECN bits follow RFC 6040 whatever this says.
    pub tos: FieldPolicy,
    /// Outer "don't fragment".
    pub df: DfPolicy,
    /// Largest inner packet (behind its Ethernet header for l2), in bytes; 0: what the path allows.
    pub mtu: u16,
    /// Local address: source of packets sent.
    pub local: Address,
    /// Remote address, of the same version: destination of packets sent.
    pub remote: Address,
    /// The way to the remote address, kept by the resolver.
    pub next_hop: NextHop,
    /// Number of tenants that use it.
    pub tenants: u32,
    /// Largest outer packet that the path was found to carry, in bytes; 0: nothing is known.
    pub path_mtu: u32,
    /// Whether it is up.
    pub keepalive: Keepalive,
}

impl Tunnel {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        slot: Slot::FREE,
        options: TunnelOptions::NONE,
        ttl: FieldPolicy::fixed(0),
        tos: FieldPolicy::fixed(0),
        df: DfPolicy::SET,
        mtu: 0,
        local: Address::NONE,
        remote: Address::NONE,
        next_hop: NextHop::NONE,
        tenants: 0,
        path_mtu: 0,
        keepalive: Keepalive::OFF,
    };
}

const _: () = {
    assert!(size_of::<Tunnel>() == 104);
};
