//! Where stations are: found, and learned, in calls of their own.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_NOEXIST, xdp_md},
    helpers::bpf_ktime_get_coarse_ns,
    programs::{TcContext, XdpContext},
};
use gre_common::{
    bridge,
    packet::Packet,
    tables::{Binding, FDB_LEARNED_MAX, FdbEntry, FdbKey, TenantId, TunnelId, TunnelOptions, Via},
    verdict::{DropReason, Notice},
};

use crate::{
    count,
    flood::is_device,
    maps::{FDB, FDB_LEARNED, Maps, flood_device},
    packet::{TcPacket, XdpPacket},
};

/// What [`frame_via`] says of a frame that is to go to several, where there is no device for that.
const NO_DEVICE: i64 = -1;
/// What it says of one whose destination no route leads to.
const UNREACHABLE: i64 = -2;
/// What it says of one that would go back.
const NOWHERE: i64 = -3;

/// Nanoseconds for which a station that is heard again is not written down again: the entry is one for all CPUs.
const HEARD_LATELY: u64 = 1_000_000_000;

/// Where a station is, as far as is believed now.
#[inline(always)]
pub fn find(key: &FdbKey) -> Via {
    // A copy: what a pointer is taken of is kept in memory from the beginning.
    let key = *key;
    Via::from_bits(station_via(&raw const key))
}

/// Learns that the station which sent the frame at `offset` of a socket buffer is there.
#[inline(always)]
pub fn learn_tc(ctx: &TcContext, offset: usize, TenantId(tenant): TenantId, via: Via) {
    learn_from_buffer(ctx.skb.skb, offset as u32, tenant, via.bits());
}

/// Learns where the station is that sent what a tunnel has brought, and finds where the frame goes; why it is to be
/// dropped otherwise. Only for a binding with some of [`TunnelOptions::NETWORK`].
#[inline(always)]
pub fn receive_tc(ctx: &TcContext, offset: usize, binding: &Binding) -> Result<Via, DropReason> {
    let (tenant, tunnel) = (binding.tenant.0, binding.tunnel.0);
    let options = binding.options.bits();
    match frame_via(ctx.skb.skb, offset as u32, tenant, tunnel, options) {
        NO_DEVICE => Err(DropReason::RedirectFailed),
        UNREACHABLE => Err(DropReason::Unreachable),
        ..0 => Err(DropReason::SplitHorizon),
        via => Ok(Via::from_bits(via.cast_unsigned())),
    }
}

/// The same of a frame in the driver.
#[inline(always)]
pub fn learn_xdp(ctx: &XdpContext, offset: usize, TenantId(tenant): TenantId, via: Via) {
    learn_from_frame(ctx.ctx, offset as u32, tenant, via.bits());
}

// Functions of global linkage: the verifier goes through each once, whoever calls it.

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn station_via(key: *const FdbKey) -> u64 {
    // SAFETY: who calls it has the key, and the verifier sees to it.
    let Some(&key) = (unsafe { key.as_ref() }) else { return 0 };
    // Linux 6.1 looks up no key that is another function's.
    // SAFETY: both numbers are written whole, and the entry is freed after an RCU grace period at the soonest.
    let Some(entry) = (unsafe { FDB.get(key) }) else { return 0 };
    entry.via_at(now()).bits()
}

/// [`Via::NONE`] for the only port; a negative number is why the frame is to be dropped.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn frame_via(
    ctx: *mut __sk_buff,
    offset: u32,
    tenant: u32,
    tunnel: u32,
    options: u32,
) -> i64 {
    let options = TunnelOptions::from_bits(options);
    if options.has(TunnelOptions::LEARN) {
        learn_from_buffer(ctx, offset, tenant, Via::tunnel(TunnelId(tunnel)).bits());
    }
    if !options.has(TunnelOptions::SWITCHED) {
        return 0;
    }
    let ctx = TcContext::new(ctx);
    let (packet, tenant) = (TcPacket::new(&ctx), TenantId(tenant));
    let is_l2 = options.has(TunnelOptions::ETHERNET);
    match bridge::from_tunnel(&packet, &Maps, tenant, is_l2, offset as usize) {
        Ok(via) if via.to_members().is_some() && !is_device(&ctx, flood_device()) => NO_DEVICE,
        Ok(via) => via.bits().cast_signed(),
        Err(DropReason::Unreachable) => UNREACHABLE,
        Err(_) => NOWHERE,
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn learn_from_buffer(ctx: *mut __sk_buff, offset: u32, tenant: u32, via: u64) -> i64 {
    let ctx = TcContext::new(ctx);
    learn(&TcPacket::new(&ctx), offset, TenantId(tenant), Via::from_bits(via))
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn learn_from_frame(ctx: *mut xdp_md, offset: u32, tenant: u32, via: u64) -> i64 {
    let ctx = XdpContext::new(ctx);
    learn(&XdpPacket::with_frags(&ctx), offset, TenantId(tenant), Via::from_bits(via))
}

#[inline(always)]
fn learn<P: Packet>(packet: &P, offset: u32, tenant: TenantId, via: Via) -> i64 {
    let Some(key) = bridge::source(packet, offset as usize, tenant) else { return 0 };
    let now = now();
    let Some(entry) = FDB.get_ptr_mut(key) else { return enter(&key, via, now) };
    // SAFETY: the entry is a value of the map. Its numbers are aligned, and whoever writes one writes it whole.
    unsafe {
        let seen = (&raw const (*entry).seen).read_volatile();
        let moved = (&raw const (*entry).via).read_volatile() != via;
        if seen == FdbEntry::STATIC {
            return 0;
        }
        if moved {
            (&raw mut (*entry).via).write_volatile(via);
        }
        if moved || now.wrapping_sub(seen) > HEARD_LATELY {
            (&raw mut (*entry).seen).write_volatile(now);
        }
    }
    0
}

/// Enters a station that was not known, if its tenant may have one more.
#[inline(always)]
fn enter(key: &FdbKey, via: Via, now: u64) -> i64 {
    let tenant = key.tenant;
    let Some(learned) = FDB_LEARNED.get_ptr_mut(tenant.0) else { return 0 };
    // SAFETY: a value of the map, aligned; programs and userspace add to it by atomic instructions.
    let may = unsafe { learned.read_volatile() } < FDB_LEARNED_MAX;
    if may && FDB.insert(*key, FdbEntry { via, seen: now }, u64::from(BPF_NOEXIST)).is_ok() {
        // SAFETY: as above.
        unsafe { count::add(learned, 1) };
    } else {
        count::noticed(tenant, Notice::NotLearned);
    }
    0
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes no argument and cannot fail.
    unsafe { bpf_ktime_get_coarse_ns() }
}
