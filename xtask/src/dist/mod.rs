//! `cargo xtask dist`: a Debian package, a portable archive, a list of what is inside (SBOM), and their checksums, in
//! `target/dist`. The same source, compiler and folder give the same bytes.
//!
//! - `command`: builds `xgre` for others: against shared libraries, and static
//! - `tree`: what lies below a prefix such as `/usr`
//! - `deb`: the Debian package, by debhelper
//! - `archive`: the tree for any Linux
//! - `sbom`: the crates inside, in `CycloneDX`
//! - `check`: the package, used and removed inside a virtual machine
//! - `time`: the one moment that everything carries

mod archive;
mod check;
mod command;
mod deb;
mod sbom;
mod time;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{
    build, say,
    toolchain::Install,
    tools::{self, Tool},
    workspace::Workspace,
};
use command::Linkage;

const TOOLS: &[Tool] = &[("dh", "debhelper"), ("dpkg-deb", "dpkg"), ("readelf", "binutils")];

/// Arguments of `dist`.
#[derive(clap::Args)]
pub struct Args {
    /// Then install the package in a bare Debian inside a virtual machine, use it, and remove it
    #[arg(long)]
    check: bool,
    /// Make nothing, and check this one
    #[arg(long, value_name = "FILE", requires = "check")]
    package: Option<PathBuf>,
    #[command(flatten)]
    install: Install,
}

/// Makes everything, and says where it is.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let package = match &args.package {
        Some(package) => package.canonicalize().context("there is no such package")?,
        None => make(workspace, args.install)?,
    };
    if args.check {
        return check::run_through(workspace, args.install, &package);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes everything anew, and says where the Debian package is.
fn make(workspace: &Workspace, install: Install) -> Result<PathBuf> {
    tools::bring(TOOLS, "what makes the Debian package", install)?;
    build::programs(workspace, install)?;
    let dist = workspace.dist();
    empty(&dist)?;
    let epoch = time::epoch(workspace)?;

    say::step("listing what is inside");
    let sbom = dist.join(format!("xgre-{}.cdx.json", workspace.version));
    fs::write(&sbom, sbom::document(workspace)?)?;

    let parts = |linkage| {
        let xgre = command::build(workspace, linkage)?;
        anyhow::Ok(tree::Parts { xgre, sbom: sbom.clone() })
    };
    let package = deb::pack(workspace, &parts(Linkage::Shared)?, epoch)?;
    let archive = archive::pack(workspace, &parts(Linkage::Static)?, epoch)?;
    sums(&dist, &[&archive, &package, &sbom])?;
    say::step(&format!("made {}", dist.display()));
    Ok(package)
}

/// Writes the checksums of files in a folder.
fn sums(folder: &Path, files: &[&Path]) -> Result<()> {
    let names = files.iter().filter_map(|file| file.file_name());
    let output = Command::new("sha256sum").args(names).current_dir(folder).output()?;
    ensure!(output.status.success(), "sha256sum ended with {}", output.status);
    Ok(fs::write(folder.join("SHA256SUMS"), output.stdout)?)
}

/// Makes a folder, without what an earlier run left there.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
