//! What is counted, for Prometheus: `xgre run --metrics`.
//!
//! - [`address`]: where it listens, as users type it.
//! - [`server`]: answers requests, on a thread of its own; [`classic`] is the older text format.
//! - [`ledger`]: who gets series of his own, and sums that never go back.
//! - [`exposition`]: what there is to tell; [`writer`] writes it down.

pub mod address;
mod classic;
mod exposition;
mod ledger;
mod server;
mod writer;

pub use server::{Error, Listener};

use address::Address;

/// What the user asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Wanted {
    /// Serve metrics for Prometheus at http://ADDRESS:PORT/metrics. A port alone is on the loopback address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<Address>,
    /// So many tenants have metrics of their own, those with the most traffic of late; as many ports and tunnels. The
    /// rest is summed up.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub metrics_tenants: usize,
}
