//! Answers who asks for a neighbour that is known, in calls of their own: few packets ask.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_RECOMPUTE_CSUM, xdp_md},
    btf_maps::PerCpuArray,
    helpers::{bpf_skb_change_tail, bpf_skb_store_bytes},
    macros::btf_map,
    programs::{TcContext, XdpContext},
};
use gre_common::{
    neighbour,
    packet::Packet,
    tables::{IfIndex, Neighbour, TenantId},
    wire::{
        arp::Request,
        be32::Be32,
        ethernet::{self, MacAddr},
        neighbour_discovery::{Advertisement, Solicitation},
    },
};

use crate::{
    maps::{Maps, PORT_TENANTS},
    packet::{TcPacket, XdpPacket},
    search,
};

/// Makes the answer of a frame that [is answered](neighbour::is_answered). False: what is left of the frame must be dropped.
#[inline(always)]
pub fn answer(ctx: &TcContext, TenantId(tenant): TenantId) -> bool {
    let skb = ctx.skb.skb;
    // No function has room for more.
    match known_in_buffer(skb, tenant) {
        UNKNOWN => false,
        PORT => match own_address(ctx) {
            Some(own) => reply(skb, own) == 0 || advertise(skb, own, 1) == 0,
            None => false,
        },
        known => reply(skb, known) == 0 || advertise(skb, known, 0) == 0,
    }
}

/// [`neighbour::is_answered`] of a socket buffer.
#[inline(always)]
pub fn is_answered_tc(ctx: &TcContext, TenantId(tenant): TenantId) -> bool {
    known_in_buffer(ctx.skb.skb, tenant) != UNKNOWN
}

/// The same of a frame in the driver.
#[inline(always)]
pub fn is_answered_xdp(ctx: &XdpContext, TenantId(tenant): TenantId) -> bool {
    known_in_frame(ctx.ctx, tenant) != UNKNOWN
}

/// The MAC address of the port where a frame has come in, in the form of [`Neighbour::bits`].
#[inline(always)]
fn own_address(ctx: &TcContext) -> Option<u64> {
    // SAFETY: the kernel rewrites this access to the socket buffer's own field.
    let port = IfIndex(unsafe { (*ctx.skb.skb).ifindex });
    search::find(&port, &PORT_TENANTS).map(|used| Neighbour::new(used.ends.src()).bits())
}

/// An answer in the making.
#[btf_map]
static ADVERTISEMENT: PerCpuArray<Advertisement, 1> = PerCpuArray::new();

/// Nobody who is known is asked for. No MAC address is this number.
const UNKNOWN: u64 = u64::MAX;
/// The port itself is asked for.
const PORT: u64 = Neighbour::PORT.bits();

// Functions of global linkage: the verifier goes through each once, whoever calls it.

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn known_in_frame(ctx: *mut xdp_md, tenant: u32) -> u64 {
    let ctx = XdpContext::new(ctx);
    known(&XdpPacket::with_frags(&ctx), tenant)
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn known_in_buffer(skb: *mut __sk_buff, tenant: u32) -> u64 {
    let ctx = TcContext::new(skb);
    known(&TcPacket::new(&ctx), tenant)
}

#[inline(always)]
fn known<P: Packet>(packet: &P, tenant: u32) -> u64 {
    neighbour::asked_for(packet, &Maps, TenantId(tenant)).map_or(UNKNOWN, Neighbour::bits)
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn reply(skb: *mut __sk_buff, known: u64) -> i64 {
    let ctx = TcContext::new(skb);
    let request = TcPacket::new(&ctx).read(0).and_then(|frame| Request::parse(&frame));
    let Some(request) = request else { return -1 };
    let reply = request.reply(mac(known));
    replace(&ctx, &reply.link, &reply.packet)
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn advertise(skb: *mut __sk_buff, known: u64, is_router: u32) -> i64 {
    let ctx = TcContext::new(skb);
    let Some(asked) = Solicitation::parse(&TcPacket::new(&ctx)) else { return -1 };
    // The stack has no room for it.
    let Some(told) = ADVERTISEMENT.get_ptr_mut(0) else { return -1 };
    // SAFETY: the value is this CPU's, and no other program of ours interrupts this one on it.
    let told = unsafe { &mut *told };
    *told = asked.advertisement(mac(known), is_router != 0);
    replace(&ctx, &told.link, &told.packet)
}

#[inline(always)]
fn mac(known: u64) -> MacAddr {
    Neighbour::from_bits(known).mac().unwrap_or_default()
}

/// Replaces the frame.
#[inline(always)]
fn replace<const N: usize>(
    ctx: &TcContext,
    link: &[u8; ethernet::HEADER_LEN],
    packet: &[Be32; N],
) -> i64 {
    const RECOMPUTE: u64 = BPF_F_RECOMPUTE_CSUM as u64;
    let skb = ctx.skb.skb;
    let (link_len, len) = (size_of_val(link) as u32, size_of_val(packet) as u32);
    // SAFETY: the context is the one the kernel gave us. The helpers read as many bytes as the arrays have, and check the ranges in
    // the packet. A device's checksum over it does not cover the Ethernet header.
    unsafe {
        if bpf_skb_change_tail(skb, link_len + len, 0) != 0 {
            return -1;
        }
        let (link, packet) = (link.as_ptr().cast(), packet.as_ptr().cast());
        bpf_skb_store_bytes(skb.cast(), 0, link, link_len, 0)
            | bpf_skb_store_bytes(skb.cast(), link_len, packet, len, RECOMPUTE)
    }
}
