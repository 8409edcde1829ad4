//! Ethernet II headers and VLAN tags.

use network_types::{eth::EthHdr, vlan::VlanHdr};

use super::be32::Be32;
use crate::packet::Packet;

/// Length of an Ethernet header in bytes.
pub const HEADER_LEN: usize = EthHdr::LEN;
/// Where the payload's type stands, or the outermost VLAN tag.
pub const TYPE_OFFSET: usize = HEADER_LEN - size_of::<u16>();
/// Length of a VLAN tag in bytes.
pub const VLAN_TAG_LEN: usize = VlanHdr::LEN;

/// Set in the first byte of a MAC address of many: multicast, broadcast.
pub const GROUP: u8 = 1;

/// Most VLAN tags that are looked behind: a service tag and a customer tag (IEEE 802.1ad).
pub const MAX_TAGS: usize = 2;

/// A payload type of Ethernet or GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtherType(pub u16);

impl EtherType {
    /// Not an `EtherType`.
    pub const NONE: Self = Self(0);
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// VLAN tag (IEEE 802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// Service VLAN tag (IEEE 802.1ad).
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// Transparent Ethernet bridging: the payload of an l2 tenant (RFC 1701).
    pub const ETHERNET: Self = Self(0x6558);

    /// From network byte order.
    #[inline(always)]
    pub const fn from_be_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// In network byte order.
    #[inline(always)]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// Whether a VLAN tag begins with it.
    #[inline(always)]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }
}

/// A MAC address, in the order it is written.
pub type MacAddr = [u8; 6];

/// A MAC address, and two bytes that are zero.
#[inline(always)]
pub fn words([first, second, third, fourth, fifth, sixth]: MacAddr) -> [Be32; 2] {
    [[first, second, third, fourth], [fifth, sixth, 0, 0]].map(Be32::from)
}

/// The MAC address that [`words`] has made words of.
#[inline(always)]
pub const fn from_words([first, second]: [Be32; 2]) -> MacAddr {
    let ([m0, m1, m2, m3], [m4, m5, ..]) = (first.bytes(), second.bytes());
    [m0, m1, m2, m3, m4, m5]
}

/// The addresses that a frame begins with: destination, source.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends([Be32; 3]);

impl Ends {
    /// No addresses.
    pub const NONE: Self = Self([Be32::from_read(0); 3]);

    /// From a station to another.
    pub fn new(dst: MacAddr, src: MacAddr) -> Self {
        let [d0, d1, d2, d3, d4, d5] = dst;
        let [s0, s1, s2, s3, s4, s5] = src;
        Self([[d0, d1, d2, d3], [d4, d5, s0, s1], [s2, s3, s4, s5]].map(Be32::from))
    }

    /// Destination.
    pub const fn dst(self) -> MacAddr {
        let [[d0, d1, d2, d3], [d4, d5, ..], _] = self.bytes();
        [d0, d1, d2, d3, d4, d5]
    }

    /// Source.
    #[inline(always)]
    pub const fn src(self) -> MacAddr {
        let [_, [.., s0, s1], [s2, s3, s4, s5]] = self.bytes();
        [s0, s1, s2, s3, s4, s5]
    }

    /// As they stand in a frame.
    #[inline(always)]
    pub const fn words(self) -> [Be32; 3] {
        self.0
    }

    /// The header of a frame without VLAN tag.
    #[inline(always)]
    pub const fn header(self, ether_type: EtherType) -> [u8; HEADER_LEN] {
        let [[d0, d1, d2, d3], [d4, d5, s0, s1], [s2, s3, s4, s5]] = self.bytes();
        let [t0, t1] = ether_type.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
    }

    #[inline(always)]
    const fn bytes(self) -> [[u8; 4]; 3] {
        let Self([first, second, third]) = self;
        [first.bytes(), second.bytes(), third.bytes()]
    }
}

/// What a frame carries, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Type of the payload, behind any VLAN tags.
    pub ether_type: EtherType,
    /// Where the payload begins, in bytes from the start of the packet.
    pub offset: usize,
}

/// Finds the payload of the Ethernet frame that begins at `start`: [`EtherType::NONE`] where the frame ends too soon.
#[inline(always)]
pub fn payload<P: Packet + ?Sized>(packet: &P, start: usize) -> Payload {
    let mut offset = start + HEADER_LEN;
    let mut ether_type = ether_type_before(packet, offset);
    for _ in 0..MAX_TAGS {
        if ether_type.is_vlan() {
            offset += VLAN_TAG_LEN;
            ether_type = ether_type_before(packet, offset);
        }
    }
    Payload { ether_type, offset }
}

#[inline(always)]
fn ether_type_before<P: Packet + ?Sized>(packet: &P, offset: usize) -> EtherType {
    packet.read(offset - 2).map_or(EtherType::NONE, EtherType::from_be_bytes)
}
