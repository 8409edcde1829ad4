//! What a frame says, read as the RFCs write it and without any of xgre's code.

use testbed::{
    ipv6::{DESTINATION_OPTIONS, FRAGMENT},
    packet::{ETHERNET, IPV4, IPV6},
};

/// Protocol number.
const GRE: u8 = 47;

/// The MAC address of receivers in frames that are built for all of them.
pub const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];

const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

/// "Checksum present" in the first 16 bits of GRE.
pub const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;

/// A frame with a GRE packet.
#[derive(Debug)]
pub struct Facts<'f> {
    /// Whether it is for another station.
    pub other_station: bool,
    /// VLAN identifiers, outermost first.
    pub vlans: Vec<u16>,
    pub outer: Outer<'f>,
    /// Bytes behind the outer packet.
    pub padding: usize,
    /// What the outer packet carries, if that is whole.
    gre: Option<Gre<'f>>,
}

/// An IP packet.
#[derive(Debug)]
pub struct Outer<'f> {
    header_len: usize,
    /// Options of IPv4, extension headers of IPv6.
    pub options: &'f [u8],
    pub fragment: bool,
    pub source: &'f [u8],
    pub ecn: u8,
    /// Bytes, with its header.
    end: usize,
}

/// A GRE packet.
#[derive(Debug)]
pub struct Gre<'f> {
    /// The first 16 bits.
    pub flags: u16,
    pub payload_type: u16,
    pub key: Option<u32>,
    pub payload: &'f [u8],
}

/// Reads 16 bits in network byte order.
fn be16(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

impl<'f> Outer<'f> {
    fn v4(ip: &'f [u8]) -> Option<Self> {
        if ip.first()? >> 4 != 4 || ip.get(9)? != &GRE {
            return None;
        }
        Some(Self {
            header_len: 20,
            options: ip.get(20..usize::from(ip[0] & 15) * 4)?,
            fragment: be16(ip, 6)? & 0x3fff != 0,
            source: ip.get(12..16)?,
            ecn: ip[1] & 3,
            end: usize::from(be16(ip, 2)?),
        })
    }

    fn v6(ip: &'f [u8]) -> Option<Self> {
        if ip.first()? >> 4 != 6 {
            return None;
        }
        let (mut next, mut offset, mut fragment) = (*ip.get(6)?, 40, false);
        while matches!(next, 0 | 43 | FRAGMENT | DESTINATION_OPTIONS) {
            let [behind, len] = *ip.get(offset..)?.first_chunk()?;
            fragment |= next == FRAGMENT;
            offset += if next == FRAGMENT { 8 } else { (usize::from(len) + 1) * 8 };
            next = behind;
        }
        (next == GRE).then_some(())?;
        Some(Self {
            header_len: 40,
            options: ip.get(40..offset)?,
            fragment,
            source: ip.get(8..24)?,
            ecn: (ip[1] >> 4) & 3,
            end: 40 + usize::from(be16(ip, 4)?),
        })
    }
}

/// What stands behind an Ethernet header and its tags: type, offset, and the VLANs.
fn ethernet(frame: &[u8]) -> Option<(u16, usize, Vec<u16>)> {
    let (mut offset, mut vlans) = (14, vec![]);
    loop {
        let ether_type = be16(frame, offset - 2)?;
        if !matches!(ether_type, VLAN | SERVICE_VLAN) {
            return Some((ether_type, offset, vlans));
        }
        vlans.push(be16(frame, offset)? & 0xfff);
        offset += 4;
    }
}

/// Whether a frame is the other one, filled up with zeros to what TC needs: an Ethernet and an IP header.
pub fn is_padded(frame: &[u8], padded: &[u8]) -> bool {
    let padding = padded.strip_prefix(frame);
    matches!(padded.len(), 34 | 54)
        && padding.is_some_and(|padding| padding.iter().all(|byte| *byte == 0))
}

impl<'f> Facts<'f> {
    /// Reads a frame. `None` where it is no IP packet of GRE.
    pub fn of(frame: &'f [u8]) -> Option<Self> {
        let (ether_type, offset, vlans) = ethernet(frame)?;
        let ip = &frame[offset..];
        let outer = match ether_type {
            IPV4 => Outer::v4(ip)?,
            IPV6 => Outer::v6(ip)?,
            _ => return None,
        };
        Some(Self {
            other_station: frame[..6] != STATION,
            vlans,
            padding: ip.len().saturating_sub(outer.end),
            gre: ip.get(outer.header_len + outer.options.len()..outer.end).and_then(Gre::of),
            outer,
        })
    }

    /// Whether there is a whole GRE packet for which this is so.
    pub fn gre(&self, so: impl FnOnce(&Gre<'f>) -> bool) -> bool {
        self.gre.as_ref().is_some_and(so)
    }

    /// Whether these bytes may come out. Congestion on the way changes a bit or two.
    pub fn allow(&self, bytes: &[u8]) -> bool {
        self.gre(|gre| {
            let expected = match gre.payload_type {
                ETHERNET => gre.payload.to_vec(),
                ip => [&ip.to_be_bytes()[..], gre.payload].concat(),
            };
            bytes == expected
                || is_padded(&expected, bytes)
                || self.outer.ecn != 0 && bytes.len() == expected.len()
        })
    }
}

impl<'f> Gre<'f> {
    fn of(packet: &'f [u8]) -> Option<Self> {
        let (flags, payload_type) = (be16(packet, 0)?, be16(packet, 2)?);
        let key_offset = if flags & CHECKSUM == 0 { 4 } else { 8 };
        let key = if flags & KEY == 0 { None } else { Some(be32(packet, key_offset)?) };
        let fields = flags & (KEY | SEQUENCE);
        let payload = packet.get(key_offset + 4 * fields.count_ones() as usize..)?;
        Some(Self { flags, payload_type, key, payload })
    }

    /// Whether the payload is an IP packet that is not what its type says, or not as long.
    pub fn malformed_ip(&self) -> bool {
        match self.payload_type {
            IPV4 => self.ip4().is_none(),
            IPV6 => self.ip6().is_none(),
            _ => false,
        }
    }

    fn ip4(&self) -> Option<()> {
        let header_len = usize::from(self.payload.first()? & 15) * 4;
        let total_len = usize::from(be16(self.payload, 2)?);
        let lengths = [20, header_len, total_len, self.payload.len()];
        (self.payload[0] >> 4 == 4 && lengths.is_sorted()).then_some(())
    }

    fn ip6(&self) -> Option<()> {
        let payload_len = usize::from(be16(self.payload, 4)?);
        (self.payload[0] >> 4 == 6 && 40 + payload_len <= self.payload.len()).then_some(())
    }

    /// Whether the payload is an IP packet to this address.
    pub fn goes_to(&self, address: &[u8]) -> bool {
        let destination = match self.payload_type {
            IPV4 => self.payload.get(16..20),
            IPV6 => self.payload.get(24..40),
            _ => None,
        };
        destination == Some(address)
    }

    /// Whether the payload is an IP packet with GRE.
    pub fn carries_gre(&self) -> bool {
        match self.payload_type {
            IPV4 => self.payload.get(9) == Some(&GRE),
            IPV6 => self.payload.get(6) == Some(&GRE),
            _ => false,
        }
    }

    /// The payload as a frame: type, offset of what it carries, VLANs.
    fn frame(&self) -> Option<(u16, usize, Vec<u16>)> {
        ethernet(self.payload).filter(|_| self.payload_type == ETHERNET)
    }

    /// Whether the payload is a frame with a VLAN tag.
    pub fn tagged_frame(&self) -> bool {
        self.frame().is_some_and(|(_, _, vlans)| !vlans.is_empty())
    }

    /// Whether the payload is a frame that ends with its VLAN tag, or before the type behind.
    pub fn frame_ends_with_tag(&self) -> bool {
        let tag = be16(self.payload, 12).filter(|_| self.payload_type == ETHERNET);
        matches!(tag, Some(VLAN | SERVICE_VLAN)) && self.payload.len() < 20
    }

    /// Whether the payload is a frame that says it carries IP, where there is no IP header of that version.
    pub fn frame_without_ip_header(&self) -> bool {
        let Some((ether_type, offset, _)) = self.frame() else { return false };
        let ip = &self.payload[offset..];
        match ether_type {
            IPV4 => ip.len() < 20 || ip[0] >> 4 != 4 || ip[0] & 15 < 5,
            IPV6 => ip.len() < 40 || ip[0] >> 4 != 6,
            _ => false,
        }
    }
}
