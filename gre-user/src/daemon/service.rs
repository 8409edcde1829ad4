//! What a service manager is told, where one listens (`sd_notify(3)`).

use std::{future::pending, time::Duration};

use sd_notify::NotifyState;
use tokio::time::{Interval, interval};

/// Traffic flows, and what was to be applied is.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// The end was asked for.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// When the service manager wants to hear of us: twice as often as it asks. `None`: it does not watch.
pub(super) struct Watchdog(Option<Interval>);

impl Watchdog {
    pub(super) fn connect() -> Self {
        let limit = sd_notify::watchdog_enabled().filter(|limit| *limit > Duration::ZERO);
        Self(limit.map(|limit| interval(limit / 2)))
    }

    /// Returns when it was time to say that the daemon is alive.
    pub(super) async fn alive(&mut self) {
        match &mut self.0 {
            Some(watchdog) => watchdog.tick().await,
            None => return pending().await,
        };
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        eprintln!("xgre: cannot tell the service manager: {error}");
    }
}
