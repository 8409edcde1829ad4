//! Where tunnels end.

use core::mem::offset_of;

use super::{
    TunnelId,
    table::{Entry, Key, mix},
};
use crate::wire::{address::Address, be32::Be32};

/// The ends of a tunnel over IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends6 {
    /// The tunnel's local address: the packet's destination.
    local: Address,
    /// The tunnel's remote address: the packet's source.
    remote: Address,
    /// Whether these are ends; never 0, which is [`VACANT`](super::table::VACANT).
    kind: u32,
}

impl Ends6 {
    const PRESENT: u32 = 1;

    /// Between these addresses.
    #[inline(always)]
    pub const fn new(local: Address, remote: Address) -> Self {
        Self { local, remote, kind: Self::PRESENT }
    }
}

impl Key for Ends6 {
    const DELETED: u32 = 2;

    #[inline(always)]
    fn decisive(&self) -> u32 {
        self.kind
    }

    #[inline(always)]
    fn hash(&self) -> u32 {
        let half = |first: Be32, second: Be32| {
            u64::from(first.as_read()) << 32 | u64::from(second.as_read())
        };
        let with = |hash, address: Address| {
            let [first, second, third, fourth] = address.words();
            mix(half(first, second) ^ mix(half(third, fourth) ^ hash))
        };
        with(with(0, self.local), self.remote) as u32
    }
}

/// Entry of the table `ENDS6`: the tunnel between two addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends6Use {
    /// The addresses.
    pub key: Ends6,
    /// The tunnel.
    pub tunnel: TunnelId,
}

impl Entry for Ends6Use {
    type Key = Ends6;
    const DECISIVE: usize = offset_of!(Self, key.kind);

    #[inline(always)]
    fn key(&self) -> &Ends6 {
        &self.key
    }
}

/// The number of a local address.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalId(pub u32);

/// Value of the map `LOCALS`, by address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalUse {
    /// The address's number.
    pub id: LocalId,
    /// How many tunnels end there.
    pub tunnels: u32,
}

const _: () = {
    assert!(size_of::<Ends6Use>() == 40);
    assert!(size_of::<LocalUse>() == 8);
};
