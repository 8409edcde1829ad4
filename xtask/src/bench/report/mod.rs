//! Results for people and programs.
//!
//! - [`table`]: rows of a case, aligned
//! - [`plot`]: rows of a case as an SVG picture
//! - [`conditions`]: what machine it was, and what was measured
//! - [`page`]: all of it together, in Markdown

mod conditions;
mod page;
mod plot;
mod table;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{Args, row::Row};
use crate::workspace::Workspace;

/// Prints the rows of a case on stdout.
pub fn show(rows: &[Row], json: bool) {
    if json {
        print!("{}", lines(rows));
    } else {
        println!("\n{}", table::text(rows));
    }
}

/// Writes the whole report: `README.md`, `rows.json`, and a picture of every case that has one.
pub fn write(workspace: &Workspace, args: &Args, rows: &[Row], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let save = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    save("rows.json", &lines(rows))?;
    let mut pictures = Vec::new();
    for case in cases(rows) {
        if let Some(picture) = plot::svg(case)? {
            let name = format!("{}.svg", case[0].bench);
            save(&name, &picture)?;
            pictures.push(case[0].bench);
        }
    }
    let conditions = conditions::list(workspace, args)?;
    save("README.md", &page::markdown(rows, &pictures, &conditions))
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
