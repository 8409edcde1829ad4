//! Indices and names.

use core::mem::offset_of;

use super::table::{Entry, Key, mix};

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

impl TunnelId {
    /// No tunnel; no map is that large.
    pub const NONE: Self = Self(u32::MAX);
}

/// An interface index; 0 is no interface.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

impl IfIndex {
    /// No interface.
    pub const NONE: Self = Self(0);
}

impl Key for IfIndex {
    /// The kernel's are positive numbers of 32 bits with a sign.
    const DELETED: u32 = u32::MAX;

    #[inline(always)]
    fn decisive(&self) -> u32 {
        self.0
    }

    #[inline(always)]
    fn hash(&self) -> u32 {
        mix(self.0.into()) as u32
    }
}

/// A tunnel's or tenant's name: ASCII, filled with zeros.
pub type Name = [u8; 32];

impl Key for Name {
    /// No name: these are not ASCII.
    const DELETED: u32 = u32::MAX;

    fn decisive(&self) -> u32 {
        let [a, b, c, d, ..] = *self;
        u32::from_ne_bytes([a, b, c, d])
    }

    fn hash(&self) -> u32 {
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.chunks_exact(size_of::<u64>()).fold(0, |hash, bytes| mix(hash ^ word(bytes))) as u32
    }
}

/// Entry of the tables `TUNNEL_NAMES` and `TENANT_NAMES`, which only userspace reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Name,
    /// Whose it is: index in `TUNNELS` or `TENANTS`.
    pub index: u32,
}

impl Entry for Named {
    type Key = Name;
    const DECISIVE: usize = offset_of!(Self, name);

    fn key(&self) -> &Name {
        &self.name
    }
}

const _: () = assert!(size_of::<Named>() == 36);

/// An interface's name as the kernel has it, filled with zeros.
pub type IfName = [u8; 16];
