//! Apply a plan: make or take room, write headers.
//!
//! An error leaves a packet that must be dropped; it is half rewritten.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
        BPF_F_ADJ_ROOM_ENCAP_L4_GRE, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_F_RECOMPUTE_CSUM,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    bpf_f_adj_room_encap_l2,
    helpers::{
        bpf_check_mtu, bpf_csum_update, bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_vlan_pop,
        bpf_xdp_adjust_head, bpf_xdp_adjust_meta, bpf_xdp_adjust_tail,
    },
    programs::{TcContext, XdpContext},
};
use gre_common::{
    decap::{self, Decap},
    encap::{self, Encap},
    packet::Packet as _,
    tables::{Handover, IfIndex, Port},
    wire::{
        address::Version,
        be32::Be32,
        checksum,
        ethernet::{self, EtherType},
        ipv4, ipv6,
    },
};

use crate::{
    maps::cookie,
    packet::{
        TcPacket, read_link_header_tc, stripped_vlan, write_handover, write_link_header,
        write_link_header_tc, write_outer_tc, write_outer_xdp, write_xdp,
    },
};

/// The kernel refused a change.
pub struct Refused;

type Result<T = ()> = core::result::Result<T, Refused>;

#[inline(always)]
fn accepted(code: i64) -> Result {
    if code == 0 { Ok(()) } else { Err(Refused) }
}

/// Shortest Ethernet frame that `adjust_room` leaves behind: it wants an IPv4 header to remain. A frame
/// on a wire is longer (60 bytes), filled up with zeros.
const MIN_FRAME: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;

/// Makes room for metadata in front of a frame. Refused by drivers without metadata; the frame is unchanged then.
#[inline(always)]
pub fn reserve_handover(ctx: &XdpContext) -> Result {
    // SAFETY: the context is the one the kernel gave us.
    accepted(unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(size_of::<Handover>() as i32)) })
}

/// Whether the tenant's frame fits the port's device.
#[inline(always)]
pub fn fits(ctx: &XdpContext, plan: &Decap<'_>) -> bool {
    let link_len = match plan.payload {
        decap::Payload::Ethernet => 0,
        decap::Payload::Ip(_) => ethernet::HEADER_LEN,
    };
    let removed = (plan.strip - link_len + plan.padding) as i32;
    let mut mtu = 0;
    // SAFETY: the helper writes the device's MTU to `mtu`.
    unsafe {
        bpf_check_mtu(ctx.as_ptr(), plan.binding.port.ifindex.0, &raw mut mtu, -removed, 0) == 0
    }
}

/// Tells `uplink_tc` where a frame goes, in the room that [`reserve_handover`] made.
#[inline(always)]
pub fn hand_over(ctx: &XdpContext, uplink: IfIndex, port: &Port) -> Result {
    let handover = Handover { cookie: cookie(), uplink, port: port.ifindex };
    write_handover(ctx, handover).ok_or(Refused)
}

/// Turns a GRE frame in the driver into the tenant's frame.
#[inline(always)]
pub fn decap_xdp(ctx: &XdpContext, plan: &Decap<'_>) -> Result {
    if let Some(ecn) = plan.ecn.bits() {
        let mark = plan.inner_ip.with_ecn(ecn);
        let start = plan.inner_ip.offset;
        write_xdp(ctx, start, mark.start).ok_or(Refused)?;
        if plan.inner_ip.version == Version::V4 {
            write_xdp(ctx, start + ipv4::CHECKSUM_OFFSET, mark.checksum).ok_or(Refused)?;
        }
    }
    if plan.padding > 0 {
        // SAFETY: the context is the one the kernel gave us, here and below.
        accepted(unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(plan.padding as i32)) })?;
    }
    match plan.payload {
        decap::Payload::Ethernet => {
            // SAFETY: as above.
            accepted(unsafe { bpf_xdp_adjust_head(ctx.ctx, plan.strip as i32) })
        }
        decap::Payload::Ip(ether_type) => {
            let delta = plan.strip - ethernet::HEADER_LEN;
            // SAFETY: as above.
            accepted(unsafe { bpf_xdp_adjust_head(ctx.ctx, delta as i32) })?;
            write_link_header(ctx, plan.binding.port.ends, ether_type).ok_or(Refused)
        }
    }
}

/// Makes room for the outer headers in front of a tenant's frame. Refused where there is none; the frame is
/// unchanged then.
#[inline(always)]
pub fn reserve_headers(ctx: &XdpContext, plan: &Encap<'_>) -> Result {
    // SAFETY: the context is the one the kernel gave us.
    accepted(unsafe { bpf_xdp_adjust_head(ctx.ctx, -(room(plan) as i32)) })
}

/// Bytes that the outer headers add to a frame.
#[inline(always)]
pub const fn room(plan: &Encap<'_>) -> usize {
    ethernet::HEADER_LEN + plan.headers.bytes() - plan.strip
}

/// Writes the outer headers of a tenant's frame, in the room that [`reserve_headers`] made.
#[inline(always)]
pub fn encap_xdp(ctx: &XdpContext, plan: &Encap<'_>, sequence: Be32) -> Result {
    if plan.padding > 0 {
        // SAFETY: the context is the one the kernel gave us.
        accepted(unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(plan.padding as i32)) })?;
    }
    write_outer_xdp(ctx, plan, sequence).ok_or(Refused)
}

/// Turns a GRE packet, merged or not, into the tenant's.
#[inline(always)]
pub fn decap_tc(ctx: &TcContext, plan: &Decap<'_>) -> Result {
    if let Some(ecn) = plan.ecn.bits() {
        let mark = plan.inner_ip.with_ecn(ecn);
        let start = plan.inner_ip.offset;
        store(ctx, start, &mark.start)?;
        if plan.inner_ip.version == Version::V4 {
            store(ctx, start + ipv4::CHECKSUM_OFFSET, &mark.checksum)?;
        }
    }
    let strip = TcPacket::settled(ctx, plan.strip - pop_vlans(ctx)?);
    trim(ctx, plan.padding)?;
    if plan.payload == decap::Payload::Ethernet {
        pad(ctx, strip + MIN_FRAME)?;
    }
    // `adjust_room` removes bytes behind the outer Ethernet header, which the inner one then replaces.
    let (header, removed) = match plan.payload {
        decap::Payload::Ethernet => (TcPacket::new(ctx).read(strip).ok_or(Refused)?, strip),
        decap::Payload::Ip(ether_type) => {
            (plan.binding.port.ends.header(ether_type), strip - ethernet::HEADER_LEN)
        }
    };
    let appeared = announce(ctx, plan.underlay, plan.inner_ip.version)?;
    adjust_room(ctx, -(removed as i32 + appeared), 0)?;
    store_link(ctx, &header)
}

/// Has the kernel know that a packet of one IP version comes out of one of the other; it could not cut a merged
/// packet otherwise. Returns the bytes that appear behind the Ethernet header by that; they are fewer than none
/// where IPv4 comes out of IPv6.
///
/// `adjust_room` has flags for this since Linux 6.3 only (`BPF_F_ADJ_ROOM_DECAP_L3_IPV4`).
#[inline(always)]
fn announce(ctx: &TcContext, underlay: Version, inner: Version) -> Result<i32> {
    const LONGER: i32 = (ipv6::HEADER_LEN - ipv4::HEADER_LEN) as i32;
    let (ether_type, appeared) = match (underlay, inner) {
        // As IPv4 it may be short.
        (Version::V6, Version::V4 | Version::NOT_IP) => (EtherType::IPV4, -LONGER),
        (Version::V4, Version::V6) => (EtherType::IPV6, LONGER),
        _ => return Ok(0),
    };
    ctx.change_proto(ether_type.0.to_be(), 0).map_err(|_| Refused)?;
    Ok(appeared)
}

/// Puts the outer headers in front of a tenant's packet.
#[inline(always)]
pub fn encap_tc(ctx: &TcContext, plan: &Encap<'_>, sequence: Be32) -> Result {
    trim(ctx, plan.padding)?;
    let network_len = plan.headers.bytes();
    let outer_len = ethernet::HEADER_LEN + network_len;
    let (flags, outer_sum) = (outer_flags(plan), outer_sum(plan, sequence));
    match plan.payload {
        encap::Payload::Ip => {
            adjust_room(ctx, network_len as i32, flags)?;
            add_to_checksum(ctx, outer_sum);
        }
        encap::Payload::EthernetIp => {
            if let Some(tag) = stripped_vlan(ctx) {
                let inner = Tagged::take(ctx, tag)?;
                let room = outer_len + inner.tags_len();
                adjust_room(ctx, room as i32, flags | inner_ethernet(inner.len as u64))?;
                inner.put_back(ctx, outer_len)?;
                add_to_checksum(ctx, outer_sum);
            } else {
                let inner = read_link_header_tc(ctx).ok_or(Refused)?;
                adjust_room(ctx, outer_len as i32, flags | inner_ethernet(14))?;
                write_link_header_tc(ctx, outer_len, inner).ok_or(Refused)?;
                add_to_checksum(ctx, outer_sum + inner.sum());
            }
        }
        // `adjust_room` refuses what is not IP.
        encap::Payload::Ethernet => {
            if let Some(tag) = stripped_vlan(ctx) {
                let inner = Tagged::take(ctx, tag)?;
                push(ctx, outer_len + inner.tags_len())?;
                inner.put_back(ctx, outer_len)?;
            } else {
                push(ctx, outer_len)?;
            }
        }
    }
    write_outer_tc(ctx, plan, sequence).ok_or(Refused)
}

/// What tells the kernel of GRE, and of the IP version around it.
#[inline(always)]
fn outer_flags(plan: &Encap<'_>) -> u64 {
    let ip = match plan.headers.version {
        Version::V6 => BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
        _ => BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
    };
    u64::from(ip | BPF_F_ADJ_ROOM_ENCAP_L4_GRE)
}

/// What the kernel has not seen of a device's checksum over the packet. That of an IPv4 header is nought.
#[inline(always)]
fn outer_sum(plan: &Encap<'_>, sequence: Be32) -> u64 {
    let headers = &plan.headers;
    let mut sum = checksum::add_words(0, &[headers.gre, headers.key, sequence]);
    if headers.fields.checksum() {
        sum = checksum::add_words(sum, &[headers.checksum(sequence)]);
    }
    if headers.version == Version::V6 {
        let [first, second, _] = headers.ip;
        sum = checksum::add_words(sum, &[first, second]);
        sum = checksum::add_words(sum, &plan.tunnel.local.words());
        sum = checksum::add_words(sum, &plan.tunnel.remote.words());
    }
    sum
}

/// Adds what was written without the kernel's help to a device's checksum over the packet, where there is one.
#[inline(always)]
fn add_to_checksum(ctx: &TcContext, sum: u64) {
    // SAFETY: the context is the one the kernel gave us.
    let _ = unsafe { bpf_csum_update(ctx.skb.skb, u32::from(checksum::fold(sum))) };
}

/// The flags that tell the kernel of an Ethernet header of `len` bytes behind GRE.
#[inline(always)]
const fn inner_ethernet(len: u64) -> u64 {
    bpf_f_adj_room_encap_l2(len) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH as u64
}

/// An Ethernet header with its VLAN tags, none of which is in the frame any more.
struct Tagged {
    bytes: [u8; Self::LONGEST],
    len: usize,
}

impl Tagged {
    const ADDRESSES: usize = 12;
    const SHORTEST: usize = ethernet::HEADER_LEN + ethernet::VLAN_TAG_LEN;
    const LONGEST: usize = Self::SHORTEST + ethernet::VLAN_TAG_LEN;

    /// Takes the tags off: the first stands beside the frame, and when it is gone the kernel puts the next one there,
    /// out of the frame. Left there it would become a tag of the outer packet.
    #[inline(always)]
    fn take(ctx: &TcContext, first: [u8; ethernet::VLAN_TAG_LEN]) -> Result<Self> {
        pop_stripped_vlan(ctx)?;
        // Zeros are no tag. An `Option` would leave its bytes undefined, which the verifier refuses to see stored.
        let second = stripped_vlan(ctx).unwrap_or_default();
        pop_stripped_vlan(ctx)?;
        if stripped_vlan(ctx).is_some() {
            return Err(Refused);
        }
        let header: [u8; ethernet::HEADER_LEN] = TcPacket::new(ctx).read(0).ok_or(Refused)?;
        let (addresses, ether_type) = header.split_at(Self::ADDRESSES);
        let mut bytes = [0; Self::LONGEST];
        bytes[..12].copy_from_slice(addresses);
        bytes[12..16].copy_from_slice(&first);
        let len = if second == [0; ethernet::VLAN_TAG_LEN] {
            bytes[16..18].copy_from_slice(ether_type);
            Self::SHORTEST
        } else {
            bytes[16..20].copy_from_slice(&second);
            bytes[20..].copy_from_slice(ether_type);
            Self::LONGEST
        };
        Ok(Self { bytes, len })
    }

    /// Bytes that the frame lost, or never had.
    #[inline(always)]
    const fn tags_len(&self) -> usize {
        self.len - ethernet::HEADER_LEN
    }

    /// Writes the header where the frame begins.
    #[inline(always)]
    fn put_back(&self, ctx: &TcContext, offset: usize) -> Result {
        // The helper wants a length that the verifier knows.
        if self.len == Self::LONGEST {
            store(ctx, offset, &self.bytes)
        } else {
            store(ctx, offset, &self.bytes[..Self::SHORTEST])
        }
    }
}

/// Takes off the VLAN tag that stands beside the frame, if there is one.
#[inline(always)]
pub fn pop_stripped_vlan(ctx: &TcContext) -> Result {
    if stripped_vlan(ctx).is_none() {
        return Ok(());
    }
    // SAFETY: the context is the one the kernel gave us, here and below.
    accepted(unsafe { bpf_skb_vlan_pop(ctx.skb.skb) })
}

/// Takes all VLAN tags off. Where the one beside the frame was, the kernel puts the next one, out of the frame.
/// Returns by how many bytes that shortens the frame.
#[inline(always)]
fn pop_vlans(ctx: &TcContext) -> Result<usize> {
    let mut moved = 0;
    for _ in 0..ethernet::MAX_TAGS {
        pop_stripped_vlan(ctx)?;
        if stripped_vlan(ctx).is_some() {
            moved += ethernet::VLAN_TAG_LEN;
        }
    }
    pop_stripped_vlan(ctx)?;
    Ok(moved)
}

/// Cuts `padding` bytes off the end.
#[inline(always)]
fn trim(ctx: &TcContext, padding: usize) -> Result {
    if padding == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    accepted(unsafe { bpf_skb_change_tail(ctx.skb.skb, ctx.len() - padding as u32, 0) })
}

/// Fills up to `len` bytes with zeros.
#[inline(always)]
fn pad(ctx: &TcContext, len: usize) -> Result {
    if ctx.len() as usize >= len {
        return Ok(());
    }
    // SAFETY: as above.
    accepted(unsafe { bpf_skb_change_tail(ctx.skb.skb, len as u32, 0) })
}

/// Makes `len` bytes of room in front of the frame.
#[inline(always)]
fn push(ctx: &TcContext, len: usize) -> Result {
    // SAFETY: as above.
    accepted(unsafe { bpf_skb_change_head(ctx.skb.skb, len as u32, 0) })
}

/// Makes or takes room behind the Ethernet header. The segment size of a merged packet stays: the
/// decision has checked that segments fit.
#[inline(always)]
fn adjust_room(ctx: &TcContext, len: i32, flags: u64) -> Result {
    ctx.adjust_room(len, BPF_ADJ_ROOM_MAC, flags | u64::from(BPF_F_ADJ_ROOM_FIXED_GSO))
        .map_err(|_| Refused)
}

/// Writes the Ethernet header, which a device's checksum over the packet does not cover.
#[inline(always)]
fn store_link(ctx: &TcContext, header: &[u8]) -> Result {
    store_with(ctx, 0, header, 0)
}

/// Writes bytes behind the Ethernet header.
#[inline(always)]
fn store(ctx: &TcContext, offset: usize, bytes: &[u8]) -> Result {
    store_with(ctx, offset, bytes, u64::from(BPF_F_RECOMPUTE_CSUM))
}

#[inline(always)]
fn store_with(ctx: &TcContext, offset: usize, bytes: &[u8], flags: u64) -> Result {
    // SAFETY: the helper reads `bytes.len()` bytes at `bytes`, and checks the range in the packet.
    accepted(unsafe {
        aya_ebpf::helpers::bpf_skb_store_bytes(
            ctx.skb.skb.cast(),
            offset as u32,
            bytes.as_ptr().cast(),
            bytes.len() as u32,
            flags,
        )
    })
}
