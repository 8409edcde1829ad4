//! Frames built in words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpDscp, IpEcn, IpHeaders, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6Header, PacketBuilder, PacketBuilderStep, ip_number,
};

/// GRE payload type of Ethernet frames.
pub const ETHERNET: u16 = 0x6558;
/// IPv4.
pub const IPV4: u16 = 0x0800;
/// IPv6.
pub const IPV6: u16 = 0x86dd;

/// MAC address of a peer that only sends.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xee];

const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const CHECKSUM: u16 = 0x8000;

/// A GRE packet in an Ethernet frame, to be built. What IPv6 does not have is left out over IPv6.
#[derive(Clone, Debug)]
pub struct Gre {
    destination_mac: [u8; 6],
    vlans: Vec<[u8; 4]>,
    source: IpAddr,
    destination: IpAddr,
    tos: u8,
    ttl: u8,
    fragment: u16,
    options: Vec<u8>,
    ip_protocol: u8,
    total_len: Option<u16>,
    damage: u16,
    flags: u16,
    payload_type: u16,
    key: Option<u32>,
    sequence: Option<u32>,
    payload: Vec<u8>,
    pad_to: usize,
}

impl Gre {
    /// A plain packet: no key, no options.
    pub fn new(source: &str, destination: &str, payload_type: u16, payload: Vec<u8>) -> Self {
        Self {
            destination_mac: [2, 0, 0, 0, 0, 1],
            vlans: Vec::new(),
            source: source.parse().expect("an IP address"),
            destination: destination.parse().expect("an IP address"),
            tos: 0,
            ttl: 64,
            fragment: 0x4000,
            options: Vec::new(),
            ip_protocol: 47,
            total_len: None,
            damage: 0,
            flags: 0,
            payload_type,
            key: None,
            sequence: None,
            payload,
            pad_to: 0,
        }
    }

    /// To the station with this MAC address.
    #[must_use]
    pub fn to_mac(mut self, mac: [u8; 6]) -> Self {
        self.destination_mac = mac;
        self
    }

    /// From another remote address.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        self.source = source.parse().expect("an IP address");
        self
    }

    /// To another local address.
    #[must_use]
    pub fn to(mut self, destination: &str) -> Self {
        self.destination = destination.parse().expect("an IP address");
        self
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: u32) -> Self {
        self.key = Some(key);
        self
    }

    /// With a sequence number.
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        self.sequence = Some(number);
        self
    }

    /// With a checksum, correct.
    #[must_use]
    pub fn checksum(self) -> Self {
        self.flags(CHECKSUM)
    }

    /// With these bits set in the first 16, besides those of the fields.
    #[must_use]
    pub fn flags(mut self, bits: u16) -> Self {
        self.flags |= bits;
        self
    }

    /// With another payload type and payload.
    #[must_use]
    pub fn carrying(mut self, payload_type: u16, payload: Vec<u8>) -> Self {
        (self.payload_type, self.payload) = (payload_type, payload);
        self
    }

    /// With another payload type.
    #[must_use]
    pub fn payload_type(mut self, payload_type: u16) -> Self {
        self.payload_type = payload_type;
        self
    }

    /// With another payload of the same type.
    #[must_use]
    pub fn payload(mut self, payload: Vec<u8>) -> Self {
        self.payload = payload;
        self
    }

    /// With this TOS octet in the outer header.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// With this TTL in the outer header.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Behind a VLAN tag; a second call adds one inside the first.
    #[must_use]
    pub fn vlan(mut self, tpid: u16, vid: u16) -> Self {
        let ([t0, t1], [v0, v1]) = (tpid.to_be_bytes(), vid.to_be_bytes());
        self.vlans.push([t0, t1, v0, v1]);
        self
    }

    /// With these flags and this offset: the 16 bits as they stand in the outer header.
    #[must_use]
    pub fn fragment(mut self, bits: u16) -> Self {
        self.fragment = bits;
        self
    }

    /// With `words` words of no-operation options in the outer header.
    #[must_use]
    pub fn options(mut self, words: usize) -> Self {
        self.options = vec![1; words * 4];
        self
    }

    /// With another IP protocol number.
    #[must_use]
    pub fn ip_protocol(mut self, number: u8) -> Self {
        self.ip_protocol = number;
        self
    }

    /// With an outer length field that says this.
    #[must_use]
    pub fn total_len(mut self, len: u16) -> Self {
        self.total_len = Some(len);
        self
    }

    /// With a wrong outer header checksum.
    #[must_use]
    pub fn bad_ip_checksum(mut self) -> Self {
        self.damage = 0x5555;
        self
    }

    /// With Ethernet padding up to this frame length.
    #[must_use]
    pub fn pad_to(mut self, len: usize) -> Self {
        self.pad_to = len;
        self
    }

    /// Where the IP header begins in the frame.
    pub fn ip_offset(&self) -> usize {
        14 + self.vlans.len() * 4
    }

    /// Where the GRE header begins in the frame.
    pub fn offset(&self) -> usize {
        let ip = if self.source.is_ipv4() { 20 + self.options.len() } else { 40 };
        self.ip_offset() + ip
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        let gre = self.gre_part();
        let (ether_type, ip) = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                (IPV4, self.ipv4_header(source, destination, gre.len()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                (IPV6, self.ipv6_header(source, destination, gre.len()))
            }
            (source, destination) => panic!("from {source} to {destination}"),
        };
        let mut frame = [self.destination_mac, PEER_MAC].concat();
        frame.extend(self.vlans.concat());
        frame.extend(ether_type.to_be_bytes());
        frame.extend(ip);
        frame.extend(gre);
        frame.resize(frame.len().max(self.pad_to), 0);
        frame
    }

    fn ipv6_header(&self, source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Vec<u8> {
        let mut ip = (6 << 28 | u32::from(self.tos) << 20).to_be_bytes().to_vec();
        let len = self.total_len.map_or(len as u16, |total_len| total_len.saturating_sub(20));
        ip.extend(len.to_be_bytes());
        ip.extend([self.ip_protocol, self.ttl]);
        ip.extend(source.octets());
        ip.extend(destination.octets());
        ip
    }

    fn ipv4_header(&self, source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let total_len = self.total_len.unwrap_or((header_len + len) as u16);
        let mut ip = vec![0x40 | (header_len / 4) as u8, self.tos];
        ip.extend(total_len.to_be_bytes());
        ip.extend([0, 0]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.ttl, self.ip_protocol, 0, 0]);
        ip.extend(source.octets());
        ip.extend(destination.octets());
        ip.extend(&self.options);
        let sum = internet_checksum(&ip) ^ self.damage;
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip
    }

    fn gre_part(&self) -> Vec<u8> {
        let mut flags = self.flags;
        if self.key.is_some() {
            flags |= KEY;
        }
        if self.sequence.is_some() {
            flags |= SEQUENCE;
        }
        let mut gre = [flags.to_be_bytes(), self.payload_type.to_be_bytes()].concat();
        let has_checksum = flags & CHECKSUM != 0;
        if has_checksum {
            gre.extend([0; 4]);
        }
        gre.extend(self.key.map(u32::to_be_bytes).into_iter().flatten());
        gre.extend(self.sequence.map(u32::to_be_bytes).into_iter().flatten());
        gre.extend(&self.payload);
        if has_checksum {
            let sum = internet_checksum(&gre);
            gre[4..6].copy_from_slice(&sum.to_be_bytes());
        }
        gre
    }
}

impl From<Gre> for Vec<u8> {
    fn from(packet: Gre) -> Self {
        packet.build()
    }
}

/// RFC 1071.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// A UDP datagram in an IP packet of either version.
#[derive(Clone, Debug)]
pub struct Udp {
    source: std::net::IpAddr,
    destination: std::net::IpAddr,
    tos: u8,
    ttl: u8,
    payload: Vec<u8>,
}

impl Udp {
    /// A datagram with the payload given.
    pub fn new(source: &str, destination: &str, payload: &[u8]) -> Self {
        Self {
            source: source.parse().expect("an IP address"),
            destination: destination.parse().expect("an IP address"),
            tos: 0,
            ttl: 64,
            payload: payload.to_vec(),
        }
    }

    /// With this TOS or traffic class.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// With this TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The IP packet.
    pub fn ip(&self) -> Vec<u8> {
        use std::net::IpAddr::{V4, V6};
        match (self.source, self.destination) {
            (V4(source), V4(destination)) => self.ip4(source, destination),
            (V6(source), V6(destination)) => self.ip6(source, destination),
            _ => panic!("two IP versions in one packet"),
        }
    }

    /// The IP packet in an Ethernet frame.
    pub fn ethernet(&self, destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
        let ether_type = if self.source.is_ipv4() { IPV4 } else { IPV6 };
        [&destination[..], &source, &ether_type.to_be_bytes(), &self.ip()].concat()
    }

    fn ip4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut header = Ipv4Header::new(
            (8 + self.payload.len()) as u16,
            self.ttl,
            ip_number::UDP,
            source.octets(),
            destination.octets(),
        )
        .expect("a length that fits");
        header.dscp = IpDscp::try_new(self.tos >> 2).expect("six bits");
        header.ecn = IpEcn::try_new(self.tos & 3).expect("two bits");
        self.write(PacketBuilder::ip(IpHeaders::Ipv4(header, Ipv4Extensions::default())))
    }

    fn ip6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let header = Ipv6Header {
            traffic_class: self.tos,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: 0,
            next_header: ip_number::UDP,
            hop_limit: self.ttl,
            source: source.octets(),
            destination: destination.octets(),
        };
        self.write(PacketBuilder::ip(IpHeaders::Ipv6(header, Ipv6Extensions::default())))
    }

    fn write(&self, ip: PacketBuilderStep<IpHeaders>) -> Vec<u8> {
        let mut bytes = Vec::new();
        ip.udp(5000, 5001).write(&mut bytes, &self.payload).expect("a length that fits");
        bytes
    }
}

/// An ARP request in an Ethernet frame.
pub fn arp(source: [u8; 6]) -> Vec<u8> {
    let header = [&[0xff; 6][..], &source, &[8, 6]].concat();
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    let (sender, target) = ([10, 9, 0, 1], [10, 9, 0, 2]);
    [&header[..], &request, &source, &sender, &[0; 6], &target].concat()
}
