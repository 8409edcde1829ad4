//! What the programs tell with `--debug-datapath`.

use std::time::Duration;

use aya_log::EbpfLogger;
use log::{LevelFilter, Log};

use crate::datapath::{Error, Result, load::Programs};

/// How often it is printed.
const INTERVAL: Duration = Duration::from_millis(100);

/// Reads what the programs tell.
pub(super) type Logger = EbpfLogger<&'static dyn Log>;

/// Begins to read, and prints on stderr.
pub(super) fn start(programs: &mut Programs) -> Result<Logger> {
    env_logger::Builder::new().filter_level(LevelFilter::Debug).format_target(false).init();
    EbpfLogger::init(programs.object()).map_err(Error::Log)
}

/// Prints what came in a moment; never returns where nothing is told.
pub(super) async fn flush(logger: Option<&mut Logger>) {
    let Some(logger) = logger else { return std::future::pending().await };
    tokio::time::sleep(INTERVAL).await;
    logger.flush();
}
