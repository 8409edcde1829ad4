//! How many packets a second are received, or sent as fragments, at most: what is on the slow path must not cost the hot path a CPU.

use std::time::{Duration, Instant};

/// Packets a second, at most.
const LIMIT: u32 = 20_000;
/// How often there is a new share of them.
const INTERVAL: Duration = Duration::from_millis(50);
/// How many that is.
const SHARE: i64 = LIMIT as i64 / (1000 / INTERVAL.as_millis() as i64);
/// How often it is told that the limit was reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may be done yet.
pub(super) struct Budget {
    left: i64,
    /// When this share began.
    begun: Instant,
    /// When it was told last.
    told: Option<Instant>,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self { left: SHARE, begun: now, told: None }
    }

    /// So many packets. They may be more than are left: the next shares pay for them.
    pub fn spend(&mut self, packets: u64) {
        self.left = self.left.saturating_sub_unsigned(packets);
    }

    /// How long to receive nothing. Tells, now and then, that there is more than is received.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        if now >= self.begun + INTERVAL {
            (self.left, self.begun) = (SHARE.min(self.left + SHARE), now);
        }
        let mut end = self.begun;
        while self.left <= 0 {
            self.left += SHARE;
            end += INTERVAL;
        }
        if end == self.begun {
            return None;
        }
        self.begun = end;
        if self.told.is_none_or(|told| now - told >= PATIENCE) {
            self.told = Some(now);
            eprintln!(
                "xgre: more than {LIMIT} packets a second come by the slow path (fragments, packets to be fragmented, \
                 IPv6 extension headers); \
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
            budget.spend(1);
            received += 1;
            now += budget.pause(now).unwrap_or(Duration::from_micros(1));
        }
        assert_eq!(received, LIMIT);
    }

    #[test]
    fn many_at_once_are_paid_for() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        budget.spend(SHARE as u64 * 3 - 1);
        assert_eq!(budget.pause(begun), Some(2 * INTERVAL));
        let now = begun + 2 * INTERVAL;
        assert_eq!(budget.pause(now), None);
        budget.spend(1);
        assert_eq!(budget.pause(now), Some(INTERVAL));
    }

    #[test]
    fn few_are_never_late() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        for number in 0..2 * LIMIT {
            budget.spend(1);
            assert_eq!(budget.pause(begun + number * Duration::from_micros(60)), None);
        }
    }
}
