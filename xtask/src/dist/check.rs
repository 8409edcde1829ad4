//! `dist --check`: the package in a Debian 12 that has nothing else, with systemd, inside a virtual machine.
//!
//! `check.sh` is what happens there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{
    process::run,
    say,
    toolchain::{Install, debian},
    tools::{self, Tool},
    vm,
    workspace::Workspace,
};

const TOOLS: &[Tool] = &[("mmdebstrap", "mmdebstrap")];
/// The release that the package has to run on.
const RELEASE: &str = "bookworm";
/// What the check itself runs there, besides the smallest system there is.
const PACKAGES: &str = "--include=systemd-sysv,kmod,iproute2,iputils-ping";

/// Installs a package, uses it, and removes it again.
pub fn run_through(workspace: &Workspace, install: Install, package: &Path) -> Result<ExitCode> {
    let system = system(workspace, install)?;
    let script = format!("package='{}'\n{}", package.display(), include_str!("check.sh"));
    let folder = package.parent().context("a package in a folder")?.to_owned();
    vm::boot(workspace, install, system, folder, &script)
}

/// A bare Debian in a folder; made the first time it is asked for.
fn system(workspace: &Workspace, install: Install) -> Result<PathBuf> {
    let folder = workspace.target.join("vm").join(RELEASE);
    if !folder.exists() {
        ensure!(
            debian::is_root(),
            "the files of another system can be made by root only. Type:\n  {}",
            say::as_root("dist --check")
        );
        tools::bring(TOOLS, "what makes a bare Debian", install)?;
        say::step(&format!("making a bare Debian ({RELEASE})"));
        // Complete or absent: an interrupted one begins anew.
        let unfinished = folder.with_file_name(format!("{RELEASE}.unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--mode=root", "--variant=minbase", PACKAGES, RELEASE]);
        run(mmdebstrap.arg(&unfinished)).context("cannot make a bare Debian")?;
        fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}
