//! IPv6 headers (RFC 8200).

use super::{address::Address, be32::Be32};

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = network_types::ip::Ipv6Hdr::LEN;

/// The same in words of 32 bits.
pub const HEADER_WORDS: usize = HEADER_LEN / 4;
/// The MTU that every link has at least, in bytes (RFC 8200 section 5).
pub const MIN_MTU: usize = 1280;
/// Where the length of what follows the header stands.
pub const PAYLOAD_LEN_OFFSET: usize = 4;
/// Where the hop limit stands.
pub const HOP_LIMIT_OFFSET: usize = 7;
/// Where the source address stands.
pub const SOURCE_OFFSET: usize = 8;
/// Where the destination address stands.
pub const DESTINATION_OFFSET: usize = 24;
/// Protocol number of the fragment header.
pub const FRAGMENT: u8 = 44;

/// Most extension headers that are looked behind.
pub const MAX_EXTENSIONS: usize = 2;
/// Length of the extension headers that are looked behind, in bytes: the shortest there is.
pub const EXTENSION_LEN: usize = 8;

/// Whether a next-header value announces an extension header: hop-by-hop options, routing, fragment,
/// authentication, destination options (RFC 8200 section 4, RFC 4302), mobility, host identity, shim6.
#[inline(always)]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}

/// Whether an address can be that of one host elsewhere: not unspecified, loopback or multicast (RFC 4291 section 2.4).
#[inline(always)]
pub fn is_host(address: [Be32; 4]) -> bool {
    let [first, second, third, fourth] = address.map(|word| u32::from_be_bytes(word.bytes()));
    first >> 24 != 0xff && (first | second | third != 0 || fourth > 1)
}

/// What follows a header of hop-by-hop or destination options that says nothing to a receiver of GRE; `None`
/// where it does, or is longer than eight bytes.
///
/// The options are padding, or the tunnel encapsulation limit (RFC 2473 section 4.1.1) that Linux sends.
#[inline(always)]
pub const fn behind_options(next_header: u8, header: [u8; EXTENSION_LEN]) -> Option<u8> {
    const PAD_ALL: u8 = 1;
    const ENCAPSULATION_LIMIT: u8 = 4;
    if !matches!(next_header, 0 | 60) {
        return None;
    }
    match header {
        [next, 0, PAD_ALL, 4, ..] | [next, 0, ENCAPSULATION_LIMIT, 1, _, PAD_ALL, 1, _] => {
            Some(next)
        }
        _ => None,
    }
}

/// Where a fragment belongs in its packet, in units of eight bytes, by the third and fourth byte of its fragment header
/// (RFC 8200 section 4.5).
#[inline(always)]
pub const fn fragment_offset(field: [u8; 2]) -> u16 {
    u16::from_be_bytes(field) >> 3
}

/// The fields of an outer header that differ from tunnel to tunnel or packet to packet.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, of 20 bits (RFC 6437).
    pub flow_label: u32,
    /// Length of what follows the header, in bytes.
    pub payload_len: u16,
    /// Hop limit.
    pub hop_limit: u8,
}

impl Outer {
    /// The header of a GRE packet up to its addresses.
    #[inline(always)]
    pub fn emit(self) -> [Be32; 2] {
        let start = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        let [l0, l1] = self.payload_len.to_be_bytes();
        let rest = [l0, l1, super::ipv4::PROTO_GRE, self.hop_limit];
        [start.to_be_bytes(), rest].map(Be32::from)
    }

    /// The whole header.
    #[inline(always)]
    pub fn between(self, src: Address, dst: Address) -> [Be32; HEADER_WORDS] {
        let [first, second] = self.emit();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (src.words(), dst.words());
        [first, second, s0, s1, s2, s3, d0, d1, d2, d3]
    }
}

/// The first eight bytes of a header: all but the addresses.
#[derive(Clone, Copy, Debug)]
pub struct Start(pub [u8; 8]);

impl From<[Be32; 2]> for Start {
    #[inline(always)]
    fn from([first, second]: [Be32; 2]) -> Self {
        let ([a, b, c, d], [l0, l1, next, limit]) = (first.bytes(), second.bytes());
        Self([a, b, c, d, l0, l1, next, limit])
    }
}

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
