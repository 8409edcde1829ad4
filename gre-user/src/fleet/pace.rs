//! When what has changed is made so: at once where little changes, in growing portions where much does.

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

/// What comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(10);
/// Rest after a change that did not have to wait. It doubles with each one that had to.
const LEAST_REST: Duration = Duration::from_millis(20);
/// The longest rest.
const MOST_REST: Duration = Duration::from_millis(250);
/// Rests so many times as long as it worked, if that is no longer: it takes a fifth of a processor.
const SHARE: u32 = 4;

/// Work and rest.
#[derive(Debug)]
pub struct Pace {
    due: Option<Instant>,
    rested: Instant,
    rest: Duration,
}

impl Pace {
    /// Rested.
    pub fn new(now: Instant) -> Self {
        Self { due: None, rested: now, rest: LEAST_REST }
    }

    /// Something has changed.
    pub fn change(&mut self, now: Instant) {
        self.due.get_or_insert(self.rested.max(now + SETTLE));
    }

    /// Waits until there is something to do.
    pub async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// It is done.
    pub fn done(&mut self, begin: Instant, now: Instant) {
        let has_waited = self.due.take() == Some(self.rested);
        self.rest = if has_waited { MOST_REST.min(self.rest * 2) } else { LEAST_REST };
        self.rested = now + MOST_REST.min(self.rest.max((now - begin) * SHARE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_is_made_at_once_and_many_in_portions() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        assert_eq!(pace.due, None);
        pace.change(begin);
        assert_eq!(pace.due, Some(begin + SETTLE));
        pace.change(begin + SETTLE / 2);
        assert_eq!(pace.due, Some(begin + SETTLE), "it does not wait for the last one");

        let mut now = begin + SETTLE;
        pace.done(now, now);
        let mut rests = Vec::new();
        for _ in 0..8 {
            pace.change(now);
            let due = pace.due.expect("a change");
            rests.push((due - now).as_millis());
            now = due;
            pace.done(now, now);
        }
        assert_eq!(rests, [20, 40, 80, 160, 250, 250, 250, 250]);

        now += MOST_REST;
        pace.change(now);
        assert_eq!(pace.due, Some(now + SETTLE));
        let work = MOST_REST / SHARE / 2;
        pace.done(now, now + work);
        pace.change(now + work);
        assert_eq!(pace.due, Some(now + work + MOST_REST / 2));
    }
}
