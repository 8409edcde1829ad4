//! Neighbours whose MAC addresses are known.

use crate::wire::{
    be32::Be32,
    ethernet::{self, MacAddr},
};

/// Value of the map `NEIGHBOURS`, by [`TenantAddress`](super::TenantAddress): who has the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// A MAC address, and two bytes that are zero; all zeros: the port where one asks.
    mac: [Be32; 2],
}

impl Neighbour {
    /// A station.
    pub fn new(mac: MacAddr) -> Self {
        Self { mac: ethernet::words(mac) }
    }

    /// The port where one asks.
    pub const PORT: Self = Self { mac: [Be32::from_read(0); 2] };

    /// As a number; 0: [`PORT`](Self::PORT).
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        let [first, second] = self.mac;
        (first.as_read() as u64) << 32 | second.as_read() as u64
    }

    /// What [`bits`](Self::bits) said.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self { mac: [Be32::from_read((bits >> 32) as u32), Be32::from_read(bits as u32)] }
    }

    /// The station's MAC address; `None`: that of the port where one asks.
    #[inline(always)]
    pub fn mac(self) -> Option<MacAddr> {
        (self != Self::PORT).then(|| ethernet::from_words(self.mac))
    }
}

const _: () = assert!(size_of::<Neighbour>() == 8);
