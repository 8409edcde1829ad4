//! Cuts an IPv4 packet that does not fit into fragments that do (RFC 791 section 3.2, "An Example Fragmentation Procedure").

use crate::{
    packet::Packet,
    wire::{
        checksum,
        ethernet::{self, EtherType},
        ipv4,
    },
};

/// Set in the type of an option that stands in every fragment, not only in the first (RFC 791 section 3.1).
const COPIED: u8 = 0x80;
/// The end of the options.
const END_OF_OPTIONS: u8 = 0;
/// An option of one byte.
const NO_OPERATION: u8 = 1;
/// Bytes that the fragment offset counts as one.
const UNIT: usize = 8;
/// Payload bytes of all fragments of a packet at most: more the fragment offset cannot tell.
const MAX_PAYLOAD: usize = 1 << 16;

/// Whether a frame carries an IPv4 packet that whoever cannot forward it whole may cut. One that was merged is none.
#[inline(always)]
pub fn is_allowed<P: Packet + ?Sized>(packet: &P) -> bool {
    let frame = ethernet::payload(packet, 0);
    if frame.ether_type != EtherType::IPV4 || packet.segment_payload() > 0 {
        return false;
    }
    let Some(words) = packet.words(packet.settle(frame.offset)) else { return false };
    let header = ipv4::parse(words);
    ipv4::is_sane(&header) && !ipv4::dont_fragment(&header)
}

/// An IPv4 header with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; ipv4::MAX_HEADER_LEN],
    len: usize,
}

impl Header {
    const EMPTY: Self = Self { bytes: [0; ipv4::MAX_HEADER_LEN], len: 0 };

    /// As it stands on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn new(bytes: &[u8]) -> Self {
        let mut header = Self::EMPTY;
        header.push(bytes);
        header
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The header of the fragments behind the first: without the options that are the first one's alone. `None`: the options make
    /// no sense.
    fn of_later_fragments(&self) -> Option<Self> {
        let (fixed, mut options) = self.bytes().split_at(ipv4::HEADER_LEN);
        let mut later = Self::new(fixed);
        while let [kind, rest @ ..] = options {
            let len = match *kind {
                END_OF_OPTIONS => break,
                NO_OPERATION => 1,
                _ => usize::from(*rest.first()?).max(2),
            };
            let option = options.get(..len)?;
            if kind & COPIED != 0 {
                later.push(option);
            }
            options = &options[len..];
        }
        // What fills it up to a word is the end of the options.
        later.len = later.len.next_multiple_of(4);
        Some(later)
    }

    /// The same with these fields, and its checksum.
    fn with(mut self, payload_len: usize, flags_and_offset: u16) -> Self {
        let total_len = (self.len + payload_len) as u16;
        self.bytes[0] = 0x40 | (self.len / 4) as u8;
        self.bytes[ipv4::TOTAL_LEN_OFFSET..][..2].copy_from_slice(&total_len.to_be_bytes());
        self.bytes[ipv4::FRAGMENT_OFFSET..][..2].copy_from_slice(&flags_and_offset.to_be_bytes());
        self.bytes[ipv4::CHECKSUM_OFFSET..][..2].fill(0);
        let checksum = !self.sum();
        self.bytes[ipv4::CHECKSUM_OFFSET..][..2].copy_from_slice(&checksum.to_ne_bytes());
        self
    }

    fn sum(&self) -> u16 {
        self.bytes().sum(0, self.len).unwrap_or(0)
    }
}

/// A packet made of part of another's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'p> {
    /// Its header.
    pub header: Header,
    /// What follows.
    pub payload: &'p [u8],
}

/// The fragments of a packet, in order.
#[derive(Clone, Debug)]
pub struct Fragments<'p> {
    /// The header of the next one.
    header: Header,
    /// That of those behind.
    later: Header,
    /// What is left of the payload; `None`: nothing is left to be sent.
    payload: Option<&'p [u8]>,
    /// Flags, and the fragment offset of the next one, as the packet has them.
    flags_and_offset: u16,
    mtu: usize,
}

impl<'p> Fragments<'p> {
    /// Cuts the packet that `bytes` begin with into packets of `mtu` bytes at most: itself alone where it fits. It may be a
    /// fragment. `None`: it may not be cut, or is broken, or nothing of it fits.
    pub fn of(bytes: &'p [u8], mtu: usize) -> Option<Self> {
        let parsed = ipv4::parse(bytes.words(0)?);
        if !ipv4::is_sane(&parsed) || ipv4::dont_fragment(&parsed) {
            return None;
        }
        let packet = bytes.get(..ipv4::total_len(&parsed))?;
        let (header, payload) = packet.split_at_checked(ipv4::header_len(&parsed))?;
        let header = Header::new(header);
        let start = usize::from(ipv4::fragment_offset(&parsed)) * UNIT;
        // A fragment gets a checksum of its own, which would hide that the packet's is wrong.
        let is_sound = header.sum() == checksum::SOUND && start + payload.len() <= MAX_PAYLOAD;
        if !is_sound || mtu < header.len + UNIT {
            return None;
        }
        Some(Self {
            header,
            later: header.of_later_fragments()?,
            payload: Some(payload),
            flags_and_offset: u16::from_be_bytes(parsed.frags),
            mtu,
        })
    }
}

impl<'p> Iterator for Fragments<'p> {
    type Item = Fragment<'p>;

    fn next(&mut self) -> Option<Fragment<'p>> {
        let payload = self.payload?;
        let room = self.mtu - self.header.len;
        let is_last = payload.len() <= room;
        let len = if is_last { payload.len() } else { room / UNIT * UNIT };
        let (payload, rest) = payload.split_at(len);
        // The last one has the flag where the packet itself has it, as a fragment does that is not the last.
        let more = if is_last { 0 } else { ipv4::MORE_FRAGMENTS };
        let header = self.header.with(len, self.flags_and_offset | more);
        self.payload = (!is_last).then_some(rest);
        self.flags_and_offset = self.flags_and_offset.wrapping_add((len / UNIT) as u16);
        self.header = self.later;
        Some(Fragment { header, payload })
    }
}
