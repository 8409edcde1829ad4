//! Counters. Every packet is counted once: with its tenant, or at the hook.

use aya_ebpf::bindings::BPF_NOEXIST;
use gre_common::{
    tables::{HookCounters, HookKey, IfIndex, REASONS, TenantEvent, TenantId},
    verdict::{Discard, Notice, PassReason},
};

use crate::{
    maps::{HOOK_COUNTERS, TENANT_COUNTERS, TENANT_EVENTS},
    verifier::bounded,
};

/// A decapsulated packet of `bytes` inner bytes.
#[inline(always)]
pub fn received(tenant: TenantId, bytes: usize, notice: Option<Notice>) {
    if let Some(counters) = TENANT_COUNTERS.get_ptr_mut(tenant.0) {
        // SAFETY: the slot belongs to this CPU, and no other program of ours interrupts this one on it.
        unsafe {
            (*counters).rx_packets += 1;
            (*counters).rx_bytes += bytes as u64;
        }
    }
    if let Some(notice) = notice {
        event(TenantEvent { tenant, event: TenantEvent::NOTICE + notice as u32 });
    }
}

/// An encapsulated packet of `bytes` inner bytes.
#[inline(always)]
pub fn sent(tenant: TenantId, bytes: usize) {
    if let Some(counters) = TENANT_COUNTERS.get_ptr_mut(tenant.0) {
        // SAFETY: as in `received`.
        unsafe {
            (*counters).tx_packets += 1;
            (*counters).tx_bytes += bytes as u64;
        }
    }
}

/// A packet passed on.
#[inline(always)]
pub fn passed(hook: HookKey, reason: PassReason) {
    if let Some(counters) = hook_counters(hook) {
        // SAFETY: as in `received`.
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
        // SAFETY: as in `received`.
        increment(unsafe { &mut (*counters).dropped }, discard.reason.index());
    }
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
    // SAFETY: as in `received`.
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
