//! The one moment that all files carry, so that two runs give the same bytes.

use std::{env, process::Command};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Seconds since 1970: `SOURCE_DATE_EPOCH`, or when the last commit was made.
pub fn epoch(workspace: &Workspace) -> Result<u64> {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let text = given.or_else(|| last_commit(workspace));
    let text =
        text.context("not a git repository: set SOURCE_DATE_EPOCH to a number of seconds")?;
    text.trim().parse().context("SOURCE_DATE_EPOCH is not a number of seconds")
}

fn last_commit(workspace: &Workspace) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(&workspace.root);
    let output = git.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The moment as mail and changelogs write it.
pub fn written(epoch: u64) -> Result<String> {
    let output = Command::new("date").args(["-R", "-u", "-d", &format!("@{epoch}")]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
