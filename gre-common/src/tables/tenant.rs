//! Tenants and their ports.

use core::mem::offset_of;

use super::{IfIndex, KeyField, MemberId, TenantId, TunnelId, options::options, table::Entry};
use crate::{packet::Packet, wire::ethernet::Ends};

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

/// What a slot of `TENANTS` or `TUNNELS` holds.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// Nothing.
    pub const FREE: Self = Self(0);
    /// A tenant or tunnel.
    pub const IN_USE: Self = Self(1);
    /// What was deleted and may still have counters.
    pub const RETIRED: Self = Self(2);
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

/// Entry of the table `PORT_TENANTS`: whose port a device is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortUse {
    /// The device.
    pub ifindex: IfIndex,
    /// The tenant.
    pub tenant: TenantId,
    /// Which of the tenant's ports it is, from 1 on, below 65,536: what it sends does not come back to it.
    pub position: u32,
    /// [`Port::ends`].
    pub ends: Ends,
}

impl Entry for PortUse {
    type Key = IfIndex;
    const DECISIVE: usize = offset_of!(Self, ifindex);

    #[inline(always)]
    fn key(&self) -> &IfIndex {
        &self.ifindex
    }
}

/// Where a tenant's inner packets enter and leave.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The device, or none.
    pub ifindex: IfIndex,
    /// How packets reach it.
    pub delivery: Delivery,
    /// l3: addresses of delivered frames. The destination is the station behind the port, the source the port's own.
    pub ends: Ends,
}

impl Port {
    /// No port.
    pub const NONE: Self =
        Self { ifindex: IfIndex::NONE, delivery: Delivery::PASS, ends: Ends::NONE };
}

/// What is done to a tenant's packets besides.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantOptions(u32);

options!(TenantOptions);

impl TenantOptions {
    /// Who asks for a neighbour that is known is answered.
    pub const ANSWERS: Self = Self(1);
    /// Frames come from certain MAC addresses only.
    pub const MACS: Self = Self(2);
    /// IP packets come from certain addresses only.
    pub const PREFIXES: Self = Self(4);
    /// They are as many as its rate allows.
    pub const LIMITED: Self = Self(8);
    /// It receives by a second key too, which stands in the map `SECOND_KEYS`. Only userspace asks: there is a binding for it.
    pub const SECOND_KEY: Self = Self(16);

    /// Whether packets come from certain addresses only.
    #[inline(always)]
    pub const fn has_sources(self) -> bool {
        self.has_some(Self(Self::MACS.0 | Self::PREFIXES.0))
    }

    /// The same, forgotten; see [`Packet::forget`].
    #[inline(always)]
    #[must_use]
    pub fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self(packet.forget(self.0))
    }
}

/// Value of the map `TENANTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// What the slot holds.
    pub slot: Slot,
    /// What its packets are.
    pub service: Service,
    /// Its tunnel, or the first of several.
    pub tunnel: TunnelId,
    /// The key in packets received.
    pub in_key: KeyField,
    /// The key in packets sent.
    pub out_key: KeyField,
    /// Its port, or the first of several.
    pub port: Port,
    /// Where there are several of either, or routes: all of them, one behind the other.
    pub members: MemberId,
    /// The first port among those.
    pub ports: MemberId,
    /// What is done to its packets besides.
    pub options: TenantOptions,
    /// l3: how many routes it has. Only userspace asks.
    pub routes: u32,
}

impl Tenant {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        slot: Slot::FREE,
        service: Service::L3,
        tunnel: TunnelId(0),
        in_key: KeyField::NONE,
        out_key: KeyField::NONE,
        port: Port::NONE,
        members: MemberId::NONE,
        ports: MemberId::NONE,
        options: TenantOptions::NONE,
        routes: 0,
    };

    /// Whether it is learned where its stations are.
    #[inline(always)]
    pub fn learns(&self) -> bool {
        self.members != MemberId::NONE && self.service == Service::L2
    }
}

/// Value of the map `PORTS`, by the name users gave or know the port by.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRecord {
    /// What the datapath knows of it.
    pub port: Port,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whether xgre made the device: 0, [`PAIR`](Self::PAIR), [`VLAN`](Self::VLAN).
    pub created: u32,
    /// 1 where the station is the device's peer and follows it, 0 where the user named it.
    pub follows_peer: u32,
    /// How packets are taken off it.
    pub mode: PortMode,
    /// [`PortUse::position`].
    pub position: u32,
}

impl PortRecord {
    /// xgre made a pair of devices, of which this is one end.
    pub const PAIR: u32 = 1;
    /// xgre made a VLAN device.
    pub const VLAN: u32 = 2;
}

/// How packets are taken off a port.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMode(u32);

impl PortMode {
    /// TC: right for every sender.
    pub const TC: Self = Self(0);
    /// XDP in the driver, TC behind it: for packets that came from a wire.
    pub const NATIVE: Self = Self(1);
    /// The same where the driver takes it, else TC.
    pub const AUTO: Self = Self(2);
}

const _: () = {
    assert!(size_of::<Tenant>() == 64);
    assert!(size_of::<PortRecord>() == 40);
    assert!(size_of::<PortUse>() == 24);
};
