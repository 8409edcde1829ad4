//! Sequence numbers (RFC 2890), which packets on several CPUs share.

use gre_common::tables::{Sequence, TenantId};

use crate::maps::SEQUENCES;

/// Tries to be the one to move a number on, before a packet is given up. Another CPU was faster each time.
const TRIES: usize = 4;

/// The number of the next packet that a tenant sends.
#[inline(always)]
pub fn next(tenant: TenantId) -> u32 {
    let Some(sequence) = SEQUENCES.get_ptr_mut(tenant.0) else { return 0 };
    // SAFETY: a value of the map, aligned; programs and userspace touch it by atomic instructions only.
    unsafe { fetch_add(&raw mut (*sequence).sent, 1) as u32 }
}

/// Whether a packet with this number comes after all of the tenant's before it; then it is the last one.
#[inline(always)]
pub fn advance(tenant: TenantId, number: u32) -> bool {
    let Some(sequence) = SEQUENCES.get_ptr_mut(tenant.0) else { return false };
    let after = u64::from(number.wrapping_add(1));
    for _ in 0..TRIES {
        // SAFETY: as above.
        let before = unsafe { (&raw const (*sequence).received).read_volatile() };
        if !Sequence::is_next(before, number) {
            return false;
        }
        // SAFETY: as above.
        if unsafe { compare_exchange(&raw mut (*sequence).received, before, after) } == before {
            return true;
        }
    }
    false
}

// Instructions of Linux 5.12, which the compiler has for this target only where their result is not used.

/// Adds to a number that several CPUs may have. Returns what it was.
///
/// # Safety
/// `number` points into a map's value, and is aligned.
#[inline(always)]
unsafe fn fetch_add(number: *mut u64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!("{0} = atomic_fetch_add((u64 *)({1} + 0), {0})", inout(reg) value, in(reg) number, options(nostack));
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(number)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed)
    }
}

/// Writes `after` where `before` stands. Returns what stood there.
///
/// # Safety
/// As [`fetch_add`].
#[inline(always)]
pub unsafe fn compare_exchange(number: *mut u64, before: u64, after: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut found = before;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!("r0 = cmpxchg_64({0} + 0, r0, {1})", in(reg) number, in(reg) after, inout("r0") found, options(nostack));
        }
        found
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
        // SAFETY: the caller's promise.
        let number = unsafe { AtomicU64::from_ptr(number) };
        number.compare_exchange(before, after, Relaxed, Relaxed).unwrap_or_else(|found| found)
    }
}
