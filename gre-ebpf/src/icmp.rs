//! Tells senders what fits, in a call of its own: few packets are too big.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_csum_update, bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_store_bytes},
    programs::TcContext,
};
use gre_common::{
    packet::Packet as _,
    tables::{Rate, TenantId, TunnelId},
    too_big::TooBig,
    wire::{address::Version, be32::Be32, checksum},
};

use crate::{
    maps::{ICMP_PACE, Maps},
    pace,
    packet::TcPacket,
};

/// Makes the answer to its sender of a tenant's packet that does not fit a tunnel. False: there is none, and what is left of the packet must be
/// dropped.
#[inline(always)]
pub fn answer(ctx: &TcContext, TenantId(tenant): TenantId, TunnelId(tunnel): TunnelId) -> bool {
    answer_too_big(ctx.skb.skb, tenant, tunnel) == 0
}

/// [`answer`], of global linkage: the verifier goes through it once.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn answer_too_big(ctx: *mut __sk_buff, tenant: u32, tunnel: u32) -> i64 {
    let ctx = TcContext::new(ctx);
    match make(&ctx, TenantId(tenant), TunnelId(tunnel)) {
        Some(()) => 0,
        None => -1,
    }
}

#[inline(always)]
fn make(ctx: &TcContext, tenant: TenantId, tunnel: TunnelId) -> Option<()> {
    let packet = TcPacket::all_headers(ctx);
    let too_big = TooBig::about(&packet, &Maps, tenant, tunnel)?;
    let pace = ICMP_PACE.get_ptr_mut(too_big.tenant.0)?;
    // SAFETY: a value of the map, aligned.
    if !unsafe { pace::allows(pace, Rate::TELL) } {
        return None;
    }
    let sum = packet.sum(too_big.link_len, too_big.quoted)?;
    let link = too_big.link(&packet)?;
    if too_big.version == Version::V6 {
        let headers = too_big.headers_v6(&packet, sum)?;
        put_before(ctx, &too_big, &link, &headers)
    } else {
        let headers = too_big.headers_v4(&packet, sum)?;
        put_before(ctx, &too_big, &link, &headers)
    }
}

/// Cuts the packet to what is quoted, and puts headers before it.
#[inline(always)]
fn put_before<const N: usize>(
    ctx: &TcContext,
    too_big: &TooBig,
    link: &[u8],
    headers: &[Be32; N],
) -> Option<()> {
    let room = size_of_val(headers) as u32;
    let skb = ctx.skb.skb;
    // SAFETY: the context is the one the kernel gave us. The helpers read as many bytes as the arrays have, and check the ranges
    // in the packet.
    let refused = unsafe {
        // A merged packet is none any more after this.
        let cut = bpf_skb_change_tail(skb, (too_big.link_len + too_big.quoted) as u32, 0);
        if cut != 0 || bpf_skb_change_head(skb, room, 0) != 0 {
            return None;
        }
        let (to, from) = (link.len() as u32, link.as_ptr().cast());
        let linked = bpf_skb_store_bytes(skb.cast(), 0, from, to, 0);
        let start = too_big.link_len as u32;
        linked | bpf_skb_store_bytes(skb.cast(), start, headers.as_ptr().cast(), room, 0)
    };
    if refused != 0 {
        return None;
    }
    // What the kernel has not seen of a device's checksum over the packet.
    let sum = checksum::fold(checksum::add_words(0, headers));
    // SAFETY: as above.
    let _ = unsafe { bpf_csum_update(skb, u32::from(sum)) };
    Some(())
}
