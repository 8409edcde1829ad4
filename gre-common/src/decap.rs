//! The decision about a packet that arrives at an uplink.
//!
//! Rows of the table in the user's guide are decided in the order in which a reader of the packet meets
//! them: outer IP, GRE, binding, payload. Nothing is dropped before it is known to be addressed to a
//! tunnel of ours.

use crate::{
    guard::Start,
    mss::Syn,
    outer,
    packet::Packet,
    tables::{
        Binding, BindingKey, Ends6, IfIndex, KeyField, LocalKey, Tables, TenantId, TenantOptions,
        TunnelOptions,
    },
    verdict::{DropReason, End, Notice, PassReason, Verdict},
    wire::{
        address::{Address, Version},
        be32::Be32,
        checksum,
        ecn::{self, Ecn, Remark},
        ethernet::{self, EtherType},
        gre::{self, Malformed},
        ipv4::{self, Ipv4Hdr},
        ipv6, tcp,
    },
};

/// How to turn a GRE packet into what its tenant gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decap<'t> {
    /// Whose it is, where it goes, where it is counted. With [`TunnelOptions::SWITCHED`] a frame goes where
    /// [`from_tunnel`](crate::bridge::from_tunnel) says.
    pub binding: &'t Binding,
    /// Bytes before the inner packet: Ethernet, VLAN tags, IP, GRE.
    pub strip: usize,
    /// Bytes of the inner packet. What follows it in the frame is Ethernet padding.
    pub inner_len: usize,
    /// Bytes of padding behind the inner packet.
    pub padding: usize,
    /// What it came over.
    pub underlay: Version,
    /// Whether it must come after all that came before it; see [`Decap::is_in_order`].
    pub ordered: bool,
    /// What the inner packet is.
    pub payload: Payload,
    /// What the inner packet's ECN field becomes, if congestion on the way asks for a change.
    pub ecn: Remark,
    /// The IP header that has this field.
    pub inner_ip: InnerIp,
    /// Something unusual to be counted.
    pub notice: Option<Notice>,
    /// Whether it opens a TCP connection whose segments are to fit; see [`Decap::syn`].
    pub is_syn: bool,
}

impl Decap<'_> {
    /// What [`mss::clamp`](crate::mss::clamp) asks of the GRE packet, where a TCP connection is opened inside.
    #[inline(always)]
    pub const fn syn(&self) -> Syn {
        Syn { tenant: self.binding.tenant, tunnel: self.binding.tunnel, start: self.strip }
    }

    /// Whether the packet comes in the order that its tunnel asks for. `advance` is whether a number comes after all
    /// of the tenant's before it; then it is the last one.
    #[inline(always)]
    pub fn is_in_order<P: Packet + ?Sized>(
        &self,
        packet: &P,
        advance: impl FnOnce(TenantId, u32) -> bool,
    ) -> bool {
        if !self.ordered {
            return true;
        }
        packet.look_again();
        let number = packet.read(self.strip - gre::FIELD_LEN).map(u32::from_be_bytes);
        number.is_some_and(|number| advance(self.binding.tenant, number))
    }

    /// Bytes of the frame received.
    #[inline(always)]
    pub const fn frame_len(&self) -> usize {
        self.strip + self.inner_len + self.padding
    }
}

/// An inner IP header as far as congestion and TCP are concerned.
///
/// Not an `Option`: the compiler leaves the fields of `None` undefined and may all the same calculate
/// with them, which the verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerIp {
    /// Its version; [`Version::NOT_IP`] leaves the rest without meaning.
    pub version: Version,
    /// Where it begins, in bytes from the start of the frame received.
    pub offset: usize,
    /// Its first two bytes: version, header length or traffic class, TOS.
    start: [u8; 2],
    /// IPv4: its checksum.
    checksum: [u8; 2],
    /// Where a whole TCP segment begins behind it; 0: nowhere.
    tcp: usize,
}

/// Bytes of an IP header that a new ECN field changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcnMark {
    /// The first two bytes.
    pub start: [u8; 2],
    /// IPv4: the checksum, at [`ipv4::CHECKSUM_OFFSET`].
    pub checksum: [u8; 2],
}

impl InnerIp {
    const NOT_IP: Self =
        Self { version: Version::NOT_IP, offset: 0, start: [0; 2], checksum: [0; 2], tcp: 0 };

    #[inline(always)]
    fn v4<P: Packet + ?Sized>(packet: &P, offset: usize, header: &Ipv4Hdr) -> Self {
        let start = [header.vihl, header.tos];
        let header_len = ipv4::header_len(header);
        let is_tcp = header.proto == ipv4::PROTO_TCP
            && !ipv4::is_fragment(header)
            && header_len + tcp::HEADER_LEN <= ipv4::total_len(header);
        let tcp = packet.settle(if is_tcp { offset + header_len } else { 0 });
        Self { version: Version::V4, offset, start, checksum: header.check, tcp }
    }

    #[inline(always)]
    fn v6<P: Packet + ?Sized>(packet: &P, offset: usize, header: ipv6::Start) -> Self {
        let ipv6::Start([v, c, ..]) = header;
        let is_tcp =
            header.next_header() == ipv4::PROTO_TCP && header.payload_len() >= tcp::HEADER_LEN;
        let tcp = packet.settle(if is_tcp { offset + ipv6::HEADER_LEN } else { 0 });
        Self { version: Version::V6, offset, start: [v, c], checksum: [0; 2], tcp }
    }

    /// Whether the packet, which ends at `end`, opens a TCP connection.
    #[inline(always)]
    fn is_syn<P: Packet + ?Sized>(self, packet: &P, end: usize) -> bool {
        self.tcp != 0 && self.tcp + tcp::HEADER_LEN <= end && tcp::is_syn(packet, self.tcp)
    }

    #[inline(always)]
    fn ecn(self) -> Ecn {
        let [_, second] = self.start;
        Ecn::from_tos(if self.version == Version::V6 { second >> 4 } else { second })
    }

    /// The bytes that make the ECN field these two bits.
    #[inline(always)]
    pub fn with_ecn(self, ecn: u8) -> EcnMark {
        let [first, second] = self.start;
        let start = if self.version == Version::V6 {
            [first, (second & 0xcf) | (ecn << 4)]
        } else {
            [first, (second & 0xfc) | ecn]
        };
        let [old, before, after] = [self.checksum, self.start, start].map(u16::from_be_bytes);
        EcnMark { start, checksum: checksum::update(old, before, after).to_be_bytes() }
    }
}

/// What an inner packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An Ethernet frame.
    Ethernet,
    /// An IP packet, which needs an Ethernet header of this type.
    Ip(EtherType),
}

/// Decides about a frame received on an uplink.
#[inline(always)]
pub fn decap<'t, P: Packet + ?Sized, T: Tables>(packet: &P, tables: &'t T) -> Verdict<Decap<'t>> {
    plan(packet, tables).into()
}

#[inline(always)]
fn plan<'t, P: Packet + ?Sized, T: Tables>(packet: &P, tables: &'t T) -> Result<Decap<'t>, End> {
    let frame = ethernet::payload(packet, 0);
    let arrival = match frame.ether_type {
        EtherType::IPV4 => over_ipv4(packet, tables, packet.settle(frame.offset))?,
        EtherType::IPV6 => over_ipv6(packet, tables, packet.settle(frame.offset))?,
        _ => return Err(PassReason::NotIp.into()),
    };
    let Arrival { binding, gre, gre_offset, end, .. } = arrival;
    let underlay = arrival.source.version.settled(packet);
    let id = binding.tenant;
    if binding.asks(packet, TunnelOptions::IPSEC) && !packet.excused().has(TunnelOptions::IPSEC) {
        return Err(PassReason::Ipsec.into());
    }
    // Whoever merged packets has verified each one's checksum, and left that of the first.
    if gre.fields.checksum() && packet.segment_payload() == 0 {
        match packet.sum(gre_offset, end - gre_offset) {
            None => return Err(PassReason::LeftToTc.into()),
            Some(checksum::SOUND) => {}
            Some(_) => return Err(DropReason::BadChecksum.of(id).into()),
        }
    }
    let strip = packet.settle(gre_offset + gre.len);
    let inner = Inner { offset: strip, end };
    let is_l2 = binding.asks(packet, TunnelOptions::ETHERNET);
    let payload = payload_of(is_l2, gre.protocol).map_err(|error| match error {
        PayloadError::Control => End::from(PassReason::ControlPayload),
        PayloadError::WrongService => inner.unless_question(packet, DropReason::WrongService, id),
        PayloadError::Unknown => DropReason::UnknownPayload.of(id).into(),
    })?;
    let ordered = binding.asks(packet, TunnelOptions::SEQUENCE);
    if ordered && !gre.fields.sequence() {
        return Err(DropReason::OutOfSequence.of(id).into());
    }
    let inner_ip = match payload {
        Payload::Ethernet => inner.ip_in_ethernet(packet),
        Payload::Ip(ether_type) => inner.ip(packet, ether_type, underlay, arrival.source),
    }
    .map_err(|reason| match reason {
        DropReason::Loop => inner.unless_question(packet, reason, id),
        _ => reason.of(id).into(),
    })?;
    if binding.asks(packet, TunnelOptions::SOURCES) {
        let options = tables.tenant(id).map_or(TenantOptions::NONE, |tenant| tenant.options);
        let start = Start { offset: strip, is_frame: is_l2 };
        if !packet.is_allowed(tables, id, options, start) {
            return Err(DropReason::Source.of(id).into());
        }
    }
    let (ecn, notice) =
        congestion(inner_ip, arrival.tos).map_err(|reason| End::from(reason.of(id)))?;

    if binding.port.ifindex == IfIndex::NONE {
        return Err(DropReason::NoPort.of(id).into());
    }
    let clamped = !binding.asks(packet, TunnelOptions::KEEP_MSS);
    Ok(Decap {
        is_syn: packet.forget(u32::from(clamped && inner_ip.is_syn(packet, end))) != 0,
        binding,
        strip,
        inner_len: end - strip,
        padding: arrival.padding,
        underlay,
        ordered,
        payload,
        ecn: ecn.settled(packet),
        inner_ip,
        notice: (packet.forget(u32::from(notice.is_some())) != 0).then_some(Notice::EcnMismatch),
    })
}

/// A GRE packet that is bound to a tenant.
struct Arrival<'t> {
    binding: &'t Binding,
    gre: gre::Header,
    gre_offset: usize,
    /// Where the outer packet ends; the frame may be longer.
    end: usize,
    /// Bytes behind that.
    padding: usize,
    tos: u8,
    source: Source,
}

/// The outer source address.
#[derive(Clone, Copy)]
struct Source {
    version: Version,
    /// IPv4: the address.
    v4: Be32,
    /// IPv6: where it stands.
    v6_offset: usize,
}

#[inline(always)]
fn over_ipv4<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    offset: usize,
) -> Result<Arrival<'t>, End> {
    let outer = outer::v4(packet, offset)?;
    let header = &outer.header;
    let (local, remote) = (header.dst_addr.into(), header.src_addr.into());
    let ours = |end| if_local(tables, &Address::v4(local), end);
    if ipv4::is_fragment(header) {
        return Err(ours(PassReason::Fragment.into()));
    }
    let padding = outer.check(packet).map_err(|reason| ours(reason.unattributed().into()))?;
    let gre_offset = packet.settle(outer.gre_offset());
    let gre = gre::parse(packet, gre_offset, outer.end - gre_offset)
        .map_err(|malformed| ours(malformed.into()))?;
    let key = gre.key.into();
    let Some(binding) = tables.binding(&BindingKey::v4(local, remote, key)) else {
        return Err(unbound(tables, &Address::v4(local), key));
    };
    let source = Source { version: Version::V4, v4: remote, v6_offset: packet.settle(0) };
    Ok(Arrival { binding, gre, gre_offset, end: outer.end, padding, tos: header.tos, source })
}

#[inline(always)]
fn over_ipv6<'t, P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &'t T,
    offset: usize,
) -> Result<Arrival<'t>, End> {
    let outer = outer::v6(packet, offset)?;
    let ours = |end| if_local(tables, &outer.local, end);
    if outer.is_fragment {
        return Err(ours(PassReason::Fragment.into()));
    }
    if !outer.is_plain {
        return Err(ours(PassReason::ExtensionHeaders.into()));
    }
    let padding = packet
        .behind(outer.end)
        .filter(|_| outer.gre_offset <= outer.end)
        .ok_or_else(|| ours(DropReason::Truncated.unattributed().into()))?;
    let gre_offset = packet.settle(outer.gre_offset);
    let gre = gre::parse(packet, gre_offset, outer.end - gre_offset)
        .map_err(|malformed| ours(malformed.into()))?;
    let key = gre.key.into();
    let bound = tables
        .ends6(&Ends6::new(outer.local, outer.remote))
        .and_then(|tunnel| tables.binding(&BindingKey::v6(tunnel, key)));
    let Some(binding) = bound else {
        // Not an address on any wire (RFC 4291 section 2.5.5.2), but it would be taken for that of an IPv4 tunnel.
        if outer.local.is_v4() {
            return Err(PassReason::NotLocal.into());
        }
        return Err(unbound(tables, &outer.local, key));
    };
    let v6_offset = packet.settle(offset + ipv6::SOURCE_OFFSET);
    let source = Source { version: Version::V6, v4: Be32::default(), v6_offset };
    Ok(Arrival {
        binding,
        gre,
        gre_offset,
        end: outer.end,
        padding,
        tos: outer.traffic_class,
        source,
    })
}

impl From<Malformed> for End {
    #[inline(always)]
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Pptp => PassReason::Pptp.into(),
            Malformed::Truncated => DropReason::Truncated.unattributed().into(),
            Malformed::Version => DropReason::UnknownVersion.unattributed().into(),
            Malformed::ReservedBits => DropReason::ReservedBits.unattributed().into(),
        }
    }
}

/// `end`, if the packet is addressed to a tunnel of ours; else it is none of our business.
#[inline(always)]
fn if_local<T: Tables>(tables: &T, address: &Address, end: End) -> End {
    if tables.local(address).is_some() { end } else { PassReason::NotLocal.into() }
}

/// What to do with a well-formed packet that matches no binding.
#[inline(always)]
fn unbound<T: Tables>(tables: &T, address: &Address, key: KeyField) -> End {
    let Some(local) = tables.local(address) else {
        return PassReason::NotLocal.into();
    };
    if let Some(tenant) = tables.local_key(&LocalKey { local, key }) {
        return DropReason::WrongRemote.of(tenant).into();
    }
    if tables.strict() {
        return DropReason::NoBinding.unattributed().into();
    }
    PassReason::NoBinding.into()
}

enum PayloadError {
    Control,
    WrongService,
    Unknown,
}

/// What a GRE payload type means to a tenant.
#[inline(always)]
fn payload_of(is_l2: bool, protocol: EtherType) -> Result<Payload, PayloadError> {
    let (payload, of_l2) = match protocol {
        EtherType::ETHERNET => (Payload::Ethernet, true),
        EtherType::IPV4 | EtherType::IPV6 => (Payload::Ip(protocol), false),
        other if gre::is_control(other) => return Err(PayloadError::Control),
        _ => return Err(PayloadError::Unknown),
    };
    if is_l2 == of_l2 { Ok(payload) } else { Err(PayloadError::WrongService) }
}

/// The bytes of the inner packet, in the frame.
struct Inner {
    offset: usize,
    end: usize,
}

impl Inner {
    /// A drop, unless this is GRE of type 0 inside IP: a keepalive, by which the other end asks for the inner packet to be
    /// sent back to it. Whether it may be, whoever answers finds out.
    #[inline(always)]
    fn unless_question<P: Packet + ?Sized>(
        &self,
        packet: &P,
        reason: DropReason,
        tenant: TenantId,
    ) -> End {
        let begin = match packet.read(self.offset) {
            Some([0x45, _, _, _, _, _, _, _, _, ipv4::PROTO_GRE]) => ipv4::HEADER_LEN,
            Some([first, _, _, _, _, _, ipv4::PROTO_GRE, ..]) if first >> 4 == 6 => {
                ipv6::HEADER_LEN
            }
            _ => return reason.of(tenant).into(),
        };
        match packet.read(self.offset + begin) {
            Some([_, _, 0, 0]) if self.offset + begin + gre::BASE_LEN <= self.end => {
                PassReason::Keepalive.into()
            }
            _ => reason.of(tenant).into(),
        }
    }

    /// Checks the IP packet of an l3 tenant. The outer source is where a loop would lead.
    #[inline(always)]
    fn ip<P: Packet + ?Sized>(
        &self,
        packet: &P,
        ether_type: EtherType,
        underlay: Version,
        source: Source,
    ) -> Result<InnerIp, DropReason> {
        let room = self.end - self.offset;
        if ether_type == EtherType::IPV6 {
            if room < ipv6::HEADER_LEN {
                return Err(DropReason::InnerLength);
            }
            let start = ipv6::Start(packet.read(self.offset).ok_or(DropReason::InnerLength)?);
            if start.version() != 6 {
                return Err(DropReason::InnerVersion);
            }
            if ipv6::HEADER_LEN + start.payload_len() > room {
                return Err(DropReason::InnerLength);
            }
            if underlay == Version::V6 {
                let to = packet.words::<4>(self.offset + ipv6::DESTINATION_OFFSET);
                if to == packet.words::<4>(source.v6_offset) {
                    return Err(DropReason::Loop);
                }
            }
            return Ok(InnerIp::v6(packet, self.offset, start));
        }
        if room < ipv4::HEADER_LEN {
            return Err(DropReason::InnerLength);
        }
        let header = ipv4::parse(packet.words(self.offset).ok_or(DropReason::InnerLength)?);
        if header.version() != 4 {
            return Err(DropReason::InnerVersion);
        }
        let total_len = ipv4::total_len(&header);
        let header_len = ipv4::header_len(&header);
        if total_len > room || header_len > total_len || header_len < ipv4::HEADER_LEN {
            return Err(DropReason::InnerLength);
        }
        if underlay == Version::V4 && Be32::from(header.dst_addr) == source.v4 {
            return Err(DropReason::Loop);
        }
        Ok(InnerIp::v4(packet, self.offset, &header))
    }

    /// Finds an IP header in the Ethernet frame of an l2 tenant. What it says is the tenant's business:
    /// a frame without one, or with a broken one, is delivered as it is.
    #[inline(always)]
    fn ip_in_ethernet<P: Packet + ?Sized>(&self, packet: &P) -> Result<InnerIp, DropReason> {
        if self.end - self.offset < ethernet::HEADER_LEN {
            return Err(DropReason::InnerLength);
        }
        let frame = ethernet::payload(packet, self.offset);
        if frame.ether_type == EtherType::IPV4 && frame.offset + ipv4::HEADER_LEN <= self.end {
            if let Some(words) = packet.words(frame.offset) {
                let header = ipv4::parse(words);
                if ipv4::is_sane(&header) {
                    return Ok(InnerIp::v4(packet, frame.offset, &header));
                }
            }
        }
        if frame.ether_type == EtherType::IPV6 && frame.offset + ipv6::HEADER_LEN <= self.end {
            if let Some(bytes) = packet.read(frame.offset) {
                let start = ipv6::Start(bytes);
                if start.version() == 6 {
                    return Ok(InnerIp::v6(packet, frame.offset, start));
                }
            }
        }
        Ok(InnerIp::NOT_IP)
    }
}

/// Combines the ECN fields of both headers (RFC 6040 section 4.2).
#[inline(always)]
fn congestion(inner: InnerIp, outer_tos: u8) -> Result<(Remark, Option<Notice>), DropReason> {
    if inner.version == Version::NOT_IP {
        return Ok((Remark::NONE, None));
    }
    match ecn::decapsulate(inner.ecn(), Ecn::from_tos(outer_tos)) {
        ecn::Egress::Keep => Ok((Remark::NONE, None)),
        ecn::Egress::KeepAndNote => Ok((Remark::NONE, Some(Notice::EcnMismatch))),
        ecn::Egress::Set(ecn) => Ok((Remark::to(ecn), None)),
        ecn::Egress::Drop => Err(DropReason::Ecn),
    }
}
