//! `xgre apply`

use std::path::PathBuf;

use anyhow::ensure;
use gre_common::tables::RunOptions;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    config::{
        apply,
        difference::Change,
        file,
        model::Model,
        show::{self, Row},
    },
    manage::Host,
    state::StateDir,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; - is the standard input. What it does not have is deleted.
    file: PathBuf,
    /// Print what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    applied: bool,
    changes: Vec<Row>,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    let file = file::read(&args.file)?;
    let host = Host::open(dir)?;
    ensure!(
        args.dry_run || !host.state.run_options()?.has(RunOptions::FLEET),
        "this host follows a fleet, which a file would undo; restart `xgre run` for it to read --config again"
    );
    ensure!(
        file.fleet.is_none(),
        "[fleet] is what `xgre run --config {}` follows; restart it with this file, or leave the table out",
        args.file.display()
    );
    let changes = apply::plan(&host, file.model).await?;
    if !args.json {
        lines(&changes)?;
    }
    if !args.dry_run {
        apply::apply(host, &changes).await?;
    }
    if args.json {
        let rows = changes.iter().map(show::row).collect::<anyhow::Result<_>>()?;
        let document = Document { version: JSON_VERSION, applied: !args.dry_run, changes: rows };
        return output::json(&document);
    }
    output::print(&match (changes.len(), args.dry_run) {
        (0, _) => "nothing to change".to_owned(),
        (count, true) => format!("{} to apply", plural(count)),
        (count, false) => format!("applied {}", plural(count)),
    })
}

/// Applies a file before anybody is told that the daemon is ready.
pub async fn at_start(dir: &StateDir, file: Model) -> anyhow::Result<()> {
    let host = Host::open(dir)?;
    let changes = apply::plan(&host, file).await?;
    lines(&changes)?;
    apply::apply(host, &changes).await
}

/// Prints a line for each.
fn lines(changes: &[Change]) -> anyhow::Result<()> {
    for change in changes {
        output::print(&show::line(change)?)?;
    }
    Ok(())
}

fn plural(count: usize) -> String {
    format!("{count} change{}", if count == 1 { "" } else { "s" })
}
