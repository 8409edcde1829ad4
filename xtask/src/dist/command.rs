//! `xgre` as it is given away: without the paths of this machine in it, and without symbols.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{build, process::run, say, toolchain, workspace::Workspace};

/// How the command finds the C library.
#[derive(Clone, Copy)]
pub enum Linkage {
    /// As a shared library: the distribution keeps it.
    Shared,
    /// It is inside.
    Static,
}

impl Linkage {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Static => "static",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Shared => &[],
            Self::Static => &["-Ctarget-feature=+crt-static"],
        }
    }
}

/// Builds the command, and says where it is.
pub fn build(workspace: &Workspace, linkage: Linkage) -> Result<PathBuf> {
    say::step(&format!("building xgre ({})", linkage.name()));
    let target = toolchain::host()?;
    // Of its own, for other flags would have everything built anew next time.
    let folder = workspace.target.join("dist-build").join(linkage.name());
    let mut flags = build::unnamed(workspace)?;
    flags.extend(linkage.flags().iter().map(ToString::to_string));
    let mut cargo = build::with_object(workspace);
    cargo
        .args(["build", "--release", "--package", "gre-user", "--bin", "xgre", "--locked"])
        .args(["--target", &target, "--target-dir"])
        .arg(&folder)
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    run(&mut cargo).context("xgre did not build")?;
    let xgre = folder.join(target).join("release/xgre");
    if let Linkage::Static = linkage {
        check_static(&xgre)?;
    }
    Ok(xgre)
}

/// Writes manual pages and completions below a prefix.
pub fn write_manual(workspace: &Workspace, prefix: &Path) -> Result<()> {
    let mut cargo = build::with_object(workspace);
    cargo.args(["run", "--quiet", "--package", "gre-user", "--example", "manual", "--"]);
    run(cargo.arg(prefix)).context("the manual is not written")
}

fn check_static(xgre: &Path) -> Result<()> {
    let output = Command::new("readelf").arg("--program-headers").arg(xgre).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !text.contains("INTERP"), "xgre is not static");
    Ok(())
}
