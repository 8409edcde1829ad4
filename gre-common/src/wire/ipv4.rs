//! IPv4 headers (RFC 791).

pub use network_types::ip::Ipv4Hdr;

use super::{be32::Be32, checksum};

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = Ipv4Hdr::LEN;
/// The same in words of 32 bits.
pub const HEADER_WORDS: usize = HEADER_LEN / 4;
/// Length of a header with as many options as its length field can tell of, in bytes.
pub const MAX_HEADER_LEN: usize = 15 * 4;
/// Where the length of the whole packet stands.
pub const TOTAL_LEN_OFFSET: usize = 2;
/// Where the time to live stands.
pub const TTL_OFFSET: usize = 8;
/// Where the header checksum stands.
pub const CHECKSUM_OFFSET: usize = 10;
/// Where the source address stands.
pub const SOURCE_OFFSET: usize = 12;
/// Where the destination address stands.
pub const DESTINATION_OFFSET: usize = 16;
/// Protocol number of GRE.
pub const PROTO_GRE: u8 = 47;
/// Protocol number of TCP.
pub const PROTO_TCP: u8 = 6;
/// Protocol number of UDP.
pub const PROTO_UDP: u8 = 17;
/// Where flags and fragment offset stand.
pub const FRAGMENT_OFFSET: usize = 6;

/// "Don't fragment", in the 16 bits of flags and fragment offset.
const DONT_FRAGMENT: u16 = 0x4000;
/// "More fragments".
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;
/// The fragment offset.
const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;

/// Reads a header as it stands on the wire.
#[inline(always)]
pub const fn parse([first, second, third, src, dst]: [Be32; HEADER_WORDS]) -> Ipv4Hdr {
    let [vihl, tos, l0, l1] = first.bytes();
    let [i0, i1, f0, f1] = second.bytes();
    let [ttl, proto, c0, c1] = third.bytes();
    Ipv4Hdr {
        vihl,
        tos,
        tot_len: [l0, l1],
        id: [i0, i1],
        frags: [f0, f1],
        ttl,
        proto,
        check: [c0, c1],
        src_addr: src.bytes(),
        dst_addr: dst.bytes(),
    }
}

/// Whether version and header length make sense.
#[inline(always)]
pub fn is_sane(header: &Ipv4Hdr) -> bool {
    header.version() == 4 && header_len(header) >= HEADER_LEN
}

/// Header length with options, in bytes.
#[inline(always)]
pub const fn header_len(header: &Ipv4Hdr) -> usize {
    ((header.vihl & 0x0f) as usize) * 4
}

/// Length of the whole packet, in bytes.
#[inline(always)]
pub const fn total_len(header: &Ipv4Hdr) -> usize {
    u16::from_be_bytes(header.tot_len) as usize
}

/// Where a fragment belongs in its packet, in units of eight bytes.
#[inline(always)]
pub const fn fragment_offset(header: &Ipv4Hdr) -> u16 {
    u16::from_be_bytes(header.frags) & FRAGMENT_OFFSET_MASK
}

/// Whether the packet is a fragment, first ones included.
#[inline(always)]
pub const fn is_fragment(header: &Ipv4Hdr) -> bool {
    u16::from_be_bytes(header.frags) & FRAGMENT != 0
}

/// Whether the packet is a fragment, and not the first one.
#[inline(always)]
pub const fn is_later_fragment(header: &Ipv4Hdr) -> bool {
    fragment_offset(header) != 0
}

/// Whether an address can be that of one host elsewhere: not of "this" network, loopback, multicast, reserved or broadcast (RFC 1122
/// section 3.2.1.3).
#[inline(always)]
pub const fn is_host([first, ..]: [u8; 4]) -> bool {
    first != 0 && first != 127 && first < 224
}

/// Whether "don't fragment" is set.
#[inline(always)]
pub const fn dont_fragment(header: &Ipv4Hdr) -> bool {
    u16::from_be_bytes(header.frags) & DONT_FRAGMENT != 0
}

/// The fields of an outer header that differ from tunnel to tunnel or packet to packet.
#[derive(Clone, Copy, Debug)]
pub struct Outer {
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Length of the whole packet, in bytes.
    pub total_len: u16,
    /// Identification; 0 where `dont_fragment` is set (RFC 6864 section 4.1).
    pub id: u16,
    /// "Don't fragment".
    pub dont_fragment: bool,
    /// Time to live.
    pub ttl: u8,
    /// Source address.
    pub src: Be32,
    /// Destination address.
    pub dst: Be32,
}

impl Outer {
    /// The header of a GRE packet up to its addresses, checksum filled in.
    #[inline(always)]
    pub fn emit(self) -> [Be32; 3] {
        let [l0, l1] = self.total_len.to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = if self.dont_fragment { DONT_FRAGMENT } else { 0 }.to_be_bytes();
        let header = |[c0, c1]: [u8; 2]| {
            let start = [0x45, self.tos, l0, l1];
            let fragment = [i0, i1, f0, f1];
            let transport = [self.ttl, PROTO_GRE, c0, c1];
            [start, fragment, transport].map(Be32::from)
        };
        let addresses = checksum::add_words(0, &[self.src, self.dst]);
        let sum = checksum::add_words(addresses, &header([0; 2]));
        header((!checksum::fold(sum)).to_ne_bytes())
    }
}
