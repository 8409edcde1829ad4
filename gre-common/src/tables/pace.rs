//! How often something may be done for a tenant.

/// When it has been done as often as was allowed: part of a [`Limit`](super::Limit), and value of the map `ICMP_PACE`, by
/// [`TenantId`](super::TenantId): how often a tenant is told what fits. What it says is over a moment later, so nobody clears it for the
/// next tenant of a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// When all that was done has been paid for, in nanoseconds of the kernel's monotonic clock.
    pub paid: u64,
}

/// How often is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Nanoseconds that each time costs.
    interval: u64,
    /// How often at once.
    burst: u64,
}

impl Rate {
    /// Senders are told what fits a hundred times a second, ten times at once.
    pub const TELL: Self = Self { interval: 10_000_000, burst: 10 };
    /// 5,000 packets a second, 250 at once, are handed up to be fragmented: a quarter of what the slow path does.
    pub const FRAGMENT: Self = Self { interval: 200_000, burst: 250 };
}

impl Pace {
    /// What [`paid`](Self::paid) becomes with one more time at `now`; `None`: it would be one too many.
    #[inline(always)]
    pub const fn with_one_more(paid: u64, now: u64, rate: Rate) -> Option<u64> {
        Self::with_time(paid, now, rate.interval, rate.burst * rate.interval)
    }

    /// The same with what takes `time` nanoseconds, where at most `burst` may be ahead of the clock.
    #[inline(always)]
    pub const fn with_time(paid: u64, now: u64, time: u64, burst: u64) -> Option<u64> {
        let start = if paid > now { paid } else { now };
        let after = start.wrapping_add(time);
        if after.wrapping_sub(now) > burst { None } else { Some(after) }
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
            .filter(|now| {
                Pace::with_one_more(paid, *now, Rate::TELL).map(|after| paid = after).is_some()
            })
            .count()
    }

    #[test]
    fn a_burst_and_a_rate() {
        assert_eq!(sent(1000, 0), 10, "at once");
        assert_eq!(sent(100_000, 100_000), 1009, "ten seconds of many");
        assert_eq!(sent(500, 10_000_000), 500, "as many as allowed");
    }
}
