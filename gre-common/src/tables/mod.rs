//! The map schema shared by kernel and userspace, and the trait the decisions read it through.
//!
//! Keys and values are `repr(C)`, without implicit padding, bool or enum, so that every bit pattern is
//! valid and a pinned map can be read by another version. Addresses and keys are in network byte order,
//! everything else in the host's. Sizes are asserted where types are defined: a change there is a change
//! of [`SCHEMA_VERSION`].

mod binding;
mod bridge;
mod captured;
mod counters;
mod ends;
mod fragmented;
mod id;
mod limit;
mod neighbour;
mod options;
mod pace;
mod route;
mod run;
mod sequence;
pub mod table;
mod tenant;
mod transit;
mod tunnel;
mod uplink;

pub use self::{
    binding::{Binding, BindingKey, KeyField, LocalKey, LocalKeyUse},
    bridge::{FDB_AGE, FDB_LEARNED_MAX, FdbEntry, FdbKey, Member, MemberId, Via},
    captured::{Captured, Fate, Sight},
    counters::{Counters, Hook, HookCounters, HookKey, REASONS, TenantEvent},
    ends::{Ends6, Ends6Use, LocalId, LocalUse},
    fragmented::{Fragmented, HandedUp},
    id::{IfIndex, IfName, Name, Named, TenantId, TunnelId},
    limit::Limit,
    neighbour::Neighbour,
    pace::{Pace, Rate},
    route::{ROUTE_WAYS, Route, TenantAddress},
    run::RunOptions,
    sequence::Sequence,
    tenant::{Delivery, Port, PortMode, PortRecord, PortUse, Service, Slot, Tenant, TenantOptions},
    transit::{TransitAction, TransitKey, TransitRule},
    tunnel::{
        DEFAULT_TTL, DfPolicy, FieldPolicy, HopState, Keepalive, NextHop, Tunnel, TunnelOptions,
    },
    uplink::{Handover, Uplink, UplinkMode},
};

use crate::wire::address::Address;

/// Version of everything in this room. A pinned state of another version is refused.
pub const SCHEMA_VERSION: u32 = 7;

/// Tenants, and tunnels, that a state has room for unless its maker asks for another number.
pub const DEFAULT_TENANTS: u32 = 16_384;

/// The one value of the map `META`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// [`SCHEMA_VERSION`] of whoever made the state.
    pub schema: u32,
    /// A random number that tells this state's [`Handover`] from others.
    pub cookie: u32,
    /// The device where `flood_tc` is; none while no tenant needs it.
    pub flood: IfIndex,
    /// How the programs were loaded. They have their own copy, for constants cost them nothing.
    pub run: RunOptions,
}

const _: () = assert!(size_of::<Meta>() == 16);

/// What the decisions look up.
pub trait Tables {
    /// What a received packet is bound to.
    fn binding(&self, key: &BindingKey) -> Option<&Binding>;
    /// The tunnel over IPv6 between these ends.
    fn ends6(&self, ends: &Ends6) -> Option<TunnelId>;
    /// Who is bound to a key at a local address.
    fn local_key(&self, key: &LocalKey) -> Option<TenantId>;
    /// The local address, if a tunnel ends there.
    fn local(&self, address: &Address) -> Option<LocalId>;
    /// A tenant.
    fn tenant(&self, id: TenantId) -> Option<&Tenant>;
    /// A tunnel.
    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel>;
    /// The tenant whose port a device is.
    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId>;
    /// Where a tenant's station is, as far as is believed now.
    fn station(&self, key: &FdbKey) -> Via;
    /// The ways to a tenant's destination, by the longest prefix.
    fn route(&self, key: &TenantAddress) -> Option<&Route>;
    /// Whether an address is among those that a tenant's packets may come from.
    fn is_source(&self, key: &TenantAddress) -> bool;
    /// Who has an address.
    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour>;
    /// Whether GRE packets to a local address that match no binding are dropped instead of passed.
    fn strict(&self) -> bool;
    /// A value for the IPv4 identification field that does not repeat soon.
    fn ip_id(&self) -> u16;
}
