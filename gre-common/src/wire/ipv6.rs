//! IPv6 headers (RFC 8200), as far as payloads need them.

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = network_types::ip::Ipv6Hdr::LEN;

/// Most option headers that are looked behind: hop-by-hop and destination options (RFC 8200 section 4.1).
pub const MAX_OPTION_HEADERS: usize = 2;

/// Whether a next-header value announces hop-by-hop or destination options.
#[inline(always)]
pub const fn is_options(next_header: u8) -> bool {
    matches!(next_header, 0 | 60)
}

/// Length of an option header in bytes, from its length octet (RFC 8200 section 4.3).
#[inline(always)]
pub const fn options_len(octet: u8) -> usize {
    (octet as usize + 1) * 8
}

/// The first eight bytes of a header: all but the addresses.
#[derive(Clone, Copy, Debug)]
pub struct Start(pub [u8; 8]);

impl Start {
    /// IP version.
    #[inline(always)]
    pub const fn version(self) -> u8 {
        self.0[0] >> 4
    }

    /// Traffic class: DSCP and ECN.
    #[inline(always)]
    pub const fn traffic_class(self) -> u8 {
        (self.0[0] << 4) | (self.0[1] >> 4)
    }

    /// Length of what follows the fixed header, in bytes; 0 for a jumbogram (RFC 2675).
    #[inline(always)]
    pub const fn payload_len(self) -> usize {
        u16::from_be_bytes([self.0[4], self.0[5]]) as usize
    }

    /// Protocol number of what follows.
    #[inline(always)]
    pub const fn next_header(self) -> u8 {
        self.0[6]
    }

    /// Hop limit.
    #[inline(always)]
    pub const fn hop_limit(self) -> u8 {
        self.0[7]
    }
}
