//! Where the destinations of an l3 tenant's packets live.

use super::{TenantId, Via};
use crate::wire::{
    be32::Be32,
    ethernet::{self, MacAddr},
};

/// Ways of equal worth that a route can have.
pub const ROUTE_WAYS: usize = 8;

/// An address among those of a tenant: tenants may have the same ones. In the maps that find the longest prefix it is what a prefix
/// is of.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantAddress {
    tenant: TenantId,
    /// IP version; [`TenantAddress::MAC`].
    version: u32,
    /// IPv4 in the first word, and zeros; a MAC address at the start.
    address: [Be32; 4],
}

impl TenantAddress {
    /// In place of the version of what is no IP address.
    pub const MAC: u32 = 2;
    /// Bits before the address.
    pub const START_BITS: u32 = 64;
    /// Bits of all.
    pub const BITS: u32 = size_of::<Self>() as u32 * u8::BITS;

    /// An IPv4 address.
    #[inline(always)]
    pub fn v4(tenant: TenantId, address: Be32) -> Self {
        let zero = Be32::default();
        Self { tenant, version: 4, address: [address, zero, zero, zero] }
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6(tenant: TenantId, address: [Be32; 4]) -> Self {
        Self { tenant, version: 6, address }
    }

    /// A MAC address.
    #[inline(always)]
    pub fn mac(tenant: TenantId, address: MacAddr) -> Self {
        let zero = Be32::default();
        let [first, second] = ethernet::words(address);
        Self { tenant, version: Self::MAC, address: [first, second, zero, zero] }
    }

    /// Whose it is.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// IP version, and the address as it stands in a packet; IPv4 in the first word.
    pub const fn parts(&self) -> (u32, [Be32; 4]) {
        (self.version, self.address)
    }
}

/// Value of the map `ROUTES`, by a prefix of a [`TenantAddress`]: the ways to it, none better than another.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// How many there are.
    len: u64,
    ways: [Via; ROUTE_WAYS],
}

impl Route {
    /// A route by these ways; `None`: there are none, or too many.
    pub fn new(all: &[Via]) -> Option<Self> {
        let mut ways = [Via::NONE; ROUTE_WAYS];
        ways.get_mut(..all.len())?.copy_from_slice(all);
        (!all.is_empty()).then_some(Self { len: all.len() as u64, ways })
    }

    /// All ways.
    pub fn ways(&self) -> &[Via] {
        self.ways.get(..self.len as usize).unwrap_or_default()
    }

    /// Whether there are several.
    #[inline(always)]
    pub const fn is_shared(&self) -> bool {
        self.len > 1
    }

    /// Which way is that of the flow with this hash: each gets an equal share of the numbers (RFC 2992 section 1, hash-threshold).
    #[inline(always)]
    pub const fn share(&self, hash: u32) -> u32 {
        // A map that somebody else has written to may say any number.
        ((hash as u64).wrapping_mul(self.len) >> 32) as u32
    }

    /// The way of this number.
    #[inline(always)]
    pub fn way(&self, number: u32) -> Via {
        self.ways.get(number as usize).copied().unwrap_or(Via::NONE)
    }
}

const _: () = {
    assert!(size_of::<TenantAddress>() == 24);
    assert!(size_of::<Route>() == 72);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TunnelId;

    #[test]
    fn flows_are_shared_out_equally() {
        for len in 1..=ROUTE_WAYS as u32 {
            let all: Vec<_> = (0..len).map(|number| Via::tunnel(TunnelId(number))).collect();
            let route = Route::new(&all).expect("it has a way");
            assert_eq!(route.ways(), all);
            let mut shares = vec![0; all.len()];
            for hash in (0..=u32::MAX).step_by(1 << 20) {
                let way = route.way(route.share(hash));
                shares[all.iter().position(|&it| it == way).expect("a way of the route")] += 1;
            }
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert!(least.zip(most).is_some_and(|(least, most)| most - least <= 1), "{shares:?}");
        }
    }

    #[test]
    fn a_length_that_nobody_gave_is_no_way() {
        let route = Route { len: u64::MAX, ways: [Via::NONE; ROUTE_WAYS] };
        assert_eq!((route.ways(), route.way(route.share(u32::MAX))), (&[][..], Via::NONE));
    }

    #[test]
    fn no_way_is_no_route() {
        assert_eq!(Route::new(&[]), None);
        assert_eq!(Route::new(&[Via::NONE; ROUTE_WAYS + 1]), None);
    }
}
