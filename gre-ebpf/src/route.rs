//! The ways of tenants' packets, in calls of their own: few tenants have routes.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::bpf_skb_store_bytes,
    programs::{TcContext, XdpContext},
};
use gre_common::{
    route,
    tables::{IfIndex, TenantId},
};

use crate::{
    maps::{Maps, PORT_TENANTS},
    packet::{TcPacket, XdpPacket},
    search,
};

// Functions of global linkage: the verifier goes through each once, whoever calls it.

/// [`route::find`] for a frame in the driver, in the form of [`Via::bits`](gre_common::tables::Via::bits).
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn route_of_frame(ctx: *mut xdp_md, tenant: u32, ip: u32) -> u64 {
    let ctx = XdpContext::new(ctx);
    route::find(&XdpPacket::with_frags(&ctx), &Maps, TenantId(tenant), ip as usize).bits()
}

/// The same for a socket buffer.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn route_of_buffer(skb: *mut __sk_buff, tenant: u32, ip: u32) -> u64 {
    let ctx = TcContext::new(skb);
    route::find(&TcPacket::new(&ctx), &Maps, TenantId(tenant), ip as usize).bits()
}

/// Gives a frame to an l3 port the addresses that its station expects. What does not take them it drops.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn address_to_port(skb: *mut __sk_buff, port: u32) -> i64 {
    let Some(used) = search::find(&IfIndex(port), &PORT_TENANTS) else { return -1 };
    // A copy: the helper reads no more than one value of the map.
    let ends = used.ends;
    let len = size_of_val(&ends) as u32;
    // SAFETY: the helper reads as many bytes as there are, and checks the range in the packet.
    unsafe { bpf_skb_store_bytes(skb.cast(), 0, (&raw const ends).cast(), len, 0) }
}
