//! `xgre events`

use std::time::Duration;

use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    events::{self, Event, What},
    state::StateDir,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds between two looks. What comes and goes between them is not seen.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Print a JSON document for each event.
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds from 0.1 to 3600".to_owned())
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
    events::follow(dir, Duration::from_secs_f64(args.interval), tell).await
}
