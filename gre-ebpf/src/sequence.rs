//! Sequence numbers (RFC 2890), which packets on several CPUs share.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use gre_common::tables::{Sequence, TenantId};

use crate::maps::SEQUENCES;

/// Tries to be the one to move a number on, before a packet is given up. Another CPU was faster each time.
const TRIES: usize = 4;

/// The number of the next packet that a tenant sends.
#[inline(always)]
pub fn next(tenant: TenantId) -> u32 {
    let Some(sequence) = SEQUENCES.get_ptr_mut(tenant.0) else { return 0 };
    // SAFETY: a value of the map, aligned; programs and userspace touch it by atomic instructions only.
    unsafe { AtomicU32::from_ptr(&raw mut (*sequence).sent) }.fetch_add(1, Relaxed)
}

/// Whether a packet with this number comes after all of the tenant's before it; then it is the last one.
#[inline(always)]
pub fn advance(tenant: TenantId, number: u32) -> bool {
    let Some(sequence) = SEQUENCES.get_ptr_mut(tenant.0) else { return false };
    // SAFETY: as above.
    let received = unsafe { AtomicU32::from_ptr(&raw mut (*sequence).received) };
    for _ in 0..TRIES {
        let before = received.load(Relaxed);
        if !Sequence::is_next(before, number) {
            return false;
        }
        if received.compare_exchange(before, number.wrapping_add(1), Relaxed, Relaxed).is_ok() {
            return true;
        }
    }
    false
}
