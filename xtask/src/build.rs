//! `cargo xtask build`: the eBPF programs, then the command that carries them.

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::{
    process::run,
    say,
    toolchain::{Install, Toolchain},
    tools::{self, Tool},
    workspace::Workspace,
};

/// What the command is built with, besides Rust's compiler.
const COMMAND: &[Tool] = &[("protoc", "protobuf-compiler"), ("cc", "gcc")];

/// Arguments of `build`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    install: Install,
}

/// Builds, and says where the result is.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    all(workspace, args.install)?;
    say::step(&format!("built {}", workspace.xgre().display()));
    Ok(ExitCode::SUCCESS)
}

/// Builds everything: [`Workspace::ebpf_object`] and [`Workspace::xgre`].
pub fn all(workspace: &Workspace, install: Install) -> Result<()> {
    programs(workspace, install)?;
    say::step("building xgre");
    run(with_object(workspace).args(["build", "--release", "--package", "gre-user"]))
        .context("xgre did not build")
}

/// Builds [`Workspace::ebpf_object`], and brings what building the command takes besides.
pub fn programs(workspace: &Workspace, install: Install) -> Result<()> {
    tools::bring(
        COMMAND,
        "the command is built with it: the way to ask etcd is written in its language",
        install,
    )?;
    let toolchain = Toolchain::find(workspace, install)?;
    say::step(&format!("building the eBPF programs ({toolchain})"));
    ebpf(workspace, &toolchain)
}

/// Builds each [`Workspace::example`] that the benchmarks run.
pub fn examples(workspace: &Workspace) -> Result<()> {
    let mut cargo = with_object(workspace);
    cargo.args(["build", "--release", "--package", "gre-user"]);
    cargo.args(["--example", "tenants", "--example", "hosts"]);
    run(&mut cargo).context("the examples did not build")
}

/// A cargo whose builds of gre-user carry the object that [`all`] made.
pub fn with_object(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo();
    cargo.env("XGRE_EBPF_OBJECT", workspace.ebpf_object());
    cargo
}

/// Flags for the compiler: no path of this machine gets into what it makes.
pub fn unnamed(workspace: &Workspace) -> Result<Vec<String>> {
    let places = [
        (home("CARGO_HOME", ".cargo")?, "/cargo"),
        (home("RUSTUP_HOME", ".rustup")?, "/rustup"),
        (workspace.root.clone(), "/xgre"),
    ];
    let renamed =
        |(from, to): &(PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(places.iter().map(renamed).collect())
}

/// Where a tool of the compiler keeps its files.
fn home(variable: &str, folder: &str) -> Result<PathBuf> {
    let default = env::home_dir().map(|home| home.join(folder));
    env::var_os(variable).map(PathBuf::from).or(default).context("where is your home?")
}

fn ebpf(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let flags = unnamed(workspace)?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["build", "--package", "gre-ebpf", "--profile", "ebpf"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        // Beside those of .cargo/config.toml.
        .arg(format!("--config=target.bpfel-unknown-none.rustflags={flags:?}"))
        // build-std is unstable; this is how a stable compiler is asked for it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        // Flags meant for the host would replace those of .cargo/config.toml.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Points at the libraries of the compiler that built xtask; this may be another one.
        .env_remove("LD_LIBRARY_PATH");
    run(&mut cargo).context("the eBPF programs did not build")
}
