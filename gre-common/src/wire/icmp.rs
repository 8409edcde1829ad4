//! ICMP (RFC 792) and ICMP for IPv6 (RFC 4443).

/// Words of 32 bits of the header of an error message.
pub const HEADER_WORDS: usize = 2;
/// Protocol number of ICMP.
pub const PROTO_V4: u8 = 1;
/// Protocol number of ICMP for IPv6.
pub const PROTO_V6: u8 = 58;
/// Type "destination unreachable".
pub const UNREACHABLE: u8 = 3;
/// Code "fragmentation needed and DF set" of that.
pub const TOO_BIG: u8 = 4;
/// Type "packet too big" of ICMP for IPv6.
pub const TOO_BIG_V6: u8 = 2;

/// "Redirect" of ICMP for IPv6, which no error may be about either (RFC 4443 section 2.4 (e.2)).
const REDIRECT_V6: u8 = 137;

/// Whether an ICMP type is known and no error: echo, router discovery, timestamp, information and address mask.
#[inline(always)]
pub const fn is_query(kind: u8) -> bool {
    matches!(kind, 0 | 8..=10 | 13..=18)
}

/// Whether an ICMP for IPv6 type is no error, and no redirect.
#[inline(always)]
pub const fn is_query_v6(kind: u8) -> bool {
    kind >= 128 && kind != REDIRECT_V6
}
