//! The map schema shared by kernel and userspace, and the trait the decisions read it through.
//!
//! Keys and values are `repr(C)`, without implicit padding, bool or enum, so that every bit pattern is
//! valid and a pinned map can be read by another version. Addresses and keys are in network byte order,
//! everything else in the host's.

use crate::{
    verdict::{DropReason, PassReason},
    wire::{
        ethernet::{self, MacAddr},
        gre::GreKey,
    },
};

/// Version of everything in this file. A pinned state of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// A tenant's index in the map `TENANTS`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

impl TenantId {
    /// No tenant; no map is that large.
    pub const NONE: Self = Self(u32::MAX);
}

/// A tunnel's index in the map `TUNNELS`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(pub u32);

/// An interface index; 0 is no interface.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

impl IfIndex {
    /// No interface.
    pub const NONE: Self = Self(0);
}

/// An optional GRE key as it stands in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyField {
    /// 1 where the packet carries a key, else 0.
    present: u32,
    /// The key in network byte order; 0 where there is none.
    key: [u8; 4],
}

impl From<Option<GreKey>> for KeyField {
    #[inline(always)]
    fn from(key: Option<GreKey>) -> Self {
        match key {
            Some(GreKey(key)) => Self { present: 1, key: key.to_be_bytes() },
            None => Self { present: 0, key: [0; 4] },
        }
    }
}

impl From<KeyField> for Option<GreKey> {
    #[inline(always)]
    fn from(field: KeyField) -> Self {
        (field.present != 0).then(|| GreKey(u32::from_be_bytes(field.key)))
    }
}

/// Key of the map `BINDINGS`: what identifies a tenant's packet on the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindingKey {
    /// The tunnel's local address: the packet's destination.
    pub local: [u8; 4],
    /// The tunnel's remote address: the packet's source.
    pub remote: [u8; 4],
    /// The key in packets received.
    pub key: KeyField,
}

/// Key of the map `LOCAL_KEYS`: a binding without its remote address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalKey {
    /// The tunnel's local address.
    pub local: [u8; 4],
    /// The key in packets received.
    pub key: KeyField,
}

/// Value of the map `LOCAL_KEYS`: who is bound to a key at a local address, whatever the remote.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalKeyUse {
    /// Number of bindings.
    pub bindings: u32,
    /// The tenant of the oldest of them.
    pub tenant: TenantId,
}

/// What a tenant's packets are.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service(u32);

impl Service {
    /// Ethernet frames.
    pub const L2: Self = Self(2);
    /// IPv4 and IPv6 packets.
    pub const L3: Self = Self(3);
}

/// How decapsulated packets reach a port.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery(u32);

impl Delivery {
    /// XDP leaves the port in the packet's metadata and passes it; TC hands it over.
    pub const PASS: Self = Self(0);
    /// XDP redirects to the port's device.
    pub const REDIRECT: Self = Self(1);
}

/// Where a tenant's inner packets enter and leave.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The device, or none.
    pub ifindex: IfIndex,
    /// How packets reach it.
    pub delivery: Delivery,
    /// l3: the MAC address behind the port, destination of delivered frames.
    pub station: MacAddr,
    /// l3: the port's own MAC address, source of delivered frames.
    pub own: MacAddr,
}

impl Port {
    /// No port.
    pub const NONE: Self =
        Self { ifindex: IfIndex::NONE, delivery: Delivery::PASS, station: [0; 6], own: [0; 6] };
}

/// Value of the map `TENANTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// 1 where the slot holds a tenant, else 0.
    pub in_use: u32,
    /// What its packets are.
    pub service: Service,
    /// Its tunnel.
    pub tunnel: TunnelId,
    /// The key in packets received.
    pub in_key: KeyField,
    /// The key in packets sent.
    pub out_key: KeyField,
    /// Its port.
    pub port: Port,
}

impl Tenant {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        in_use: 0,
        service: Service::L3,
        tunnel: TunnelId(0),
        in_key: KeyField { present: 0, key: [0; 4] },
        out_key: KeyField { present: 0, key: [0; 4] },
        port: Port::NONE,
    };
}

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
    /// The Ethernet header is complete.
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
    /// Ethernet header of outgoing frames.
    pub ethernet: [u8; ethernet::HEADER_LEN],
    /// Largest outer IP packet, in bytes.
    pub mtu: u16,
}

impl NextHop {
    /// No way known.
    pub const NONE: Self = Self {
        state: HopState::NO_ROUTE,
        ifindex: IfIndex::NONE,
        address: [0; 4],
        ethernet: [0; ethernet::HEADER_LEN],
        mtu: 0,
    };
}

/// Value of the map `TUNNELS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// 1 where the slot holds a tunnel, else 0.
    pub in_use: u32,
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
        in_use: 0,
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
    /// A [`DropReason`]'s index, or [`TenantEvent::NOTICE`] plus that of a
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
    /// By [`PassReason`].
    pub passed: [u64; REASONS],
    /// By [`DropReason`].
    pub dropped: [u64; REASONS],
}

impl HookCounters {
    /// All zero.
    pub const ZERO: Self = Self { passed: [0; REASONS], dropped: [0; REASONS] };
}

/// A tunnel's or tenant's name: ASCII, filled with zeros.
pub type Name = [u8; 32];

/// An interface's name as the kernel has it, filled with zeros.
pub type IfName = [u8; 16];

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
}

/// Value of the map `PORTS`, by the name users gave or know the port by.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRecord {
    /// The device that carries the program.
    pub ifindex: IfIndex,
    /// Whose it is.
    pub tenant: TenantId,
    /// 1 where xgre made the device, else 0.
    pub created: u32,
    /// 1 where the station is the device's peer and follows it, 0 where the user named it.
    pub follows_peer: u32,
}

/// The one value of the map `META`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// [`SCHEMA_VERSION`] of whoever made the state.
    pub schema: u32,
    /// Where the search for a free tunnel slot begins. Slots are taken in turn, so that a packet under way
    /// cannot meet another tunnel in the slot it looked up.
    pub next_tunnel: u32,
    /// The same for tenants.
    pub next_tenant: u32,
    /// A random number that tells this state's [`Handover`] from others.
    pub cookie: [u8; 4],
}

/// What `uplink_xdp` leaves in a packet's metadata for `uplink_tc`.
///
/// Metadata may travel on with the packet to where another xgre meets it; the first two fields tell
/// whose it is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// [`Meta::cookie`] of the state.
    pub cookie: [u8; 4],
    /// The uplink.
    pub uplink: IfIndex,
    /// The port's device.
    pub port: IfIndex,
}

/// What the decisions look up.
pub trait Tables {
    /// The tenant a received packet belongs to.
    fn binding(&self, key: &BindingKey) -> Option<TenantId>;
    /// Who is bound to a key at a local address.
    fn local_key(&self, key: &LocalKey) -> Option<TenantId>;
    /// Whether a tunnel ends at this address.
    fn is_local(&self, address: [u8; 4]) -> bool;
    /// A tenant.
    fn tenant(&self, id: TenantId) -> Option<&Tenant>;
    /// A tunnel.
    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel>;
    /// The tenant whose port a device is.
    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId>;
    /// Whether GRE packets to a local address that match no binding are dropped instead of passed.
    fn strict(&self) -> bool;
    /// A value for the IPv4 identification field that does not repeat soon.
    fn ip_id(&self) -> u16;
}

/// Sizes that pinned maps rely on: a change here is a change of [`SCHEMA_VERSION`].
const _: () = {
    assert!(size_of::<BindingKey>() == 16);
    assert!(size_of::<LocalKey>() == 12);
    assert!(size_of::<LocalKeyUse>() == 8);
    assert!(size_of::<Tenant>() == 48);
    assert!(size_of::<Tunnel>() == 52);
    assert!(size_of::<TenantCounters>() == 32);
    assert!(size_of::<TenantEvent>() == 8);
    assert!(size_of::<HookKey>() == 8);
    assert!(size_of::<HookCounters>() == 512);
    assert!(size_of::<Uplink>() == 20);
    assert!(size_of::<PortRecord>() == 16);
    assert!(size_of::<Meta>() == 16);
    assert!(size_of::<Handover>() == 12);
    assert!(PassReason::ALL.len() <= REASONS);
    assert!(DropReason::ALL.len() <= REASONS);
};
