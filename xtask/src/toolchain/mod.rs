//! The eBPF toolchain: a compiler with the source of its standard library, and bpf-linker.
//!
//! What the machine has is used. What is missing is installed where that is safe to do without
//! asking (rustup's own component; packages on Debian as root), else the error says what to type.
//!
//! - `compiler`: rustc and its source
//! - `linker`: bpf-linker
//! - `rustup`, `debian`: the two ways to install

mod compiler;
pub mod debian;
mod linker;
pub mod rustup;

use std::{
    env, fmt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use compiler::Compiler;
use linker::Linker;

/// May missing tools be installed?
#[derive(Clone, Copy, clap::Args)]
pub struct Install {
    /// Install nothing: say what is missing, and fail
    #[arg(long = "no-install", action = clap::ArgAction::SetFalse)]
    pub allowed: bool,
}

/// What builds the eBPF programs.
pub struct Toolchain {
    /// A compiler that has the source of its standard library.
    pub rustc: PathBuf,
    /// bpf-linker.
    pub linker: PathBuf,
    versions: String,
}

impl Toolchain {
    /// Finds the toolchain, installing what is missing. The error names everything that is.
    pub fn find(workspace: &Workspace, install: Install) -> Result<Self> {
        let compiler = Compiler::find(workspace, install);
        let linker = Linker::find(&workspace.wanted, install);
        match (compiler, linker) {
            (Ok(compiler), Ok(linker)) => Ok(Self {
                versions: format!("{compiler}, {linker}"),
                rustc: compiler.rustc,
                linker: linker.path,
            }),
            (Err(compiler), Err(linker)) => bail!("{compiler:#}\n\n{linker:#}"),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.versions)
    }
}

/// What the compiler in use calls this machine.
pub fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    answer(Command::new(rustc).args(["--print", "host-tuple"])).context("rustc names no host")
}

/// The standard output of a command that is only asked something; `None` when it fails or does not exist.
fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
