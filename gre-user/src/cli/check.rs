//! `xgre check`

use std::path::PathBuf;

use super::output;
use crate::config::{file, model::Kind};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; - is the standard input.
    file: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let model = file::read(&args.file)?;
    let counts = Kind::ALL.map(|kind| {
        let count = model.keys().filter(|id| id.kind == kind).count();
        format!("{} {count}", kind.name())
    });
    output::print(&format!("{} is right: {}", args.file.display(), counts.join(", ")))
}
