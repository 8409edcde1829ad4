//! Who encrypted a packet that the kernel has decrypted.

use core::mem;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_xfrm_state},
    helpers::bpf_skb_get_xfrm_state,
};
use gre_common::wire::{address::Address, be32::Be32};

const AF_INET: u16 = 2;

/// 1 where the kernel has decrypted a packet by a security association with the address of these words, else 0. A call of its
/// own, which is verified once.
///
/// The policy would ask for more, but in transport mode this settles whose packet it is: what the association
/// protects is the address that the packet says it comes from.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn was_encrypted_by(skb: *mut __sk_buff, a: u32, b: u32, c: u32, d: u32) -> u32 {
    // SAFETY: zeros are a valid state.
    let mut state: bpf_xfrm_state = unsafe { mem::zeroed() };
    let len = size_of::<bpf_xfrm_state>() as u32;
    // SAFETY: the context is the one the kernel gave us; the helper writes `len` bytes to `state`.
    if unsafe { bpf_skb_get_xfrm_state(skb, 0, &raw mut state, len, 0) } != 0 {
        return 0;
    }
    // SAFETY: both forms of the address are numbers, and the helper has filled the longer one.
    let peer = unsafe { state.__bindgen_anon_1.remote_ipv6 }.map(Be32::from_read);
    let peer = if state.family == AF_INET { Address::v4(peer[0]) } else { Address::v6(peer) };
    u32::from(peer == Address::v6([a, b, c, d].map(Be32::from_read)))
}
