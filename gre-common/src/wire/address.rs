//! IP versions, and addresses of both in one form.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::be32::Be32;
use crate::packet::Packet;

/// The version of an IP header. A number that any code may be given, and no enum: the compiler would turn one that it has
/// forgotten back into the variants, and whoever verifies the code would take them apart again.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u32);

impl Version {
    /// There is no IP header.
    pub const NOT_IP: Self = Self(0);
    /// IPv4.
    pub const V4: Self = Self(4);
    /// IPv6.
    pub const V6: Self = Self(6);

    /// The version that is this number here, behind a call.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// As a number.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The same, forgotten; see [`Packet::forget`].
    #[must_use]
    #[inline(always)]
    pub fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self(packet.forget(self.0))
    }
}

/// An IPv6 address, or an IPv4 address mapped to one (RFC 4291 section 2.5.5.2).
///
/// Four fields, not an array: the compiler compares arrays in a loop, and the verifier goes through every round of one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(Be32, Be32, Be32, Be32);

impl Address {
    /// No address: neither version's.
    pub const NONE: Self = Self::v6([Be32::from_read(0); 4]);

    const MAPPED: Be32 = Be32::from_read(u32::from_ne_bytes([0, 0, 0xff, 0xff]));

    /// An IPv4 address.
    #[inline(always)]
    pub const fn v4(address: Be32) -> Self {
        let zero = Be32::from_read(0);
        Self(zero, zero, Self::MAPPED, address)
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6([a, b, c, d]: [Be32; 4]) -> Self {
        Self(a, b, c, d)
    }

    /// Whether it is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let Self(first, second, third, _) = self;
        first.as_read() == 0 && second.as_read() == 0 && third.as_read() == Self::MAPPED.as_read()
    }

    /// An IPv4 address as it stands in a packet; the end of an IPv6 address.
    #[inline(always)]
    pub const fn last(&self) -> Be32 {
        self.3
    }

    /// As an IPv6 address stands in a packet.
    #[inline(always)]
    pub const fn words(&self) -> [Be32; 4] {
        let Self(a, b, c, d) = *self;
        [a, b, c, d]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets().into()),
            IpAddr::V6(address) => Self::v6(Be32::words(address.octets())),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            return Ipv4Addr::from(address.last().bytes()).into();
        }
        let mut octets = [0; 16];
        for (octets, word) in octets.chunks_exact_mut(4).zip(address.words()) {
            octets.copy_from_slice(&word.bytes());
        }
        Ipv6Addr::from(octets).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in ["192.0.2.1", "2001:db8::1", "::fffe:0:1", "ff02::1"] {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(IpAddr::from(Address::from(address)), address);
            assert_eq!(Address::from(address).is_v4(), address.is_ipv4());
        }
        assert!(!Address::NONE.is_v4());
    }
}
