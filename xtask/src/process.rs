//! Runs other programs.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a command whose output is for the reader; its failure is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{} ended with {status}", program.display());
    Ok(())
}
