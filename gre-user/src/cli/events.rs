//! `xgre events`

use std::time::Duration;

use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    events::{self, Event, What},
    state::StateDir,
    value::interval,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds between two looks. What comes and goes between them is not seen.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// Print a JSON document for each event.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    /// RFC 3339, in UTC.
    time: String,
    #[serde(flatten)]
    what: &'a What,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    eprintln!("following; Ctrl-C ends it");
    let tell = |Event { time, what }: &Event| {
        let time = humantime::format_rfc3339_millis(*time).to_string();
        if args.json {
            let document = Document { version: JSON_VERSION, time, what };
            return output::is_read(&serde_json::to_string(&document)?);
        }
        output::is_read(&format!("{time} {what}"))
    };
    events::follow(dir, args.interval, tell).await
}
