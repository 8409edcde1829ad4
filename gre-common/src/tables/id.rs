//! Indices and names.

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

/// A tunnel's or tenant's name: ASCII, filled with zeros.
pub type Name = [u8; 32];

/// An interface's name as the kernel has it, filled with zeros.
pub type IfName = [u8; 16];
