//! `cargo xtask bench`: how fast it is, beside what else there is, on this machine.
//!
//! Every figure is counted at the receiver. Baselines and candidates take turns in the same run, and what is
//! compared is their ratio. Nothing is attached outside namespaces made here, and all of it dies with the process.
//!
//! - [`cases`]: what is measured, one file each
//! - [`generator`]: makes packets in the kernel, [`pktgen`] too; [`draws`]: for which tenants
//! - [`tenants`]: fills xgre's maps; [`batch`]: many map entries in one system call
//! - [`peers`]: plain veth, kernel VXLAN, Open vSwitch and xgre, each between two hosts; [`traffic`]: sockets
//! - [`hops`]: the same and more between a source and a receiver, which the generator feeds
//! - [`cable`]: two devices of this machine instead of a veth pair
//! - [`rounds`]: takes turns, median and spread; [`row`]: one line of results
//! - [`report`]: table, JSON, plots and a page

#![expect(clippy::cast_precision_loss, reason = "counts become rates, of which four digits matter")]

mod batch;
mod cable;
mod cases;
mod draws;
mod generator;
mod hops;
mod peers;
mod pktgen;
mod report;
mod rounds;
mod row;
mod tenants;
mod traffic;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Error, Result, bail, ensure};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    build, say,
    toolchain::{Install, debian},
    tools::{self, Tool},
    workspace::Workspace,
};
use cases::Case;
use draws::Distribution;
use generator::Kind;
use row::Row;

/// What the cases run.
const TOOLS: &[Tool] =
    &[("ethtool", "ethtool"), ("etcd", "etcd-server"), ("etcdctl", "etcd-client")];

/// Arguments of `bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure; all when none is named
    #[arg(value_name = "CASE")]
    cases: Vec<Case>,
    /// Numbers of tenants
    #[arg(long, value_delimiter = ',', default_value = "1,1000,65536,1000000", value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    keys: Vec<u32>,
    /// Numbers of hosts, for the case `fleet`
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_parser = clap::value_parser!(u32).range(10..=10_000))]
    hosts: Vec<u32>,
    /// How packets spread over the tenants
    #[arg(long, default_value = "uniform")]
    distribution: Distribution,
    /// Sizes of tenants' packets in bytes, as Ethernet frames with their checksum
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u16).range(64..=1476))]
    sizes: Vec<u16>,
    /// How often baselines and candidates take turns
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Length of one measurement in milliseconds
    #[arg(long, default_value = "300", value_parser = clap::value_parser!(u64).range(10..))]
    millis: u64,
    /// What makes the packets
    #[arg(long, default_value = "auto")]
    generator: Kind,
    /// Two network devices joined by a cable, for the case `nic`; they are taken while it runs
    #[arg(long, value_name = "SEND,RECEIVE", value_delimiter = ',', num_args = 1)]
    iface: Vec<String>,
    /// Print rows of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Add this run to the report in this folder: one page of all its runs, with tables and plots
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    install: Install,
}

/// What the cases need to know.
struct Bench<'a> {
    workspace: &'a Workspace,
    args: &'a Args,
    progress: ProgressBar,
}

impl Bench<'_> {
    /// Shows what is under way.
    fn doing(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
    }

    /// How long one measurement takes.
    fn span(&self) -> Duration {
        Duration::from_millis(self.args.millis)
    }
}

/// Builds, measures, reports.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    ensure!(
        debian::is_root(),
        "the benchmarks make network namespaces, which needs root. Type:\n  {}",
        say::as_root("bench")
    );
    let tools = [tools::NETWORK, TOOLS].concat();
    tools::bring(&tools, "what the benchmarks run", args.install)?;
    // `vm` has built what its guest runs; to find that out anew takes the guest minutes.
    if !report::in_guest() {
        build::all(workspace, args.install)?;
        build::examples(workspace)?;
    }
    // SAFETY: xtask has a single thread up to here.
    unsafe { env::set_var("XGRE", workspace.xgre()) };
    testbed::isolate().map_err(Error::msg)?;

    let clock = report::Clock::find();
    let cases = if args.cases.is_empty() { Case::value_variants() } else { &args.cases };
    let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")?;
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.enable_steady_tick(Duration::from_millis(200));
    let bench = Bench { workspace, args, progress };
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for case in cases {
        let name = case.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        bench.progress.set_prefix(name.clone());
        match catch(|| case.run(&bench)) {
            Ok(more) => {
                bench.progress.suspend(|| report::show(&more, args.json));
                rows.extend(more);
            }
            Err(error) => {
                bench.progress.suspend(|| say::error(&error.context(format!("case {name}"))));
                failed.push(name);
            }
        }
    }
    bench.progress.finish_and_clear();
    if let Some(folder) = &args.report {
        report::write(workspace, args, clock, rows, folder)?;
        say::step(&format!("report: {}", folder.display()));
    }
    if !failed.is_empty() {
        say::failed(&failed.join(", "));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The testbed panics when something goes wrong; the other cases go on.
fn catch(case: impl FnOnce() -> Result<Vec<Row>>) -> Result<Vec<Row>> {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|_| bail!("it panicked, see above"))
}
