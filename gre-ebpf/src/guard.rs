//! From whom tenants' packets may come, in calls of their own: few tenants ask.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use gre_common::{
    guard::{self, Start},
    packet::Packet,
    tables::{TenantId, TenantOptions},
};

use crate::{
    maps::Maps,
    packet::{TcPacket, XdpPacket},
};

// Functions of global linkage: the verifier goes through each once, whoever calls it.

/// [`guard::is_allowed`] for a frame in the driver.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn frame_is_allowed(
    ctx: *mut xdp_md,
    tenant: u32,
    options: u32,
    offset: u32,
    is_frame: u32,
) -> u32 {
    let ctx = XdpContext::new(ctx);
    is_allowed(&XdpPacket::with_frags(&ctx), tenant, options, offset, is_frame)
}

/// The same for a socket buffer.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn buffer_is_allowed(
    skb: *mut __sk_buff,
    tenant: u32,
    options: u32,
    offset: u32,
    is_frame: u32,
) -> u32 {
    let ctx = TcContext::new(skb);
    is_allowed(&TcPacket::new(&ctx), tenant, options, offset, is_frame)
}

#[inline(always)]
fn is_allowed<P: Packet>(packet: &P, tenant: u32, options: u32, offset: u32, is_frame: u32) -> u32 {
    let start = Start { offset: offset as usize, is_frame: is_frame != 0 };
    let options = TenantOptions::from_bits(options);
    u32::from(guard::is_allowed(packet, &Maps, TenantId(tenant), options, start))
}
