//! What identifies a tenant's packet on the wire, and what becomes of it.

use core::mem::offset_of;

use super::{
    Counters, LocalId, Port, TenantId, TunnelId, TunnelOptions,
    table::{Entry, Key, mix},
};
use crate::{
    packet::Packet,
    wire::{be32::Be32, gre::GreKey},
};

/// An optional GRE key as it stands in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyField {
    /// Whether packets carry a key; never 0, which is [`VACANT`](super::table::VACANT).
    kind: u32,
    /// The key in network byte order; 0 where there is none.
    key: Be32,
}

impl KeyField {
    /// No key.
    pub const NONE: Self = Self { kind: Self::ABSENT, key: Be32::from_read(0) };

    const ABSENT: u32 = 1;
    const PRESENT: u32 = 2;
    const DELETED: u32 = 3;
    /// Added to the kind in a [`BindingKey`] of a tunnel over IPv6.
    const OVER_IPV6: u32 = 4;

    /// The key in network byte order, where there is one.
    #[inline(always)]
    pub const fn word(self) -> Be32 {
        self.key
    }

    /// The one word to change first while packets are sent with a key, where there is a key only before or only after:
    /// its offset in bytes, and what it becomes. Who meets it at work still finds the key where it was, or finds it there already.
    /// `None` where one word is all that differs.
    #[must_use]
    pub const fn first_to_change(before: Self, after: Self) -> Option<(usize, u32)> {
        if before.kind == after.kind {
            None
        } else if after.kind == Self::PRESENT {
            Some((offset_of!(Self, key), after.key.as_read()))
        } else {
            Some((offset_of!(Self, kind), after.kind))
        }
    }

    #[inline(always)]
    fn hash_with(self, addresses: u64) -> u32 {
        let key = u64::from(self.kind) << 32 | u64::from(self.key.as_read());
        // Multiplied by an odd number, so that no address is taken for a key.
        mix(addresses.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ key) as u32
    }
}

impl From<Option<GreKey>> for KeyField {
    #[inline(always)]
    fn from(key: Option<GreKey>) -> Self {
        match key {
            Some(GreKey(key)) => Self { kind: Self::PRESENT, key: key.to_be_bytes().into() },
            None => Self::NONE,
        }
    }
}

impl From<KeyField> for Option<GreKey> {
    #[inline(always)]
    fn from(field: KeyField) -> Self {
        (field.kind == KeyField::PRESENT).then(|| GreKey(u32::from_be_bytes(field.key.bytes())))
    }
}

/// What identifies a tenant's packet on the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindingKey {
    /// The tunnel's local address: the packet's destination.
    local: Be32,
    /// The tunnel's remote address: the packet's source.
    remote: Be32,
    /// The key in packets received.
    key: KeyField,
}

impl BindingKey {
    /// Of a tunnel over IPv4.
    #[inline(always)]
    pub const fn v4(local: Be32, remote: Be32, key: KeyField) -> Self {
        Self { local, remote, key }
    }

    /// Of a tunnel over IPv6, whose number stands for its ends.
    #[inline(always)]
    pub const fn v6(TunnelId(tunnel): TunnelId, key: KeyField) -> Self {
        let key = KeyField { kind: key.kind | KeyField::OVER_IPV6, ..key };
        Self { local: Be32::from_read(tunnel), remote: Be32::from_read(0), key }
    }

    /// Whether this is the key in packets received.
    pub const fn has_key(&self, key: KeyField) -> bool {
        self.key.kind & !KeyField::OVER_IPV6 == key.kind
            && self.key.key.as_read() == key.key.as_read()
    }
}

impl Key for BindingKey {
    const DELETED: u32 = KeyField::DELETED;

    #[inline(always)]
    fn decisive(&self) -> u32 {
        self.key.kind
    }

    #[inline(always)]
    fn hash(&self) -> u32 {
        let ends = u64::from(self.local.as_read()) << 32 | u64::from(self.remote.as_read());
        self.key.hash_with(ends)
    }
}

/// Entry of the table `BINDINGS`: all that a packet's receipt takes, point to point, in one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What identifies the tenant's packets.
    pub key: BindingKey,
    /// Whose they are.
    pub tenant: TenantId,
    /// What they came through.
    pub tunnel: TunnelId,
    /// What was received. A tunnel's packets carry one pair of addresses, so a NIC leads them to one queue
    /// and CPU, and this line is its own. Where others take part each still adds atomically.
    pub received: Counters,
    /// Where they go: the tenant's port, or the first of several.
    pub port: Port,
    /// What tunnel and tenant ask of them.
    pub options: TunnelOptions,
}

impl Binding {
    /// A binding that has received nothing.
    pub const fn new(key: BindingKey, tenant: TenantId, tunnel: TunnelId, port: Port) -> Self {
        let options = TunnelOptions::NONE;
        Self { key, tenant, tunnel, received: Counters::ZERO, port, options }
    }

    /// Whether tunnel and tenant ask this of them, or some of this. What was asked before is forgotten; see [`Packet::forget`].
    #[inline(always)]
    pub fn asks<P: Packet + ?Sized>(&self, packet: &P, option: TunnelOptions) -> bool {
        TunnelOptions::from_bits(packet.forget(self.options.bits())).has_some(option)
    }
}

impl Entry for Binding {
    type Key = BindingKey;
    const DECISIVE: usize = offset_of!(Self, key.key.kind);

    #[inline(always)]
    fn key(&self) -> &BindingKey {
        &self.key
    }
}

/// A binding without its remote address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalKey {
    /// The tunnel's local address.
    pub local: LocalId,
    /// The key in packets received.
    pub key: KeyField,
}

impl Key for LocalKey {
    const DELETED: u32 = KeyField::DELETED;

    #[inline(always)]
    fn decisive(&self) -> u32 {
        self.key.kind
    }

    #[inline(always)]
    fn hash(&self) -> u32 {
        self.key.hash_with(u64::from(self.local.0))
    }
}

/// Entry of the table `LOCAL_KEYS`: who is bound to a key at a local address, whatever the remote.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalKeyUse {
    /// Address and key.
    pub key: LocalKey,
    /// Number of bindings.
    pub bindings: u32,
    /// The tenant of the oldest of them.
    pub tenant: TenantId,
}

impl Entry for LocalKeyUse {
    type Key = LocalKey;
    const DECISIVE: usize = offset_of!(Self, key.key.kind);

    #[inline(always)]
    fn key(&self) -> &LocalKey {
        &self.key
    }
}

const _: () = {
    assert!(size_of::<BindingKey>() == 16);
    assert!(size_of::<Binding>() == 64);
    assert!(size_of::<LocalKeyUse>() == 20);
};
