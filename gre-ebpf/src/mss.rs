//! Lowers the MSS option of TCP, in a call of its own: few packets open a connection.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_l4_csum_replace, bpf_skb_store_bytes},
    programs::TcContext,
};
use gre_common::{
    mss::{self, Syn},
    tables::{TenantId, TunnelId},
    wire::tcp,
};

use crate::{maps::Maps, packet::TcPacket};

/// Lowers the option of a SYN. Where the kernel refuses, the packet stays as it is.
#[inline(always)]
pub fn clamp(ctx: &TcContext, syn: &Syn) {
    clamp_mss(ctx.skb.skb, syn.tenant.0, syn.tunnel.0, syn.start as u32);
}

/// [`clamp`], of global linkage: the verifier goes through it once, whoever calls it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn clamp_mss(ctx: *mut __sk_buff, tenant: u32, tunnel: u32, start: u32) -> i64 {
    let (tenant, tunnel) = (TenantId(tenant), TunnelId(tunnel));
    let syn = Syn { tenant, tunnel, start: start as usize };
    let ctx = TcContext::new(ctx);
    let Some(change) = mss::clamp(&TcPacket::all_headers(&ctx), &Maps, &syn) else { return 0 };
    let [from, to] = change.summands().map(u64::from);
    let tcp = change.tcp as u32;
    let (value, checksum) = (tcp + change.offset as u32, tcp + tcp::CHECKSUM_OFFSET as u32);
    // A device's checksum over the packet stays right, for both changes cancel each other out; and a checksum that is to be
    // filled in later the kernel leaves alone.
    // SAFETY: the helpers read two bytes of `to`, and check the ranges in the packet.
    unsafe {
        let stored =
            bpf_skb_store_bytes(ctx.skb.skb.cast(), value, change.to.as_ptr().cast(), 2, 0);
        if stored != 0 {
            return stored;
        }
        bpf_l4_csum_replace(ctx.skb.skb, checksum, from, to, 2)
    }
}
