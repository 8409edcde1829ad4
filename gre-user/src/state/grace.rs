//! When a place in a table may be used again.

use std::{io, thread, time::Duration};

/// Waits until every run of a program that began before this call has ended.
///
/// Programs run as RCU readers, and the kernel serves this call with `synchronize_rcu`. It refuses where CPUs
/// are kept free of ticks (`nohz_full`); there a pause does, far longer than a program runs.
pub(super) fn wait() {
    const PAUSE: Duration = Duration::from_millis(100);
    // SAFETY: the call takes integers only.
    let code =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0u32, 0i32) };
    if code != 0 {
        log::debug!("membarrier: {}", io::Error::last_os_error());
        thread::sleep(PAUSE);
    }
}
