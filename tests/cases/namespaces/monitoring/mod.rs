//! What operators see: metrics, dashboard, alerts, and live rates.
//!
//! - [`scrape`]: asks for metrics, and reads the answer.
//! - [`metrics`]: they say what `stats` says, whoever else asks, and how.
//! - [`prometheus`]: a real one scrapes; dashboard, alerts and document are true.
//! - [`top`]: `xgre top` and `stats --watch` in a real terminal.

mod metrics;
mod prometheus;
mod scrape;
mod top;

use testbed::suite::Case;

pub fn cases() -> Vec<Case> {
    [metrics::cases(), prometheus::cases(), top::cases()].into_iter().flatten().collect()
}
