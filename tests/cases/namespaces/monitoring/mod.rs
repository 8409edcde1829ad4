//! What operators see: metrics, dashboard and alerts.
//!
//! - [`scrape`]: asks for metrics, and reads the answer.
//! - [`metrics`]: they say what `stats` says, whoever else asks, and how.

mod metrics;
mod scrape;

use testbed::suite::Case;

pub fn cases() -> Vec<Case> {
    metrics::cases()
}
