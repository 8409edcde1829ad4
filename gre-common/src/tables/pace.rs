//! How often a tenant is told that a packet did not fit.

/// Value of the map `ICMP_PACE`, by [`TenantId`](super::TenantId): a hundred messages a second, ten at once. What it says is
/// over a tenth of a second later, so nobody clears it for the next tenant of a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// When all messages sent have been paid for, in nanoseconds of the kernel's monotonic clock.
    pub paid: u64,
}

impl Pace {
    /// Nanoseconds that a message costs.
    const INTERVAL: u64 = 10_000_000;
    /// Messages at once.
    const BURST: u64 = 10;

    /// What [`paid`](Self::paid) becomes with one more message at `now`; `None`: it would be one too many.
    #[inline(always)]
    pub const fn with_one_more(paid: u64, now: u64) -> Option<u64> {
        let start = if paid > now { paid } else { now };
        let after = start.wrapping_add(Self::INTERVAL);
        if after.wrapping_sub(now) > Self::BURST * Self::INTERVAL { None } else { Some(after) }
    }
}

const _: () = assert!(size_of::<Pace>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many messages, `apart` nanoseconds, are sent.
    fn sent(messages: u64, apart: u64) -> usize {
        let mut paid = 0;
        let times = (0..messages).map(|number| 5_000_000_000 + number * apart);
        times
            .filter(|now| Pace::with_one_more(paid, *now).map(|after| paid = after).is_some())
            .count()
    }

    #[test]
    fn a_burst_and_a_rate() {
        assert_eq!(sent(1000, 0), 10, "at once");
        assert_eq!(sent(100_000, 100_000), 1009, "ten seconds of many");
        assert_eq!(sent(500, 10_000_000), 500, "as many as allowed");
    }
}
