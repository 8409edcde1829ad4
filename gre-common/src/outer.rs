//! The outer IP header of a frame that carries GRE.

use crate::{
    packet::Packet,
    verdict::{DropReason, PassReason},
    wire::{
        address::Address,
        be32::Be32,
        checksum,
        ipv4::{self, Ipv4Hdr},
        ipv6,
    },
};

/// An outer IPv4 header and where it stands.
pub struct V4 {
    words: [Be32; ipv4::HEADER_WORDS],
    /// The header.
    pub header: Ipv4Hdr,
    /// Where it begins, in bytes from the start of the frame.
    offset: usize,
    /// Where the IP packet ends; the frame may be longer, and where it is shorter the packet is truncated.
    pub end: usize,
}

/// The IPv4 header at `offset` of a frame that carries GRE.
///
/// # Errors
/// The packet is no sane IPv4, or not GRE.
#[inline(always)]
pub fn v4<P: Packet + ?Sized>(packet: &P, offset: usize) -> Result<V4, PassReason> {
    let words = packet.words(offset).ok_or(PassReason::NotIp)?;
    let header = ipv4::parse(words);
    if !ipv4::is_sane(&header) {
        return Err(PassReason::NotIp);
    }
    if header.proto != ipv4::PROTO_GRE {
        return Err(PassReason::NotGre);
    }
    let end = match ipv4::total_len(&header) {
        // A merged packet longer than the field can say (BIG TCP, Linux 6.3) leaves it 0.
        0 if packet.segment_payload() > 0 => packet.len(),
        total_len => offset + total_len,
    };
    Ok(V4 { words, header, offset, end })
}

impl V4 {
    /// Where the header ends.
    #[inline(always)]
    pub fn gre_offset(&self) -> usize {
        self.offset + ipv4::header_len(&self.header)
    }

    /// Whether it is a fragment that does not begin with the GRE header.
    #[inline(always)]
    pub fn is_later_fragment(&self) -> bool {
        ipv4::is_later_fragment(&self.header)
    }

    /// Checks length and checksum of the header. Returns the bytes of padding behind the IP packet.
    ///
    /// # Errors
    /// The packet is truncated, or the checksum is wrong.
    #[inline(always)]
    pub fn check<P: Packet + ?Sized>(&self, packet: &P) -> Result<usize, DropReason> {
        let header_len = ipv4::header_len(&self.header);
        let padding = packet.behind(self.end).ok_or(DropReason::Truncated)?;
        if self.end < self.offset + header_len {
            return Err(DropReason::Truncated);
        }
        let mut sum = checksum::add_words(0, &self.words);
        for offset in (ipv4::HEADER_LEN..ipv4::MAX_HEADER_LEN).step_by(4) {
            if offset >= header_len {
                break;
            }
            let options: [_; 1] =
                packet.words(self.offset + offset).ok_or(DropReason::Truncated)?;
            sum = checksum::add_words(sum, &options);
        }
        if checksum::fold(sum) == checksum::SOUND {
            Ok(padding)
        } else {
            Err(DropReason::BadIpChecksum)
        }
    }
}

/// An outer IPv6 header.
pub struct V6 {
    /// Destination.
    pub local: Address,
    /// Source.
    pub remote: Address,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Where GRE begins, in bytes from the start of the frame; of meaning where `is_plain`.
    pub gre_offset: usize,
    /// Where the IP packet ends; see [`V4::end`].
    pub end: usize,
    /// Whether a fragment header comes before GRE.
    pub is_fragment: bool,
    /// Whether it is a fragment that does not begin with the GRE header.
    pub is_later_fragment: bool,
    /// Whether GRE follows, behind nothing but options that ask nothing of its receiver.
    pub is_plain: bool,
}

/// The IPv6 header at `offset` of a frame that carries GRE, or what may be GRE behind further headers.
///
/// # Errors
/// The packet is no sane IPv6, or not GRE.
#[inline(always)]
pub fn v6<P: Packet + ?Sized>(packet: &P, offset: usize) -> Result<V6, PassReason> {
    let words: [Be32; ipv6::HEADER_WORDS] = packet.words(offset).ok_or(PassReason::NotIp)?;
    let [first, second, s0, s1, s2, s3, d0, d1, d2, d3] = words;
    let start = ipv6::Start::from([first, second]);
    if start.version() != 6 {
        return Err(PassReason::NotIp);
    }
    let end = match start.payload_len() {
        // As for IPv4.
        0 if packet.segment_payload() > 0 => packet.len(),
        payload_len => offset + ipv6::HEADER_LEN + payload_len,
    };
    let mut next = start.next_header();
    let mut gre_offset = offset + ipv6::HEADER_LEN;
    let [mut is_fragment, mut is_later_fragment] = [false; 2];
    for _ in 0..ipv6::MAX_EXTENSIONS {
        let header = if gre_offset + ipv6::EXTENSION_LEN <= end {
            packet.read(gre_offset).unwrap_or([0; ipv6::EXTENSION_LEN])
        } else {
            [0; ipv6::EXTENSION_LEN]
        };
        if next == ipv6::FRAGMENT {
            is_fragment = true;
            let [behind, _, high, low, ..] = header;
            is_later_fragment = ipv6::fragment_offset([high, low]) != 0;
            next = behind;
            gre_offset += ipv6::EXTENSION_LEN;
            break;
        }
        let Some(behind) = ipv6::behind_options(next, header) else { break };
        next = behind;
        gre_offset += ipv6::EXTENSION_LEN;
    }
    if next != ipv4::PROTO_GRE && !ipv6::is_extension(next) {
        return Err(PassReason::NotGre);
    }
    Ok(V6 {
        local: Address::v6([d0, d1, d2, d3]),
        remote: Address::v6([s0, s1, s2, s3]),
        traffic_class: start.traffic_class(),
        gre_offset,
        end,
        is_fragment,
        is_later_fragment,
        is_plain: next == ipv4::PROTO_GRE,
    })
}
