//! What happens: tunnels go up and down, stations are learned and move, limits are hit, uplinks come and go.
//!
//! The maps are looked at again and again, and what differs is an event. So nothing is added to the hot path, and what comes and goes
//! between two looks is not seen.
//!
//! - [`snapshot`]: what is looked at; [`event`]: what differs.

mod event;
mod snapshot;

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

pub use self::event::{Event, What};
use self::{event::differences, snapshot::Snapshot};
use crate::state::StateDir;

/// A look takes no more than one part in so many of the time: a million stations are gone through in a second.
const SHARE: u32 = 4;

/// Follows events until interrupted, or `tell` says that nobody listens.
///
/// # Errors
/// There is no state, it is of another version, the caller lacks the privilege, or `tell` fails.
pub async fn follow(
    dir: &StateDir,
    interval: Duration,
    mut tell: impl FnMut(&Event) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut before = Snapshot::take(dir)?;
    let mut took = Duration::ZERO;
    let mut ends = false;
    while !ends {
        // The last look comes when the end is asked for.
        ends = tokio::select! {
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            () = tokio::time::sleep(interval.max(took * SHARE)) => false,
        };
        let begin = Instant::now();
        let after = Snapshot::take(dir)?;
        took = begin.elapsed();
        for event in differences(&before, &after) {
            if !tell(&event)? {
                return Ok(());
            }
        }
        before = after;
    }
    Ok(())
}
