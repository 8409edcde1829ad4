//! Tenants and their ports.

use super::{IfIndex, KeyField, TenantId, TunnelId};
use crate::wire::ethernet::MacAddr;

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
        in_key: KeyField::NONE,
        out_key: KeyField::NONE,
        port: Port::NONE,
    };
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

const _: () = {
    assert!(size_of::<Tenant>() == 48);
    assert!(size_of::<PortRecord>() == 16);
};
