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
    let file::File { model, fleet } = file::read(&args.file)?;
    let counts = Kind::ALL.map(|kind| {
        let count = model.keys().filter(|id| id.kind == kind).count();
        format!("{} {count}", kind.name())
    });
    let fleet = if fleet.is_some() { ", and a fleet is followed" } else { "" };
    output::print(&format!("{} is right: {}{fleet}", args.file.display(), counts.join(", ")))
}
