//! Which packets the kernel's IPsec policies are to judge.

use core::mem;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_xfrm_state},
    helpers::bpf_skb_get_xfrm_state,
    programs::TcContext,
};
use gre_common::{
    packet::Packet,
    tables::TunnelOptions,
    wire::{
        be32::Be32,
        ethernet::{self, EtherType},
        ipv4, ipv6,
    },
};

use crate::{maps::has_ipsec, packet::TcPacket};

/// Bits of [`Packet::excused`]. A call of its own, which the verifier goes through once; few tunnels are protected.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn excused(skb: *mut __sk_buff) -> u32 {
    if has_ipsec() && is_from_peer(skb) { TunnelOptions::IPSEC.bits() } else { 0 }
}

/// Whether the kernel has decrypted a packet by a security association with the packet's source address. The policy would ask for
/// more, but in transport mode this settles whose packet it is.
#[inline(always)]
fn is_from_peer(skb: *mut __sk_buff) -> bool {
    // SAFETY: zeros are a valid state.
    let mut state: bpf_xfrm_state = unsafe { mem::zeroed() };
    let len = size_of::<bpf_xfrm_state>() as u32;
    // SAFETY: the context is the one the kernel gave us; the helper writes `len` bytes to `state`.
    if unsafe { bpf_skb_get_xfrm_state(skb, 0, &raw mut state, len, 0) } != 0 {
        return false;
    }
    // SAFETY: both forms of the address are numbers, and the helper has filled the longer one.
    let peer = unsafe { state.__bindgen_anon_1.remote_ipv6 }.map(Be32::from_read);
    let ctx = TcContext::new(skb);
    let packet = TcPacket::new(&ctx);
    let frame = ethernet::payload(&packet, 0);
    match frame.ether_type {
        EtherType::IPV4 => packet.words(frame.offset + ipv4::SOURCE_OFFSET) == Some([peer[0]]),
        EtherType::IPV6 => packet.words(frame.offset + ipv6::SOURCE_OFFSET) == Some(peer),
        _ => false,
    }
}
