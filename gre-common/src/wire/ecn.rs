//! Explicit congestion notification across a tunnel (RFC 6040, updated by RFC 9601).

use crate::packet::Packet;

/// The two ECN bits of an IP header (RFC 3168 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// Not ECN-capable.
    NotEct,
    /// ECN-capable, the other codepoint.
    Ect1,
    /// ECN-capable.
    Ect0,
    /// Congestion experienced.
    Ce,
}

impl Ecn {
    /// From the low two bits of a TOS or traffic class octet.
    #[inline(always)]
    pub const fn from_tos(tos: u8) -> Self {
        match tos & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }
}

/// What an ECN field becomes, or that it stays; a number, which may be forgotten (see [`Packet::forget`]).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remark(u32);

impl Remark {
    /// It stays.
    pub const NONE: Self = Self(4);

    /// It becomes this.
    #[inline(always)]
    pub const fn to(ecn: Ecn) -> Self {
        Self(ecn.bits() as u32)
    }

    /// The two bits that it becomes.
    #[inline(always)]
    pub fn bits(self) -> Option<u8> {
        (self != Self::NONE).then_some(self.0 as u8)
    }

    /// The same, forgotten.
    #[must_use]
    #[inline(always)]
    pub fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self(packet.forget(self.0))
    }
}

/// What decapsulation does to the inner ECN field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// Nothing.
    Keep,
    /// Nothing, but the combination is one that no correct sender makes.
    KeepAndNote,
    /// The inner field becomes this.
    Set(Ecn),
    /// The packet must not be forwarded.
    Drop,
}

/// RFC 6040 figure 4: the outgoing field from the arriving inner and outer ones.
#[inline(always)]
pub const fn decapsulate(inner: Ecn, outer: Ecn) -> Egress {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ect0 | Ecn::Ect1) => Egress::KeepAndNote,
        (Ecn::NotEct, Ecn::Ce) => Egress::Drop,
        (Ecn::Ect0, Ecn::Ect1) => Egress::Set(Ecn::Ect1),
        (Ecn::Ect0 | Ecn::Ect1, Ecn::Ce) => Egress::Set(Ecn::Ce),
        (Ecn::NotEct, Ecn::NotEct) | (Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce, _) => Egress::Keep,
    }
}
