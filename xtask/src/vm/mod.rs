//! `cargo xtask vm`: a command inside a Debian kernel, over this machine's own files.
//!
//! The guest sees the root file system as it is here and writes into memory only, so it runs what
//! was built here. (`dist --check` boots another system.) It has no network but a wire from itself to itself, if asked for.
//!
//! - `kernel`: a kernel, its modules and busybox, from Debian's archive
//! - `archive`: packages of a Debian release, whatever this machine's own sources are
//! - `initramfs`: what the kernel starts: `init.sh`, which finds the root and starts there `guest.sh`, or systemd;
//!   either runs `command.sh`
//! - `machine`: QEMU
//! - `suite`: the tests, built here for the guest

mod archive;
mod initramfs;
mod kernel;
mod machine;
mod suite;

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};

use crate::{build, say, toolchain::Install, workspace::Workspace};
use kernel::{Kernel, Version};
use machine::{Machine, Root};

/// What the command may know of the environment; nothing else enters the guest.
const ENVIRONMENT: &[&str] = &[
    "CARGO",
    "CARGO_HOME",
    "CARGO_MANIFEST_DIR",
    "CARGO_TARGET_DIR",
    "HOME",
    "NO_COLOR",
    "PATH",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_BACKTRACE",
    "XGRE",
    "XGRE_PROBES",
    "XGRE_RECORD",
    "XGRE_SEED",
    "XGRE_STATE",
];

/// Arguments of `vm`.
#[derive(clap::Args)]
pub struct Args {
    /// The kernel to boot
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: Version,
    /// One processor that counts instructions for time: runs repeat to the instruction
    #[arg(long)]
    icount: bool,
    /// Two network devices (virtio-net), eth0 and eth1, joined by a wire; without, there is none
    #[arg(long)]
    wire: bool,
    /// Memory of the guest, in MiB; it holds also the files the command writes
    #[arg(long, default_value_t = 4096)]
    memory: u32,
    /// Minutes after which the guest is switched off
    #[arg(long, default_value_t = 180)]
    timeout: u64,
    /// A folder whose changes stay: it is the same inside and outside
    #[arg(long, value_name = "FOLDER")]
    share: Option<PathBuf>,
    /// Run any command, not a verb of xtask
    #[arg(long)]
    exec: bool,
    #[command(flatten)]
    install: Install,
    /// The verb of xtask, or the command, with its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Boots, runs the command, and ends as it did.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    machine::bring(workspace, args.install)?;
    let kernel = Kernel::find(workspace, args.kernel)?;
    let mut command = args.command.clone();
    if !args.exec {
        // The guest compiles nothing.
        build::all(workspace, args.install)?;
        match command.first().map(String::as_str) {
            Some("test") => {
                command.splice(1..1, suite::bring(workspace, args.install)?);
            }
            Some("bench") => build::examples(workspace)?,
            _ => {}
        }
        let xtask = env::current_exe().context("where is xtask?")?;
        command.insert(0, xtask.display().to_string());
    }
    let share = args.share.as_deref().map(|folder| {
        folder.canonicalize().with_context(|| format!("cannot share {}", folder.display()))
    });
    let machine = Machine {
        kernel: &kernel,
        icount: args.icount,
        wire: args.wire,
        memory: args.memory,
        limit: Duration::from_secs(60 * args.timeout),
        share: share.transpose()?,
        root: Root::Here,
    };
    say::step(&format!("booting Linux {}", kernel.release));
    machine.run(&script(&command)?)
}

/// Boots the system in a folder, runs a shell script there, and ends as it did. The guest sees a folder of ours where it is here.
pub fn boot(
    workspace: &Workspace,
    install: Install,
    system: PathBuf,
    share: PathBuf,
    script: &str,
) -> Result<ExitCode> {
    machine::bring(workspace, install)?;
    let kernel = Kernel::find(workspace, Version::V6_1)?;
    let machine = Machine {
        kernel: &kernel,
        icount: false,
        wire: false,
        memory: 2048,
        limit: Duration::from_secs(60 * 30),
        share: Some(share),
        root: Root::System(system),
    };
    say::step(&format!("booting Linux {}", kernel.release));
    machine.run(script)
}

/// The command for the guest's shell, from this folder and with what it may know of the environment.
fn script(command: &[String]) -> Result<String> {
    let folder = env::current_dir().context("where are we?")?;
    let known = ENVIRONMENT
        .iter()
        .filter_map(|name| Some(format!("export {name}={}\n", quoted(&env::var(name).ok()?))));
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    Ok(format!(
        "cd {} || exit\n{}export CARGO_NET_OFFLINE=true\nexec {}\n",
        quoted(&folder.display().to_string()),
        known.collect::<String>(),
        words.join(" "),
    ))
}

/// One word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_for_the_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("don't"), r"'don'\''t'");
    }
}
