//! Has tenants send and receive no more than their rates.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use gre_common::tables::{Limit, Pace, TenantId};

use crate::{maps::LIMITS, sequence::compare_exchange};

/// Tries to be the one to pay. Another CPU was faster each time; then the packet goes free.
const TRIES: usize = 4;

/// Whether a tenant may send a packet of so many inner bytes.
#[inline(always)]
pub fn may_send(TenantId(tenant): TenantId, bytes: usize) -> bool {
    pay_for_sent(tenant, bytes as u32) != 0
}

/// Whether a tenant may receive a packet of so many inner bytes.
#[inline(always)]
pub fn may_receive(TenantId(tenant): TenantId, bytes: usize) -> bool {
    pay_for_received(tenant, bytes as u32) != 0
}

// Functions of global linkage: the verifier goes through each once, whoever calls it.

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn pay_for_sent(tenant: u32, bytes: u32) -> u32 {
    pay(tenant, bytes, |limit| {
        // SAFETY: part of a value of the map.
        unsafe { &raw mut (*limit).sent }
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn pay_for_received(tenant: u32, bytes: u32) -> u32 {
    pay(tenant, bytes, |limit| {
        // SAFETY: as above.
        unsafe { &raw mut (*limit).received }
    })
}

/// 0: it may not. A tenant whose limit was taken away a moment ago has none.
#[inline(always)]
fn pay(tenant: u32, bytes: u32, direction: impl Fn(*mut Limit) -> *mut Pace) -> u32 {
    let Some(limit) = LIMITS.get_ptr_mut(TenantId(tenant)) else { return 1 };
    // SAFETY: the helper takes no argument and cannot fail.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a value of the map. What stands beside the paces is written before programs see it.
    let (time, burst) = unsafe { ((*limit).time(bytes), (*limit).burst()) };
    // SAFETY: as above.
    let paid = unsafe { &raw mut (*direction(limit)).paid };
    for _ in 0..TRIES {
        // SAFETY: a value of the map, aligned; programs touch it by atomic instructions only.
        let before = unsafe { paid.read_volatile() };
        let Some(after) = Pace::with_time(before, now, time, burst) else { return 0 };
        // SAFETY: as above.
        if unsafe { compare_exchange(paid, before, after) } == before {
            return 1;
        }
    }
    1
}
