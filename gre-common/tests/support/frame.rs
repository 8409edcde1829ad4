//! GRE frames in words, and what tenants put into them.

use super::{checksum, world::UPLINK_ENDS};

pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const IPV6: u16 = 0x86dd;
pub const ETHERNET: u16 = 0x6558;
pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;

pub const DONT_FRAGMENT: u16 = 0x4000;
pub const MORE_FRAGMENTS: u16 = 0x2000;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const GRE: u8 = 47;

/// An Ethernet frame with an IPv4 header and GRE. What a test does not say is as the core sends it by
/// default: TTL 64, TOS 0, "don't fragment", id 0, no key.
#[derive(Clone)]
pub struct Frame {
    tags: Vec<u16>,
    ip: Ipv4,
    flags: u16,
    checksum: bool,
    key: Option<u32>,
    sequence: Option<u32>,
    padding: usize,
}

impl Frame {
    pub fn gre() -> Self {
        let ip = Ipv4::new(GRE).dont_fragment();
        let (flags, checksum, padding) = (0, false, 0);
        Self { tags: vec![], ip, flags, checksum, key: None, sequence: None, padding }
    }

    pub fn from(self, src: [u8; 4]) -> Self {
        self.ip(|ip| ip.from(src))
    }

    pub fn to(self, dst: [u8; 4]) -> Self {
        self.ip(|ip| ip.to(dst))
    }

    /// Changes the outer IPv4 header.
    pub fn ip(self, change: impl FnOnce(Ipv4) -> Ipv4) -> Self {
        Self { ip: change(self.ip), ..self }
    }

    /// Adds a VLAN tag of this type behind those that are there.
    pub fn tagged(mut self, tag_type: u16) -> Self {
        self.tags.push(tag_type);
        self
    }

    /// Sets bits of the first 16 of the GRE header, and nothing else.
    pub fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    pub fn checksum(self) -> Self {
        Self { checksum: true, ..self }
    }

    pub fn key(self, key: u32) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The key, where there is one.
    pub fn maybe_key(self, key: Option<u32>) -> Self {
        Self { key, ..self }
    }

    pub fn sequence(self, number: u32) -> Self {
        Self { sequence: Some(number), ..self }
    }

    /// Ethernet padding behind the IP packet.
    pub fn padding(self, bytes: usize) -> Self {
        Self { padding: bytes, ..self }
    }

    pub fn ipv4(self, inner: &[u8]) -> Vec<u8> {
        self.carrying(IPV4, inner)
    }

    pub fn ipv6(self, inner: &[u8]) -> Vec<u8> {
        self.carrying(IPV6, inner)
    }

    pub fn ethernet(self, inner: &[u8]) -> Vec<u8> {
        self.carrying(ETHERNET, inner)
    }

    /// The frame, with any payload.
    pub fn carrying(self, payload_type: u16, inner: &[u8]) -> Vec<u8> {
        let gre = self.gre_header(payload_type, inner);
        let packet = self.ip.around(&[&gre, inner].concat());
        let mut frame = tagged(&self.tags, IPV4, &packet);
        frame[..12].copy_from_slice(&UPLINK_ENDS);
        // Not zeros, so that a read beyond the IP packet shows.
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }

    fn gre_header(&self, payload_type: u16, inner: &[u8]) -> Vec<u8> {
        let mut flags = self.flags;
        let mut fields = vec![];
        if self.checksum {
            flags |= 0x8000;
            fields.extend([0; 4]);
        }
        if let Some(key) = self.key {
            flags |= 0x2000;
            fields.extend(key.to_be_bytes());
        }
        if let Some(number) = self.sequence {
            flags |= 0x1000;
            fields.extend(number.to_be_bytes());
        }
        let mut header = [&flags.to_be_bytes(), &payload_type.to_be_bytes(), &fields[..]].concat();
        if self.checksum {
            let sum = checksum::internet(&[&header, inner].concat());
            header[4..6].copy_from_slice(&sum.to_be_bytes());
        }
        header
    }
}

/// An IPv4 header, its checksum correct unless a test asks for another.
#[derive(Clone)]
pub struct Ipv4 {
    header: [u8; 20],
    options: Vec<u8>,
    claims: Option<u16>,
    header_words: Option<u8>,
    bad_checksum: bool,
}

impl Ipv4 {
    pub fn new(protocol: u8) -> Self {
        let mut header = [0; 20];
        header[8] = 64;
        header[9] = protocol;
        header[12..20].copy_from_slice(&[10, 9, 0, 1, 10, 9, 0, 2]);
        Self { header, options: vec![], claims: None, header_words: None, bad_checksum: false }
    }

    pub fn from(self, src: [u8; 4]) -> Self {
        self.set(12, &src)
    }

    pub fn to(self, dst: [u8; 4]) -> Self {
        self.set(16, &dst)
    }

    pub fn tos(self, tos: u8) -> Self {
        self.set(1, &[tos])
    }

    pub fn ttl(self, ttl: u8) -> Self {
        self.set(8, &[ttl])
    }

    pub fn id(self, id: u16) -> Self {
        self.set(4, &id.to_be_bytes())
    }

    pub fn dont_fragment(self) -> Self {
        self.fragment(DONT_FRAGMENT)
    }

    /// The 16 bits of flags and fragment offset.
    pub fn fragment(self, bits: u16) -> Self {
        self.set(6, &bits.to_be_bytes())
    }

    /// Options; a multiple of four bytes.
    pub fn options(self, options: &[u8]) -> Self {
        Self { options: options.to_vec(), ..self }
    }

    /// Another total length than the true one.
    pub fn claiming(self, total_len: usize) -> Self {
        Self { claims: Some(total_len.try_into().unwrap()), ..self }
    }

    /// Another header length than the true one, in words of four bytes.
    pub fn header_words(self, words: u8) -> Self {
        Self { header_words: Some(words), ..self }
    }

    pub fn bad_checksum(self) -> Self {
        Self { bad_checksum: true, ..self }
    }

    /// The packet.
    pub fn around(self, payload: &[u8]) -> Vec<u8> {
        let mut header = [&self.header, &self.options[..]].concat();
        let words = self.header_words.unwrap_or((header.len() / 4) as u8);
        let total_len = self.claims.unwrap_or((header.len() + payload.len()).try_into().unwrap());
        header[0] = 0x40 | words;
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        let sum = checksum::internet(&header).wrapping_add(u16::from(self.bad_checksum));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header, payload].concat()
    }

    fn set(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.header[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// An IPv6 packet with this traffic class and hop limit.
pub fn ipv6(traffic_class: u8, hop_limit: u8, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let first = (6 << 28 | u32::from(traffic_class) << 20).to_be_bytes();
    let payload_len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let addresses = [[0xfd; 16], [0xfe; 16]].concat();
    [&first[..], &payload_len, &[next_header, hop_limit], &addresses, payload].concat()
}

/// A small packet of a tenant: IPv4 with a UDP payload.
pub fn small_ipv4() -> Vec<u8> {
    Ipv4::new(UDP).around(b"\x04\xd2\x16\x2e\x00\x0c\x00\x00ping")
}

/// A small packet of a tenant: IPv6 with a UDP payload.
pub fn small_ipv6() -> Vec<u8> {
    ipv6(0, 64, UDP, b"\x04\xd2\x16\x2e\x00\x0c\x00\x00ping")
}

/// An Ethernet frame of a tenant.
pub fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    tagged(&[], ether_type, payload)
}

/// An Ethernet frame of a tenant with VLAN tags of these types, outermost first.
pub fn tagged(tags: &[u16], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for (tag, id) in tags.iter().zip(5_u16..) {
        frame.extend(tag.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}
