//! How many packets a second are received at most: what is on the slow path must not cost the hot path a CPU.

use std::time::{Duration, Instant};

/// Packets a second, at most.
const LIMIT: u32 = 20_000;
/// How often there is a new share of them.
const INTERVAL: Duration = Duration::from_millis(50);
/// How many that is.
const SHARE: u32 = LIMIT / (1000 / INTERVAL.as_millis() as u32);
/// How often it is told that the limit was reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may be received yet.
pub(super) struct Budget {
    left: u32,
    /// When this share began.
    begun: Instant,
    /// When it was told last.
    told: Option<Instant>,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self { left: SHARE, begun: now, told: None }
    }

    /// One packet.
    pub fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// How long to receive nothing. Tells, now and then, that there is more than is received.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        let end = self.begun + INTERVAL;
        if now >= end {
            (self.left, self.begun) = (SHARE, now);
        }
        if self.left > 0 {
            return None;
        }
        (self.left, self.begun) = (SHARE, end);
        if self.told.is_none_or(|told| now - told >= PATIENCE) {
            self.told = Some(now);
            eprintln!(
                "xgre: more than {LIMIT} packets a second come by the slow path (fragments, IPv6 extension headers); \
                 what is beyond that is discarded"
            );
        }
        Some(end - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        let (mut now, mut received) = (begun, 0);
        while now < begun + Duration::from_secs(1) {
            budget.spend();
            received += 1;
            now += budget.pause(now).unwrap_or(Duration::from_micros(1));
        }
        assert_eq!(received, LIMIT);
    }

    #[test]
    fn few_are_never_late() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        for number in 0..2 * LIMIT {
            budget.spend();
            assert_eq!(budget.pause(begun + number * Duration::from_micros(60)), None);
        }
    }
}
