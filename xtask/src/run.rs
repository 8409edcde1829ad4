//! `cargo xtask run`: builds, then becomes `xgre run`, or shows the demo.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Error, Result, ensure};

use crate::{
    build, demo,
    toolchain::{Install, debian},
    workspace::Workspace,
};

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Args {
    /// An interface that carries GRE packets
    #[arg(long, required_unless_present = "demo")]
    iface: Vec<String>,
    /// Two hosts in network namespaces, joined by a keyed tunnel; touches nothing of this machine's network
    #[arg(long, conflicts_with_all = ["iface", "more"])]
    demo: bool,
    #[command(flatten)]
    install: Install,
    /// More arguments for `xgre run`
    #[arg(last = true, value_name = "XGRE ARGUMENTS")]
    more: Vec<String>,
}

/// Builds all; then runs it.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if args.demo {
        return demo::verb(workspace, args.install);
    }
    build::all(workspace, args.install)?;
    let xgre = workspace.xgre();
    let mut words = vec!["run".to_owned()];
    words.extend(args.iface.iter().flat_map(|iface| ["--iface".to_owned(), iface.clone()]));
    words.extend_from_slice(&args.more);
    ensure!(
        debian::is_root(),
        "xgre is built, but only root may attach it. Type:\n  sudo {} {}",
        xgre.display(),
        words.join(" ")
    );
    Err(Error::new(Command::new(&xgre).args(words).exec()))
        .with_context(|| format!("cannot run {}", xgre.display()))
}
