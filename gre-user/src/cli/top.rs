//! `xgre top`

use std::time::Duration;

use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    state::StateDir,
    top,
    totals::{
        Reading,
        rates::{Rate, Rates},
    },
    value::interval,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds between two readings.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// Measure one interval, print its rates, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON, with --once.
    #[arg(long, requires = "once")]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    rates: &'a Rates,
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    if !args.once {
        return top::run(dir, args.interval).await;
    }
    let before = Reading::take(dir)?;
    tokio::time::sleep(args.interval).await;
    let mut rates = Rates::between(&before, &Reading::take(dir)?);
    if args.json {
        return output::json(&Document { version: JSON_VERSION, rates: &rates });
    }
    rates
        .tenants
        .sort_by_key(|it| std::cmp::Reverse(it.rx.bytes_per_second + it.tx.bytes_per_second));
    print(&rates)
}

fn bits(rate: Rate) -> String {
    top::human(rate.bytes_per_second.saturating_mul(8))
}

fn packets(rate: Rate) -> String {
    top::human(rate.packets_per_second)
}

fn print(rates: &Rates) -> anyhow::Result<()> {
    let headings = ["TENANT", "RX BIT/S", "TX BIT/S", "RX PPS", "TX PPS", "DROPS/S"];
    output::table(
        headings,
        rates.tenants.iter().map(|it| {
            let drops = top::human(it.drops_per_second);
            [it.name.clone(), bits(it.rx), bits(it.tx), packets(it.rx), packets(it.tx), drops]
        }),
    )?;
    output::print(&"")?;
    output::table(
        ["TUNNEL", "STATE", "RX BIT/S", "RX PPS", "TENANTS", "REMOTE"],
        rates.tunnels.iter().map(|it| {
            let (state, tenants) = (it.state.name().to_owned(), it.tenants.to_string());
            [it.name.clone(), state, bits(it.rx), packets(it.rx), tenants, it.remote.to_string()]
        }),
    )?;
    if !rates.drops.is_empty() {
        output::print(&"")?;
        let row = |it: &crate::totals::rates::DropRate| {
            let (rate, total) = (top::human(it.drops_per_second), it.total.to_string());
            [it.reason.to_owned(), rate, total, output::or_dash(it.most_of.as_deref())]
        };
        output::table(["DROPS", "PER S", "TOTAL", "MOST OF"], rates.drops.iter().map(row))?;
    }
    output::print(&"")?;
    output::table(
        ["UPLINK", "MODE", "PASSED/S", "DROPS/S"],
        rates.uplinks.iter().map(|it| {
            let [passed, drops] = [it.passed_per_second, it.drops_per_second].map(top::human);
            [it.name.clone(), it.mode.to_owned(), passed, drops]
        }),
    )
}
