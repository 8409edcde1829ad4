//! What the sender of a packet that does not fit is told: ICMP "fragmentation needed" (RFC 792, RFC 1191 section 4) and
//! ICMP for IPv6 "packet too big" (RFC 4443 section 3.2).
//!
//! The answer comes from whom the packet was for: a tunnel has no address among its tenant's. It stands where the
//! packet stood, which it quotes.

use crate::{
    encap::inner_mtu,
    packet::Packet,
    tables::{Service, Tables, TenantId, TunnelId},
    wire::{
        address::Version,
        be32::Be32,
        checksum,
        ethernet::{self, EtherType},
        icmp, ipv4, ipv6,
    },
};

/// Bytes of the longest Ethernet header, with two VLAN tags.
pub const LINK_LEN: usize = ethernet::HEADER_LEN + 2 * ethernet::VLAN_TAG_LEN;

/// Words of the headers in front of what is quoted.
pub const HEADER_WORDS_V4: usize = ipv4::HEADER_WORDS + icmp::HEADER_WORDS;
/// The same for IPv6.
pub const HEADER_WORDS_V6: usize = ipv6::HEADER_WORDS + icmp::HEADER_WORDS;

/// Longest answers, in bytes (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = ipv6::MIN_MTU;
/// The smallest MTU that a host believes (RFC 791 section 3.2); IPv6 has [`ipv6::MIN_MTU`].
const MIN_MTU_V4: usize = 68;

const TTL: u8 = 64;
/// "Internetwork control" (RFC 1812 section 4.3.2.5).
const TOS: u8 = 0xc0;

/// An answer to be made of the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Who is told.
    pub tenant: TenantId,
    /// Its IP version.
    pub version: Version,
    /// Bytes of the frame before its IP header.
    pub link_len: usize,
    /// Bytes quoted from there on. What follows them is cut off.
    pub quoted: usize,
    /// What would fit, in bytes.
    pub mtu: u16,
}

impl TooBig {
    /// What to answer to a tenant's frame that does not fit a tunnel. `None`: nothing, for it may be fragmented or is one that nobody may
    /// be told about (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
    #[inline(always)]
    pub fn about<P: Packet + ?Sized, T: Tables>(
        packet: &P,
        tables: &T,
        id: TenantId,
        tunnel: TunnelId,
    ) -> Option<Self> {
        let (tenant, tunnel) = (tables.tenant(id)?, tables.tunnel(tunnel)?);
        let frame = ethernet::payload(packet, 0);
        let version = match frame.ether_type {
            EtherType::IPV4 => Version::V4,
            EtherType::IPV6 => Version::V6,
            _ => return None,
        };
        let link_len = packet.settle(frame.offset);
        let carried_len = if tenant.service == Service::L2 {
            let is_stripped = packet.stripped_vlan().is_some();
            link_len + if is_stripped { ethernet::VLAN_TAG_LEN } else { 0 }
        } else {
            0
        };
        let mtu = inner_mtu(tunnel, tenant, carried_len)?;
        let [first_octet] = packet.read(0)?;
        if first_octet & ethernet::GROUP != 0 {
            return None;
        }
        let (len, longest, least) = if version == Version::V6 {
            let len = len_to_tell_v6(packet, link_len)?;
            (len, LONGEST_V6 - HEADER_WORDS_V6 * 4, ipv6::MIN_MTU)
        } else {
            let len = len_to_tell_v4(packet, link_len)?;
            (len, LONGEST_V4 - HEADER_WORDS_V4 * 4, MIN_MTU_V4)
        };
        // The length field of a merged packet may say nothing.
        let behind = packet.behind(link_len)?;
        let len = if packet.segment_payload() > 0 { behind } else { len.min(behind) };
        let mtu = u16::try_from(mtu.max(least)).unwrap_or(u16::MAX);
        Some(Self {
            tenant: id,
            version: version.settled(packet),
            link_len: packet.settle(link_len),
            quoted: packet.forget(len.min(longest) as u32) as usize,
            mtu: packet.forget(u32::from(mtu)) as u16,
        })
    }

    /// The first bytes of the frame, [`link_len`](Self::link_len) of which are the answer's Ethernet header: it goes back.
    #[inline(always)]
    pub fn link<P: Packet + ?Sized>(&self, packet: &P) -> Option<[u8; LINK_LEN]> {
        let [dst, src, rest]: [[u8; 6]; 3] = [packet.read(0)?, packet.read(6)?, packet.read(12)?];
        let last: [u8; 4] = packet.read(18)?;
        let mut link = [0; LINK_LEN];
        link[..6].copy_from_slice(&src);
        link[6..12].copy_from_slice(&dst);
        link[12..18].copy_from_slice(&rest);
        link[18..].copy_from_slice(&last);
        Some(link)
    }

    /// IPv4 and ICMP headers. `sum` is the [`Packet::sum`] of what is quoted.
    #[inline(always)]
    pub fn headers_v4<P: Packet + ?Sized>(
        &self,
        packet: &P,
        sum: u16,
    ) -> Option<[Be32; HEADER_WORDS_V4]> {
        let [src, dst] = packet.words(self.link_len + ipv4::SOURCE_OFFSET)?;
        let [l0, l1] = ((HEADER_WORDS_V4 * 4 + self.quoted) as u16).to_be_bytes();
        let start = Be32::from([0x45, TOS, l0, l1]);
        let fragment = Be32::from([0, 0, 0x40, 0]);
        let transport = |[c0, c1]: [u8; 2]| Be32::from([TTL, icmp::PROTO_V4, c0, c1]);
        let ip_sum = checksum::add_words(0, &[start, fragment, transport([0; 2]), src, dst]);
        let [m0, m1] = self.mtu.to_be_bytes();
        let mtu = Be32::from([0, 0, m0, m1]);
        let first = |[c0, c1]: [u8; 2]| Be32::from([icmp::UNREACHABLE, icmp::TOO_BIG, c0, c1]);
        let sum = checksum::add_words(sum.into(), &[first([0; 2]), mtu]);
        Some([
            start,
            fragment,
            transport(complement(ip_sum)),
            dst,
            src,
            first(complement(sum)),
            mtu,
        ])
    }

    /// IPv6 and ICMP for IPv6 headers. `sum` is the [`Packet::sum`] of what is quoted.
    #[inline(always)]
    pub fn headers_v6<P: Packet + ?Sized>(
        &self,
        packet: &P,
        sum: u16,
    ) -> Option<[Be32; HEADER_WORDS_V6]> {
        let [s0, s1, s2, s3] = packet.words(self.link_len + ipv6::SOURCE_OFFSET)?;
        let [d0, d1, d2, d3] = packet.words(self.link_len + ipv6::DESTINATION_OFFSET)?;
        let len = (icmp::HEADER_WORDS * 4 + self.quoted) as u16;
        let [l0, l1] = len.to_be_bytes();
        let start = Be32::from([0x60, 0, 0, 0]);
        let second = Be32::from([l0, l1, icmp::PROTO_V6, TTL]);
        let mtu = Be32::from(u32::from(self.mtu).to_be_bytes());
        let first = |[c0, c1]: [u8; 2]| Be32::from([icmp::TOO_BIG_V6, 0, c0, c1]);
        // The pseudo-header (RFC 8200 section 8.1): addresses, length, protocol.
        let pseudo = [Be32::from([0, 0, l0, l1]), Be32::from([0, 0, 0, icmp::PROTO_V6])];
        let sum = checksum::add_words(sum.into(), &[s0, s1, s2, s3, d0, d1, d2, d3]);
        let sum = checksum::add_words(sum, &[pseudo[0], pseudo[1], first([0; 2]), mtu]);
        Some([start, second, d0, d1, d2, d3, s0, s1, s2, s3, first(complement(sum)), mtu])
    }
}

#[inline(always)]
const fn complement(sum: u64) -> [u8; 2] {
    (!checksum::fold(sum)).to_ne_bytes()
}

/// The length that an IPv4 packet says it has, where its sender is to be told.
#[inline(always)]
fn len_to_tell_v4<P: Packet + ?Sized>(packet: &P, offset: usize) -> Option<usize> {
    let header = ipv4::parse(packet.words(offset)?);
    let is_about = ipv4::is_sane(&header)
        && ipv4::dont_fragment(&header)
        && !ipv4::is_later_fragment(&header)
        && ipv4::is_host(header.src_addr)
        && ipv4::is_host(header.dst_addr);
    if !is_about {
        return None;
    }
    if header.proto == icmp::PROTO_V4 {
        let [kind] = packet.read(packet.settle(offset + ipv4::header_len(&header)))?;
        if !icmp::is_query(kind) {
            return None;
        }
    }
    Some(ipv4::total_len(&header))
}

/// The same for IPv6. What has extension headers other than a fragment header could be anything.
#[inline(always)]
fn len_to_tell_v6<P: Packet + ?Sized>(packet: &P, offset: usize) -> Option<usize> {
    let start = ipv6::Start(packet.read(offset)?);
    let hosts = ipv6::is_host(packet.words(offset + ipv6::SOURCE_OFFSET)?)
        && ipv6::is_host(packet.words(offset + ipv6::DESTINATION_OFFSET)?);
    if start.version() != 6 || !hosts {
        return None;
    }
    let mut protocol = start.next_header();
    let mut transport = offset + ipv6::HEADER_LEN;
    if protocol == ipv6::FRAGMENT {
        let [next, _, high, low] = packet.read(transport)?;
        if ipv6::fragment_offset([high, low]) != 0 {
            return None;
        }
        protocol = next;
        transport += ipv6::EXTENSION_LEN;
    }
    if ipv6::is_extension(protocol) {
        return None;
    }
    if protocol == icmp::PROTO_V6 {
        let [kind] = packet.read(packet.settle(transport))?;
        if !icmp::is_query_v6(kind) {
            return None;
        }
    }
    Some(ipv6::HEADER_LEN + start.payload_len())
}
