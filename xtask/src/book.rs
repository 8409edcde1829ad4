//! `cargo xtask book`: the documents as a book, by mdBook.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::{process, say, tools, workspace::Workspace};

/// What to type where it is missing.
const INSTALL: &str = "cargo install mdbook";

/// Whether mdBook is there.
///
/// # Errors
/// Says how to get it.
pub fn available() -> Result<()> {
    if tools::on_path("mdbook") {
        return Ok(());
    }
    bail!("mdbook not found: it makes the book. Type:\n  {INSTALL}")
}

/// What makes `target/book` of `docs`.
pub fn build(workspace: &Workspace) -> Command {
    let mut mdbook = Command::new("mdbook");
    mdbook.arg("build").arg(&workspace.root);
    mdbook.arg("--dest-dir").arg(workspace.target.join("book"));
    mdbook
}

/// Makes it, and says where it is.
pub fn verb(workspace: &Workspace) -> Result<ExitCode> {
    available()?;
    process::run(&mut build(workspace))?;
    say::note(&workspace.target.join("book/index.html").display().to_string());
    Ok(ExitCode::SUCCESS)
}
