//! `vm -- test`: the integration tests, built here. An emulated processor takes an hour for what takes a minute here.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;

use crate::{build, say, test, toolchain::Install, workspace::Workspace};

/// Brings what the tests run, builds them, and says which they are in arguments of `test`.
pub fn bring(workspace: &Workspace, install: Install) -> Result<Vec<String>> {
    test::bring(install)?;
    say::step("building the tests");
    let mut cargo = build::with_object(workspace);
    cargo
        .args(["test", "--no-run", "--quiet", "--package", "testbed", "--tests"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the tests did not build");
    let mut arguments = vec![];
    for message in Message::parse_stream(&output.stdout[..]) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        arguments.extend(artifact.executable.map(|binary| format!("--built={binary}")));
    }
    Ok(arguments)
}
