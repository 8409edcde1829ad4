//! Counters. Every packet is counted once: with its tenant, or at the hook.

use aya_ebpf::bindings::BPF_NOEXIST;
use gre_common::{
    tables::{
        Binding, Counters, HookCounters, HookKey, IfIndex, REASONS, TenantEvent, TenantId,
        TransitRule,
    },
    verdict::{Discard, Notice, PassReason},
};

use crate::{
    maps::{HOOK_COUNTERS, SENT, TENANT_EVENTS},
    verifier::bounded,
};

/// A decapsulated packet of `bytes` inner bytes.
#[inline(always)]
pub fn received(binding: &Binding, bytes: usize, notice: Option<Notice>) {
    let tenant = binding.tenant;
    // SAFETY: the binding is a value of the map.
    unsafe { add_packet(&binding.received, bytes) };
    if let Some(notice) = notice {
        noticed(tenant, notice);
    }
}

/// An encapsulated packet of `bytes` inner bytes.
#[inline(always)]
pub fn sent(tenant: TenantId, bytes: usize) {
    if let Some(counters) = SENT.get_ptr_mut(tenant.0) {
        // SAFETY: the slot belongs to this CPU, and no other program of ours interrupts this one on it.
        unsafe { *counters += Counters { packets: 1, bytes: bytes as u64 } };
    }
}

/// A packet in transit that met a rule; its frame has so many bytes.
#[inline(always)]
pub fn matched(rule: &TransitRule, bytes: usize) {
    // SAFETY: the rule is a value of the map.
    unsafe { add_packet(&rule.matched, bytes) };
}

/// Adds a packet to counters that several CPUs may have.
///
/// # Safety
/// They are part of a map's value, whose memory other CPUs write too; nobody reads them through a reference.
#[inline(always)]
unsafe fn add_packet(Counters { packets, bytes: sum }: &Counters, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        add((&raw const *packets).cast_mut(), 1);
        add((&raw const *sum).cast_mut(), bytes as u64);
    }
}

/// Adds to a counter that several CPUs may have.
///
/// An instruction of the kernel's since Linux 3.18; the compiler has no name for it that does not also
/// ask for the old value, which Linux 5.12 learned.
///
/// # Safety
/// `counter` points into a map's value, and is aligned.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) value, options(nostack));
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(counter)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }
}

/// A packet passed on.
#[inline(always)]
pub fn passed(hook: HookKey, reason: PassReason) {
    if let Some(counters) = hook_counters(hook) {
        // SAFETY: as in `sent`.
        increment(unsafe { &mut (*counters).passed }, reason.index());
    }
}

/// A packet discarded.
#[inline(always)]
pub fn dropped(hook: HookKey, discard: Discard) {
    if let Some(tenant) = discard.tenant() {
        if event(TenantEvent { tenant, event: discard.reason as u32 }) {
            return;
        }
    }
    if let Some(counters) = hook_counters(hook) {
        // SAFETY: as in `sent`.
        increment(unsafe { &mut (*counters).dropped }, discard.reason.index());
    }
}

/// Something to be said of a tenant's packet.
#[inline(always)]
pub fn noticed(tenant: TenantId, notice: Notice) {
    event(TenantEvent { tenant, event: TenantEvent::NOTICE + notice as u32 });
}

/// Adds one to a tenant's counter, making it where this is the first time. False: there is no room for it.
#[inline(always)]
fn event(key: TenantEvent) -> bool {
    if add_to_event(&key) {
        return true;
    }
    // Another CPU may have made it in between; then the second look finds it.
    TENANT_EVENTS.insert(key, 1, u64::from(BPF_NOEXIST)).is_ok() || add_to_event(&key)
}

#[inline(always)]
fn add_to_event(key: &TenantEvent) -> bool {
    let Some(count) = TENANT_EVENTS.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: as in `sent`.
    unsafe { *count += 1 };
    true
}

/// The counters of a hook; those of no interface where nobody registered this one.
#[inline(always)]
fn hook_counters(hook: HookKey) -> Option<*mut HookCounters> {
    HOOK_COUNTERS
        .get_ptr_mut(hook)
        .or_else(|| HOOK_COUNTERS.get_ptr_mut(HookKey { ifindex: IfIndex::NONE, ..hook }))
}

#[inline(always)]
fn increment(counters: &mut [u64; REASONS], reason: usize) {
    if let Some(counter) = counters.get_mut(bounded::<{ REASONS - 1 }>(reason)) {
        *counter += 1;
    }
}
