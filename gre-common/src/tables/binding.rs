//! What identifies a tenant's packet on the wire.

use super::TenantId;
use crate::wire::gre::GreKey;

/// An optional GRE key as it stands in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyField {
    /// 1 where the packet carries a key, else 0.
    present: u32,
    /// The key in network byte order; 0 where there is none.
    key: [u8; 4],
}

impl KeyField {
    /// No key.
    pub const NONE: Self = Self { present: 0, key: [0; 4] };
}

impl From<Option<GreKey>> for KeyField {
    #[inline(always)]
    fn from(key: Option<GreKey>) -> Self {
        match key {
            Some(GreKey(key)) => Self { present: 1, key: key.to_be_bytes() },
            None => Self::NONE,
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

const _: () = {
    assert!(size_of::<BindingKey>() == 16);
    assert!(size_of::<LocalKey>() == 12);
    assert!(size_of::<LocalKeyUse>() == 8);
};
