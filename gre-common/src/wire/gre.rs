//! GRE headers (RFC 2784, with the key and sequence number of RFC 2890).

use super::{be32::Be32, ethernet::EtherType};
use crate::packet::Packet;

/// Length of a header without optional fields, in bytes.
pub const BASE_LEN: usize = 4;
/// Length of each optional field, in bytes.
pub const FIELD_LEN: usize = 4;

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Bits 4 and 5: discard unless RFC 1701 is implemented (RFC 2784 section 2.3).
const RESERVED0: u16 = 0x0c00;
const VERSION: u16 = 0x0007;

/// A GRE key. A packet without key has none, which is not the same as key 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreKey(pub u32);

/// The optional fields of a header: its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u16);

impl Fields {
    /// A checksum where `checksum`, and so on. Calculated: whoever verifies the code would go every way of a choice.
    #[inline(always)]
    pub const fn new(checksum: bool, key: bool, sequence: bool) -> Self {
        Self(checksum as u16 * CHECKSUM + key as u16 * KEY + sequence as u16 * SEQUENCE)
    }

    /// The same fields, forgotten by the compiler; see [`Packet::forget`].
    #[must_use]
    #[inline(always)]
    pub fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self(packet.forget(self.0.into()) as u16)
    }

    /// Whether there is a checksum, and what is reserved next to it.
    #[inline(always)]
    pub const fn checksum(self) -> bool {
        self.0 & CHECKSUM != 0
    }

    /// Whether there is a key.
    #[inline(always)]
    pub const fn key(self) -> bool {
        self.0 & KEY != 0
    }

    /// Whether there is a sequence number.
    #[inline(always)]
    pub const fn sequence(self) -> bool {
        self.0 & SEQUENCE != 0
    }

    /// Length of a header with these fields, in bytes.
    #[inline(always)]
    pub const fn header_len(self) -> usize {
        const CHECKSUM_BIT: u32 = CHECKSUM.trailing_zeros();
        const KEY_BIT: u32 = KEY.trailing_zeros();
        const SEQUENCE_BIT: u32 = SEQUENCE.trailing_zeros();
        let flags = self.0 as usize;
        let fields =
            (flags >> CHECKSUM_BIT & 1) + (flags >> KEY_BIT & 1) + (flags >> SEQUENCE_BIT & 1);
        BASE_LEN + FIELD_LEN * fields
    }
}

/// A header that RFC 2784 lets a receiver accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type.
    pub protocol: EtherType,
    /// The key, where present.
    pub key: Option<GreKey>,
    /// Which optional fields there are.
    pub fields: Fields,
    /// Length with optional fields, in bytes.
    pub len: usize,
}

/// Why a header was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The packet ends inside the header.
    Truncated,
    /// Version 1, which is PPTP (RFC 2637).
    Pptp,
    /// Version 2 or above.
    Version,
    /// The routing bit, or one of bits 4 and 5.
    ReservedBits,
}

/// Parses the header at `offset` of a packet whose GRE part is `room` bytes long.
///
/// Bits 6 to 12 are ignored (RFC 2784 section 2.3: "MUST").
///
/// # Errors
/// [`Malformed`] tells which sentence of the RFC the header breaks.
#[inline(always)]
pub fn parse<P: Packet + ?Sized>(
    packet: &P,
    offset: usize,
    room: usize,
) -> Result<Header, Malformed> {
    if room < BASE_LEN {
        return Err(Malformed::Truncated);
    }
    let [f0, f1, p0, p1] = packet.read(offset).ok_or(Malformed::Truncated)?;
    let flags = u16::from_be_bytes([f0, f1]);
    match flags & VERSION {
        0 => {}
        1 => return Err(Malformed::Pptp),
        _ => return Err(Malformed::Version),
    }
    if flags & (ROUTING | RESERVED0) != 0 {
        return Err(Malformed::ReservedBits);
    }
    let fields = Fields(flags & (CHECKSUM | KEY | SEQUENCE));
    let len = fields.header_len();
    let mut key = None;
    if fields.key() {
        let key_offset = BASE_LEN + if fields.checksum() { FIELD_LEN } else { 0 };
        let bytes = packet.read(offset + key_offset).ok_or(Malformed::Truncated)?;
        key = Some(GreKey(u32::from_be_bytes(bytes)));
    }
    if room < len {
        return Err(Malformed::Truncated);
    }
    let protocol = EtherType::from_be_bytes([p0, p1]);
    Ok(Header { protocol, key, fields, len })
}

/// The first word of a header with these fields.
#[inline(always)]
pub fn emit(protocol: EtherType, fields: Fields) -> Be32 {
    let [f0, f1] = fields.0.to_be_bytes();
    let [p0, p1] = protocol.to_be_bytes();
    [f0, f1, p0, p1].into()
}

/// Whether a payload type is a control or monitoring protocol that a tenant never carries: keepalive,
/// WCCP, ERSPAN, NHRP, MPLS, IS-IS.
#[inline(always)]
pub const fn is_control(protocol: EtherType) -> bool {
    matches!(protocol.0, 0x0000 | 0x883e | 0x88be | 0x22eb | 0x2001 | 0x8847 | 0x8848 | 0x00fe)
}
