//! The decision about a packet that enters at a tenant's port.

use crate::{
    packet::Packet,
    tables::{DfPolicy, HopState, IfIndex, NextHop, Service, Tables, Tenant, TenantId, Tunnel},
    verdict::{DropReason, End, PassReason, Verdict},
    wire::{
        be32::Be32,
        ecn::Ecn,
        ethernet::{self, EtherType},
        gre::{self, GreKey},
        ipv4, ipv6,
    },
};

/// Outer headers behind the Ethernet header, without key: IPv4, GRE.
pub const PLAIN_LEN: usize = ipv4::HEADER_LEN + gre::BASE_LEN;
/// The same with key.
pub const KEYED_LEN: usize = PLAIN_LEN + gre::FIELD_LEN;

/// How to turn a tenant's packet into a GRE packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap<'t> {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where the frame goes, and its outer Ethernet header.
    pub next_hop: &'t NextHop,
    /// The outer headers behind that, complete.
    pub headers: Headers,
    /// Bytes at the start of the frame that the outer headers replace: its Ethernet header for l3, none for l2.
    pub strip: usize,
    /// Bytes of the inner packet, with a VLAN tag that the device took out and that goes back in.
    pub inner_len: usize,
    /// Bytes of Ethernet padding behind the inner packet.
    pub padding: usize,
    /// What the inner packet is.
    pub payload: Payload,
}

impl Encap<'_> {
    /// Bytes of the tenant's frame, with a VLAN tag that the device took out.
    #[inline(always)]
    pub const fn frame_len(&self) -> usize {
        self.strip + self.inner_len + self.padding
    }
}

/// Outer headers: IPv4, GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// IPv4.
    pub ipv4: [Be32; ipv4::HEADER_WORDS],
    /// GRE, up to the key.
    pub gre: Be32,
    /// Whether there is a key.
    pub has_key: bool,
    /// The key; 0 where there is none.
    pub key: Be32,
}

impl Headers {
    /// Their length in bytes.
    #[inline(always)]
    pub const fn bytes(&self) -> usize {
        if self.has_key { KEYED_LEN } else { PLAIN_LEN }
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

/// Decides about a frame received on the port `ifindex`.
#[inline(always)]
pub fn encap<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    ifindex: IfIndex,
) -> Verdict<Encap<'t>> {
    plan(packet, tables, ifindex).into()
}

#[inline(always)]
fn plan<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    ifindex: IfIndex,
) -> Result<Encap<'t>, End> {
    let (id, tenant) = tables
        .port_tenant(ifindex)
        .and_then(|id| Some((id, tables.tenant(id)?)))
        .ok_or(PassReason::NoTenant)?;
    let tunnel = tables.tunnel(tenant.tunnel).ok_or(PassReason::NoTenant)?;
    let inner = Inner::find(packet, tenant.service, id)?;

    if tunnel.next_hop.state == HopState::NO_ROUTE {
        return Err(DropReason::NoRoute.of(id).into());
    }
    // The kernel finds a neighbour for IP packets only (`__bpf_redirect_neigh`, net/core/filter.c).
    if tunnel.next_hop.state == HopState::UNRESOLVED && inner.payload == Payload::Ethernet {
        return Err(DropReason::Unresolved.of(id).into());
    }
    let gre_len = gre::BASE_LEN + if has_key(tenant) { gre::FIELD_LEN } else { 0 };
    let outer_len = ipv4::HEADER_LEN + gre_len + inner.len;
    if !fits(packet, tunnel, &inner, outer_len) {
        return Err(DropReason::PacketTooBig.of(id).into());
    }

    Ok(Encap {
        tenant: id,
        headers: headers(tables, tunnel, tenant, &inner, outer_len),
        next_hop: &tunnel.next_hop,
        strip: inner.strip,
        inner_len: inner.len,
        padding: inner.padding,
        payload: inner.payload,
    })
}

#[inline(always)]
fn has_key(tenant: &Tenant) -> bool {
    Option::<GreKey>::from(tenant.out_key).is_some()
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
    /// False: the payload is not IP, and the rest means nothing.
    present: bool,
    /// Bytes from the start of the frame to the transport header.
    transport_offset: usize,
    transport: u8,
    tos: u8,
    ttl: u8,
    dont_fragment: bool,
    /// Length of the packet, in bytes.
    total_len: usize,
}

impl InnerIp {
    /// What the outer header of a packet that is not IP is like: no congestion control, not to be cut.
    const ABSENT: Self = Self {
        present: false,
        transport_offset: 0,
        transport: 0,
        tos: 0,
        ttl: 0,
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
            present: true,
            transport_offset: offset + ipv4::header_len(&header),
            transport: header.proto,
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
            present: true,
            transport_offset: offset + ipv6::HEADER_LEN,
            transport: start.next_header(),
            tos: start.traffic_class(),
            ttl: start.hop_limit(),
            dont_fragment: true,
            total_len: ipv6::HEADER_LEN + start.payload_len(),
        }
    }

    /// `field` of this header, for a policy that may inherit it.
    #[inline(always)]
    fn inheritable(self, field: u8) -> Option<u8> {
        self.present.then_some(field)
    }
}

impl Inner {
    #[inline(always)]
    fn find<P: Packet + ?Sized>(packet: &P, service: Service, id: TenantId) -> Result<Self, End> {
        let frame = ethernet::payload(packet, 0);
        let ip = InnerIp::read(packet, frame);
        if service == Service::L2 {
            let tag_len = if packet.has_stripped_vlan() { ethernet::VLAN_TAG_LEN } else { 0 };
            let ip_end = frame.offset + ip.total_len;
            let len = packet.behind(ip_end).map_or_else(|| packet.len(), |behind| ip_end + behind);
            return Ok(Self {
                payload: if ip.present { Payload::EthernetIp } else { Payload::Ethernet },
                protocol: EtherType::ETHERNET,
                strip: 0,
                len: len + tag_len,
                padding: 0,
                tag_len,
                link_len: frame.offset + tag_len,
                ip,
            });
        }
        let tagged = packet.has_stripped_vlan() || frame.offset != ethernet::HEADER_LEN;
        if tagged || !matches!(frame.ether_type, EtherType::IPV4 | EtherType::IPV6) {
            return Err(PassReason::NotIp.into());
        }
        if !ip.present {
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

/// Whether the outer packet, or each one a merged packet will be cut into, fits path and tunnel.
#[inline(always)]
fn fits<P: Packet + ?Sized>(packet: &P, tunnel: &Tunnel, inner: &Inner, outer_len: usize) -> bool {
    let segment = packet.segment_payload();
    let len = if segment > 0 && inner.ip.present {
        let transport_len = transport_header_len(packet, inner.ip);
        inner.ip.transport_offset - inner.strip + inner.tag_len + transport_len + segment
    } else {
        inner.len
    };
    let overhead = outer_len - inner.len;
    let mtu = usize::from(tunnel.mtu);
    overhead + len <= tunnel.next_hop.mtu as usize && (mtu == 0 || len <= mtu + inner.link_len)
}

/// Length of the header that is repeated in front of each segment of a merged packet.
#[inline(always)]
fn transport_header_len<P: Packet + ?Sized>(packet: &P, ip: InnerIp) -> usize {
    const UDP_HEADER_LEN: usize = 8;
    const TCP_MAX_HEADER_LEN: usize = 60;
    const TCP_DATA_OFFSET: usize = 12;
    if ip.transport != ipv4::PROTO_TCP {
        return UDP_HEADER_LEN;
    }
    match packet.read(ip.transport_offset + TCP_DATA_OFFSET) {
        Some([data_offset]) => usize::from(data_offset >> 4) * 4,
        None => TCP_MAX_HEADER_LEN,
    }
}

#[inline(always)]
fn headers<T: Tables>(
    tables: &T,
    tunnel: &Tunnel,
    tenant: &Tenant,
    inner: &Inner,
    outer_len: usize,
) -> Headers {
    let dont_fragment = match tunnel.df {
        DfPolicy::CLEAR => false,
        DfPolicy::COPY => inner.ip.dont_fragment,
        _ => true,
    };
    let ipv4 = ipv4::Outer {
        tos: outer_tos(tunnel, inner),
        // Only a merged packet can be longer; each segment gets its own length when it is cut.
        total_len: u16::try_from(outer_len).unwrap_or(u16::MAX),
        id: if dont_fragment { 0 } else { tables.ip_id() },
        dont_fragment,
        ttl: tunnel.ttl.resolve(inner.ip.inheritable(inner.ip.ttl)),
        src: tunnel.local,
        dst: tunnel.remote,
    }
    .emit();
    let has_key = has_key(tenant);
    let key = Option::<GreKey>::from(tenant.out_key).map_or(0, |GreKey(key)| key);
    Headers {
        ipv4,
        gre: gre::emit(inner.protocol, has_key),
        has_key,
        key: key.to_be_bytes().into(),
    }
}

/// DSCP as the tunnel says, ECN copied from the inner packet (RFC 6040 section 4.1, normal mode).
#[inline(always)]
fn outer_tos(tunnel: &Tunnel, inner: &Inner) -> u8 {
    let dscp = tunnel.tos.resolve(inner.ip.inheritable(inner.ip.tos));
    (dscp & 0xfc) | Ecn::from_tos(inner.ip.tos).bits()
}
