//! The decision about a packet that enters at a tenant's port.

use crate::{
    bridge::Way,
    mss::Syn,
    packet::Packet,
    partial,
    tables::{
        DEFAULT_TTL, HopState, Service, Tables, Tenant, TenantId, Tunnel, TunnelId, TunnelOptions,
    },
    verdict::{DropReason, End, PassReason, Verdict},
    wire::{
        address::{Address, Version},
        be32::Be32,
        checksum,
        ecn::Ecn,
        ethernet::{self, EtherType},
        gre::{self, GreKey},
        ipv4, ipv6, tcp,
    },
};

/// How to turn a tenant's packet into a GRE packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap<'t> {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it goes through.
    pub tunnel_id: TunnelId,
    /// Its outer addresses, next hop.
    pub tunnel: &'t Tunnel,
    /// The rest of the outer headers.
    pub headers: Headers,
    /// Bytes at the start of the frame that the outer headers replace: its Ethernet header for l3, none for l2.
    pub strip: usize,
    /// Bytes of the inner packet, with a VLAN tag that the device took out and that goes back in.
    pub inner_len: usize,
    /// Bytes of Ethernet padding behind the inner packet.
    pub padding: usize,
    /// What the inner packet is.
    pub payload: Payload,
    /// Whether it opens a TCP connection whose segments are to fit; see [`Encap::syn`].
    pub is_syn: bool,
}

impl Encap<'_> {
    /// What [`mss::clamp`](crate::mss::clamp) asks of the GRE packet, where a TCP connection is opened inside.
    #[inline(always)]
    pub const fn syn(&self) -> Syn {
        let start = ethernet::HEADER_LEN + self.headers.bytes();
        Syn { tenant: self.tenant, tunnel: self.tunnel_id, start }
    }

    /// Bytes of the tenant's frame, with a VLAN tag that the device took out.
    #[inline(always)]
    pub const fn frame_len(&self) -> usize {
        self.strip + self.inner_len + self.padding
    }
}

/// Outer headers: IP without its addresses, GRE without its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The version of the IP header.
    pub version: Version,
    /// The IP header up to its addresses: three words of IPv4, or two of IPv6.
    pub ip: [Be32; 3],
    /// GRE, up to its optional fields.
    pub gre: Be32,
    /// Which of those there are.
    pub fields: gre::Fields,
    /// The key; 0 where there is none.
    pub key: Be32,
    /// [`Packet::sum`] of the inner packet where there is a checksum, else 0.
    pub inner_sum: u16,
}

impl Headers {
    /// Length of the outer IP header, in bytes.
    #[inline(always)]
    pub const fn ip_len(&self) -> usize {
        ip_header_len(self.version)
    }

    /// Their length in bytes.
    #[inline(always)]
    pub const fn bytes(&self) -> usize {
        self.ip_len() + self.fields.header_len()
    }

    /// The second word of a GRE header with a checksum.
    #[inline(always)]
    pub fn checksum(&self, sequence: Be32) -> Be32 {
        let sum = checksum::add_words(u64::from(self.inner_sum), &[self.gre, self.key, sequence]);
        let [c0, c1] = (!checksum::fold(sum)).to_ne_bytes();
        [c0, c1, 0, 0].into()
    }
}

/// The largest IP packet of a tenant that fits path and tunnel, in bytes; `link_len` bytes of its Ethernet header are carried
/// with it. `None` while neither is known, or nothing fits.
#[inline(always)]
pub fn inner_mtu(tunnel: &Tunnel, tenant: &Tenant, link_len: usize) -> Option<usize> {
    let path = match tunnel.next_hop.mtu as usize {
        0 => usize::MAX,
        mtu => mtu.checked_sub(outer_len(tunnel, tenant) + link_len)?,
    };
    let set = match tunnel.mtu {
        0 => usize::MAX,
        mtu => usize::from(mtu),
    };
    Some(path.min(set)).filter(|mtu| *mtu != usize::MAX)
}

/// Bytes of the outer IP and GRE headers of a tenant's packets.
#[inline(always)]
pub fn outer_len(tunnel: &Tunnel, tenant: &Tenant) -> usize {
    Outer::of(tunnel, tenant).len()
}

#[inline(always)]
const fn ip_header_len(version: Version) -> usize {
    match version {
        Version::V6 => ipv6::HEADER_LEN,
        _ => ipv4::HEADER_LEN,
    }
}

/// What an inner packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An IP packet.
    Ip,
    /// An Ethernet frame that carries IP.
    EthernetIp,
    /// An Ethernet frame that carries something else.
    Ethernet,
}

/// Decides about a tenant's frame that is to go through a tunnel.
#[inline(always)]
pub fn encap<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    way: &Way<'t>,
    tunnel: TunnelId,
) -> Verdict<Encap<'t>> {
    plan(packet, tables, way, tunnel).into()
}

#[inline(always)]
fn plan<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    &Way { id, tenant, .. }: &Way<'t>,
    tunnel_id: TunnelId,
) -> Result<Encap<'t>, End> {
    let tunnel = tables.tunnel(tunnel_id).ok_or(PassReason::NoTenant)?;
    let inner = Inner::find(packet, tenant.service, id)?;

    if tunnel.next_hop.state == HopState::NO_ROUTE {
        return Err(DropReason::NoRoute.of(id).into());
    }
    // The kernel finds a neighbour for IP packets only (`__bpf_redirect_neigh`, net/core/filter.c).
    if tunnel.next_hop.state == HopState::UNRESOLVED && inner.payload == Payload::Ethernet {
        return Err(DropReason::Unresolved.of(id).into());
    }
    if inner.ip.transport == ipv4::PROTO_GRE && inner.ip.is_own(packet, tunnel) {
        return Err(DropReason::Loop.of(id).into());
    }
    let outer = Outer::of(tunnel, tenant).settled(packet);
    if !fits(packet, tunnel, &inner, outer.len()) {
        return Err(DropReason::PacketTooBig.of(id).into());
    }
    // The kernel can be told of neither where it cuts a merged packet later.
    let numbered = outer.fields.checksum() || outer.fields.sequence();
    if numbered && packet.segment_payload() > 0 {
        return Err(DropReason::Unsegmented.of(id).into());
    }

    let clamped = !tunnel.options.has(TunnelOptions::KEEP_MSS);
    Ok(Encap {
        tenant: id,
        is_syn: packet.forget(u32::from(clamped && inner.ip.is_syn(packet))) != 0,
        headers: headers(packet, tables, tunnel, tenant, &inner, outer)?,
        tunnel_id,
        tunnel,
        strip: inner.strip,
        inner_len: inner.len,
        padding: inner.padding,
        payload: inner.payload,
    })
}

/// What a tunnel's outer headers consist of.
#[derive(Clone, Copy)]
struct Outer {
    version: Version,
    fields: gre::Fields,
}

impl Outer {
    #[inline(always)]
    fn of(tunnel: &Tunnel, tenant: &Tenant) -> Self {
        let fields = gre::Fields::new(
            tunnel.options.has(TunnelOptions::CHECKSUM),
            Option::<GreKey>::from(tenant.out_key).is_some(),
            tunnel.options.has(TunnelOptions::SEQUENCE),
        );
        let version = if tunnel.local.is_v4() { Version::V4 } else { Version::V6 };
        Self { version, fields }
    }

    /// The same, forgotten; see [`Packet::forget`].
    #[inline(always)]
    fn settled<P: Packet + ?Sized>(self, packet: &P) -> Self {
        Self { version: self.version.settled(packet), fields: self.fields.settled(packet) }
    }

    #[inline(always)]
    const fn len(self) -> usize {
        ip_header_len(self.version) + self.fields.header_len()
    }
}

/// The inner packet, as far as its headers decide about the outer ones.
#[derive(Clone, Copy)]
struct Inner {
    payload: Payload,
    protocol: EtherType,
    /// Bytes before it in the frame.
    strip: usize,
    /// Its bytes, with a VLAN tag that the device took out.
    len: usize,
    /// Bytes of Ethernet padding behind it.
    padding: usize,
    /// Bytes of that tag.
    tag_len: usize,
    /// Bytes of it before its network header.
    link_len: usize,
    ip: InnerIp,
}

/// The fields of an inner IP header that decide about the outer one.
///
/// Not an `Option`: the compiler leaves the fields of `None` undefined and may all the same calculate
/// with them, which the verifier refuses.
#[derive(Clone, Copy)]
struct InnerIp {
    /// [`Version::NOT_IP`]: the rest means nothing.
    version: Version,
    /// Where the header begins, in bytes from the start of the frame.
    offset: usize,
    /// Bytes from the start of the frame to the transport header.
    transport_offset: usize,
    transport: u8,
    is_fragment: bool,
    tos: u8,
    ttl: u8,
    dont_fragment: bool,
    /// Length of the packet, in bytes.
    total_len: usize,
}

impl InnerIp {
    /// What the outer header of a packet that is not IP is like: no congestion control, not to be cut.
    const ABSENT: Self = Self {
        version: Version::NOT_IP,
        offset: 0,
        transport_offset: 0,
        transport: 0,
        is_fragment: false,
        tos: 0,
        ttl: DEFAULT_TTL,
        dont_fragment: true,
        total_len: 0,
    };

    #[inline(always)]
    fn read<P: Packet + ?Sized>(packet: &P, frame: ethernet::Payload) -> Self {
        match frame.ether_type {
            EtherType::IPV4 => Self::read_v4(packet, frame.offset),
            EtherType::IPV6 => Self::read_v6(packet, frame.offset),
            _ => Self::ABSENT,
        }
    }

    #[inline(always)]
    fn read_v4<P: Packet + ?Sized>(packet: &P, offset: usize) -> Self {
        let Some(words) = packet.words(offset) else { return Self::ABSENT };
        let header = ipv4::parse(words);
        if !ipv4::is_sane(&header) {
            return Self::ABSENT;
        }
        Self {
            version: Version::V4,
            offset,
            transport_offset: offset + ipv4::header_len(&header),
            transport: header.proto,
            is_fragment: ipv4::is_fragment(&header),
            tos: header.tos,
            ttl: header.ttl,
            dont_fragment: ipv4::dont_fragment(&header),
            total_len: ipv4::total_len(&header),
        }
    }

    #[inline(always)]
    fn read_v6<P: Packet + ?Sized>(packet: &P, offset: usize) -> Self {
        let Some(bytes) = packet.read(offset) else { return Self::ABSENT };
        let start = ipv6::Start(bytes);
        if start.version() != 6 {
            return Self::ABSENT;
        }
        Self {
            version: Version::V6,
            offset,
            transport_offset: offset + ipv6::HEADER_LEN,
            transport: start.next_header(),
            // Where it is one, a fragment header comes next.
            is_fragment: false,
            tos: start.traffic_class(),
            ttl: start.hop_limit(),
            dont_fragment: true,
            total_len: ipv6::HEADER_LEN + start.payload_len(),
        }
    }

    /// See [`Packet::pending_sum`].
    #[inline(always)]
    fn pending_sum<P: Packet + ?Sized>(self, packet: &P) -> Option<u16> {
        let transport = partial::Transport {
            version: self.version,
            ip_offset: self.offset,
            protocol: self.transport,
            offset: self.transport_offset,
            len: (self.offset + self.total_len).checked_sub(self.transport_offset)?,
        };
        packet.pending_sum(transport)
    }

    #[inline(always)]
    fn is_present(self) -> bool {
        self.version != Version::NOT_IP
    }

    /// Whether the packet is, as a whole, a TCP segment that opens a connection.
    #[inline(always)]
    fn is_syn<P: Packet + ?Sized>(self, packet: &P) -> bool {
        self.transport == ipv4::PROTO_TCP
            && !self.is_fragment
            && self.transport_offset + tcp::HEADER_LEN <= self.offset + self.total_len
            && tcp::is_syn(packet, self.transport_offset)
    }

    /// Whether the header is one that this tunnel puts before packets: sent again, it would grow for ever.
    #[inline(always)]
    fn is_own<P: Packet + ?Sized>(self, packet: &P, tunnel: &Tunnel) -> bool {
        let offset = packet.settle(self.offset);
        match self.version {
            Version::V4 => {
                let ends = [tunnel.local.last(), tunnel.remote.last()];
                tunnel.local.is_v4() && packet.words(offset + ipv4::SOURCE_OFFSET) == Some(ends)
            }
            Version::V6 => {
                let at = |field| packet.words(offset + field).map(Address::v6);
                at(ipv6::SOURCE_OFFSET) == Some(tunnel.local)
                    && at(ipv6::DESTINATION_OFFSET) == Some(tunnel.remote)
            }
            _ => false,
        }
    }
}

impl Inner {
    #[inline(always)]
    fn find<P: Packet + ?Sized>(packet: &P, service: Service, id: TenantId) -> Result<Self, End> {
        let frame = ethernet::payload(packet, 0);

        let ip = InnerIp::read(packet, frame);
        if service == Service::L2 {
            let tag_len = if packet.stripped_vlan().is_some() { ethernet::VLAN_TAG_LEN } else { 0 };
            let ip_end = frame.offset + ip.total_len;
            let len = packet.behind(ip_end).map_or_else(|| packet.len(), |behind| ip_end + behind);
            return Ok(Self {
                payload: if ip.is_present() { Payload::EthernetIp } else { Payload::Ethernet },
                protocol: EtherType::ETHERNET,
                strip: 0,
                len: len + tag_len,
                padding: 0,
                tag_len,
                link_len: frame.offset + tag_len,
                ip,
            });
        }
        let tagged = packet.stripped_vlan().is_some() || frame.offset != ethernet::HEADER_LEN;
        if tagged || !matches!(frame.ether_type, EtherType::IPV4 | EtherType::IPV6) {
            return Err(PassReason::NotIp.into());
        }
        if !ip.is_present() {
            return Err(DropReason::InnerVersion.of(id).into());
        }
        if ip.ttl == 0 {
            return Err(PassReason::TtlExpired.into());
        }
        // A merged packet may be longer than its length field can say (BIG TCP leaves it 0).
        let merged = packet.segment_payload() > 0;
        let len = if merged { packet.len() - frame.offset } else { ip.total_len };
        let padding = match packet.behind(frame.offset + len) {
            Some(padding) if ip.transport_offset <= frame.offset + len => padding,
            _ => return Err(DropReason::InnerLength.of(id).into()),
        };
        Ok(Self {
            payload: Payload::Ip,
            protocol: frame.ether_type,
            strip: frame.offset,
            len,
            padding,
            tag_len: 0,
            link_len: 0,
            ip,
        })
    }
}

impl Inner {
    /// [`Packet::sum`] of its bytes on the wire.
    #[inline(always)]
    fn sum<P: Packet + ?Sized>(&self, packet: &P) -> Result<u16, End> {
        let pending = self.ip.pending_sum(packet);
        let len = match pending {
            Some(_) => self.ip.transport_offset - self.strip,
            None => self.len - self.tag_len,
        };
        let sum = packet.sum(self.strip, len).ok_or(PassReason::LeftToTc)?;
        let tag = packet.stripped_vlan().unwrap_or_default();
        let tag = if self.tag_len > 0 { tag } else { Be32::default() };
        let sum = u64::from(sum) + u64::from(pending.unwrap_or(0));
        Ok(checksum::fold(checksum::add_words(sum, &[tag])))
    }
}

/// Whether the outer packet, or each one a merged packet will be cut into, fits path and tunnel.
#[inline(always)]
fn fits<P: Packet + ?Sized>(packet: &P, tunnel: &Tunnel, inner: &Inner, overhead: usize) -> bool {
    let segment = packet.segment_payload();
    let len = if segment > 0 && inner.ip.is_present() {
        let transport_len = transport_header_len(packet, inner.ip);
        inner.ip.transport_offset - inner.strip + inner.tag_len + transport_len + segment
    } else {
        inner.len
    };
    let mtu = usize::from(tunnel.mtu);
    overhead + len <= tunnel.next_hop.mtu as usize && (mtu == 0 || len <= mtu + inner.link_len)
}

/// Length of the header that is repeated in front of each segment of a merged packet.
#[inline(always)]
fn transport_header_len<P: Packet + ?Sized>(packet: &P, ip: InnerIp) -> usize {
    const UDP_HEADER_LEN: usize = 8;
    if ip.transport != ipv4::PROTO_TCP {
        return UDP_HEADER_LEN;
    }
    match packet.read(ip.transport_offset + tcp::DATA_OFFSET) {
        Some([data_offset]) => usize::from(data_offset >> 4) * 4,
        None => tcp::MAX_HEADER_LEN,
    }
}

#[inline(always)]
fn headers<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    tunnel: &Tunnel,
    tenant: &Tenant,
    inner: &Inner,
    Outer { version, fields }: Outer,
) -> Result<Headers, End> {
    // Only a merged packet can be longer; each segment gets its own length when it is cut.
    let payload_len = fields.header_len() + inner.len;
    let ip = if version == Version::V6 {
        let end = inner.strip + inner.len - inner.tag_len;
        let hash = packet.flow_hash(inner.ip.version, inner.ip.offset, inner.strip..end);
        let [first, second] = ipv6::Outer {
            traffic_class: outer_tos(tunnel, inner),
            flow_label: hash >> 12,
            payload_len: u16::try_from(payload_len).unwrap_or(u16::MAX),
            hop_limit: tunnel.ttl.resolve(inner.ip.ttl),
        }
        .emit();
        [first, second, Be32::default()]
    } else {
        let dont_fragment = tunnel.df.resolve(inner.ip.dont_fragment);
        ipv4::Outer {
            tos: outer_tos(tunnel, inner),
            total_len: u16::try_from(ipv4::HEADER_LEN + payload_len).unwrap_or(u16::MAX),
            id: if dont_fragment { 0 } else { tables.ip_id() },
            dont_fragment,
            ttl: tunnel.ttl.resolve(inner.ip.ttl),
            src: tunnel.local.last(),
            dst: tunnel.remote.last(),
        }
        .emit()
    };
    let inner_sum = if fields.checksum() { inner.sum(packet)? } else { 0 };
    // Whether there is a key is asked once: another answer may come while the tenant's key changes.
    let key = if fields.key() { tenant.out_key.word() } else { Be32::default() };
    Ok(Headers { version, ip, gre: gre::emit(inner.protocol, fields), fields, key, inner_sum })
}

/// DSCP as the tunnel says; ECN copied from the inner packet in normal mode, zero in compatibility mode
/// (RFC 6040 section 4.1).
#[inline(always)]
fn outer_tos(tunnel: &Tunnel, inner: &Inner) -> u8 {
    let dscp = tunnel.tos.resolve(inner.ip.tos) & 0xfc;
    if tunnel.options.has(TunnelOptions::ECN_COMPATIBILITY) {
        return dscp;
    }
    dscp | Ecn::from_tos(inner.ip.tos).bits()
}
