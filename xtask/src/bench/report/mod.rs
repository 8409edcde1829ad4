//! Results for people and programs.
//!
//! - [`run`]: what one run has found, in a file of `runs/`
//! - [`conditions`]: what machine it was, and what its times are
//! - [`table`]: rows of a case, aligned
//! - [`plot`]: rows of a case as SVG pictures, in `plots/`
//! - [`targets`]: what was aimed at, beside what was reached
//! - [`page`]: all runs together, in Markdown: `README.md`

mod conditions;
mod page;
mod plot;
mod run;
mod table;
mod targets;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{Args, row::Row};
use crate::workspace::Workspace;
pub use conditions::{Clock, in_guest};
use run::Run;

/// Prints the rows of a case on stdout.
pub fn show(rows: &[Row], json: bool) {
    if rows.is_empty() {
        return;
    }
    if json {
        print!("{}", lines(rows));
    } else {
        println!("\n{}", table::text(rows));
    }
}

/// Adds a run to the report in a folder, in place of an earlier one of the same command on the same kernel, and makes
/// the page of all runs anew.
pub fn write(
    workspace: &Workspace,
    args: &Args,
    clock: Clock,
    rows: Vec<Row>,
    folder: &Path,
) -> Result<()> {
    let kept = folder.join("runs");
    conditions::describe(workspace, args, clock, rows)?.save(&kept)?;
    let runs = Run::load_all(&kept)?;
    let plots = folder.join("plots");
    // Those of a run that was replaced may not be needed any more.
    let _ = fs::remove_dir_all(&plots);
    let save = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(&plots)?;
    let mut pictures = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        for rows in cases(&run.rows) {
            for picture in plot::of(run.clock, rows)? {
                let name = format!("run-{}-{}.svg", number + 1, picture.name);
                save(&plots.join(&name), &picture.svg)?;
                pictures.push(page::Picture { run: number, case: rows[0].bench.clone(), name });
            }
        }
    }
    save(&folder.join("README.md"), &page::markdown(&runs, &pictures))
}

/// A row of JSON on each line.
fn lines(rows: &[Row]) -> String {
    let line = |row| serde_json::to_string(row).expect("plain values") + "\n";
    rows.iter().map(line).collect()
}

/// The rows of each case.
fn cases(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.bench == b.bench)
}
