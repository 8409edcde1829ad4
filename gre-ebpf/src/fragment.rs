//! Hands packets that do not fit to the slow path, which cuts them, in a call of its own: few packets are too big.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_CURRENT_CPU},
    btf_maps::PerfEventByteArray,
    helpers::bpf_perf_event_output,
    macros::btf_map,
    programs::TcContext,
};
use gre_common::{
    fragment,
    packet::Packet as _,
    tables::{HandedUp, IfIndex, Rate, TenantId},
};

use crate::{maps::FRAGMENTED, pace, packet::TcPacket};

/// Frames for the slow path, behind a [`HandedUp`] each: a ring for each CPU. Without a daemon there is none.
#[btf_map]
pub static TO_FRAGMENT: PerfEventByteArray = PerfEventByteArray::new();

/// Hands a packet up. False: it may not be cut, there is nobody to do so, or he has enough to do.
#[inline(always)]
pub fn hand_up(ctx: &TcContext, tenant: TenantId) -> bool {
    hand_up_to_fragment(ctx.skb.skb, tenant.0) == 0
}

/// [`hand_up`], of global linkage: the verifier goes through it once.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn hand_up_to_fragment(ctx: *mut __sk_buff, tenant: u32) -> i64 {
    let ctx = TcContext::new(ctx);
    let packet = TcPacket::new(&ctx);
    let len = packet.len();
    if len > HandedUp::MAX_LEN || !fragment::is_allowed(&packet) {
        return -1;
    }
    let Some(fragmented) = FRAGMENTED.get_ptr_mut(tenant) else { return -1 };
    // SAFETY: a value of the map; userspace leaves this part of it alone.
    if !unsafe { pace::allows(&raw mut (*fragmented).pace, Rate::FRAGMENT) } {
        return -1;
    }
    // SAFETY: the kernel rewrites this access to the socket buffer's own field.
    let port = IfIndex(unsafe { (*ctx.skb.skb).ifindex });
    let vlan = packet.stripped_vlan().unwrap_or_default();
    let mut note = HandedUp { tenant: TenantId(tenant), port, vlan, len: len as u32 };
    let flags = (len as u64) << 32 | u64::from(BPF_F_CURRENT_CPU as u32);
    // SAFETY: the helper reads the note, and as many bytes of the packet as the flags say, if it has them.
    unsafe {
        bpf_perf_event_output(
            ctx.skb.skb.cast(),
            (&raw const TO_FRAGMENT).cast_mut().cast(),
            flags,
            (&raw mut note).cast(),
            size_of_val(&note) as u64,
        )
    }
}
