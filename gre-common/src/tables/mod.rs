//! The map schema shared by kernel and userspace, and the trait the decisions read it through.
//!
//! Keys and values are `repr(C)`, without implicit padding, bool or enum, so that every bit pattern is
//! valid and a pinned map can be read by another version. Addresses and keys are in network byte order,
//! everything else in the host's. Sizes are asserted where types are defined: a change there is a change
//! of [`SCHEMA_VERSION`].

mod binding;
mod counters;
mod id;
mod tenant;
mod tunnel;
mod uplink;

pub use self::{
    binding::{BindingKey, KeyField, LocalKey, LocalKeyUse},
    counters::{Hook, HookCounters, HookKey, REASONS, TenantCounters, TenantEvent},
    id::{IfIndex, IfName, Name, TenantId, TunnelId},
    tenant::{Delivery, Port, PortRecord, Service, Tenant},
    tunnel::{DfPolicy, FieldPolicy, HopState, NextHop, Tunnel},
    uplink::{Handover, Uplink, UplinkMode},
};

/// Version of everything in this room. A pinned state of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

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

const _: () = assert!(size_of::<Meta>() == 16);

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
