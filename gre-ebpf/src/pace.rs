//! How often something is done for a tenant, on all CPUs together.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use gre_common::tables::{Pace, Rate};

use crate::sequence::compare_exchange;

/// Whether it may be done once more. Where another CPU was faster, it may not.
///
/// # Safety
/// `pace` points into a map's value, and is aligned; programs touch it by atomic instructions only.
#[inline(always)]
pub unsafe fn allows(pace: *mut Pace, rate: Rate) -> bool {
    // SAFETY: the helper takes no argument and cannot fail.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the caller's promise.
    let before = unsafe { (&raw const (*pace).paid).read_volatile() };
    let Some(after) = Pace::with_one_more(before, now, rate) else { return false };
    // SAFETY: as above.
    unsafe { compare_exchange(&raw mut (*pace).paid, before, after) == before }
}
