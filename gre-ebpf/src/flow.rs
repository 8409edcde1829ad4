//! The hash of an inner flow, a call of its own: few packets need one.

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use gre_common::{flow, wire::address::Version};

use crate::packet::{TcPacket, XdpPacket};

// Functions of global linkage: the verifier goes through each once, whoever calls it.

/// [`flow::hash`] of a frame in the driver. `version` is the IP version as [`Version`] numbers it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn flow_of_frame(
    ctx: *mut xdp_md,
    version: u32,
    ip: u32,
    start: u32,
    end: u32,
) -> u32 {
    let ctx = XdpContext::new(ctx);
    let packet = XdpPacket::with_frags(&ctx);
    flow::hash(&packet, Version::from_number(version), ip as usize, start as usize..end as usize)
}

/// The same of a socket buffer.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn flow_of_buffer(
    skb: *mut __sk_buff,
    version: u32,
    ip: u32,
    start: u32,
    end: u32,
) -> u32 {
    let ctx = TcContext::new(skb);
    let packet = TcPacket::new(&ctx);
    flow::hash(&packet, Version::from_number(version), ip as usize, start as usize..end as usize)
}
