//! The Debian package. debhelper does what Debian's policy asks for: `dist/debian` tells it the rest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{empty, time, tree};
use crate::{process::run, say, workspace::Workspace};

/// Makes the package.
pub fn pack(workspace: &Workspace, parts: &tree::Parts, epoch: u64) -> Result<PathBuf> {
    say::step("making the Debian package");
    // debhelper leaves packages beside the source.
    let around = workspace.target.join("dist-build/deb");
    empty(&around)?;
    let source = around.join("xgre");
    let own = workspace.root.join("dist");

    let debian = source.join("debian");
    for file in fs::read_dir(own.join("debian"))? {
        let file = file?;
        tree::copy(&file.path(), &debian.join(file.file_name()))?;
    }
    tree::copy(&own.join("xgre.service"), &debian.join("xgre.service"))?;
    tree::write(&debian.join("changelog"), changelog(workspace, epoch)?.as_bytes())?;

    let root = source.join("root");
    tree::lay_out(workspace, parts, &root.join("usr"))?;
    tree::copy(&own.join("xgre.toml"), &root.join("etc/xgre/xgre.toml"))?;
    tree::copy(&own.join("xgre.default"), &root.join("etc/default/xgre"))?;

    let mut rules = Command::new("debian/rules");
    rules.arg("binary").current_dir(&source).env("SOURCE_DATE_EPOCH", epoch.to_string());
    run(&mut rules).context("debhelper did not make the package")?;
    let name = format!("xgre_{}_{}.deb", workspace.version, architecture()?);
    let package = workspace.dist().join(&name);
    fs::copy(around.join(&name), &package).context("debhelper made another package")?;
    Ok(package)
}

/// What Debian calls this machine's processor.
fn architecture() -> Result<String> {
    let output = Command::new("dpkg").arg("--print-architecture").output()?;
    ensure!(output.status.success(), "dpkg does not know the architecture");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// debhelper takes the version from it.
fn changelog(workspace: &Workspace, epoch: u64) -> Result<String> {
    let maintainer = maintainer(&workspace.root.join("dist/debian/control"))?;
    Ok(format!(
        "xgre ({}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {maintainer}  {}\n",
        workspace.version,
        time::written(epoch)?
    ))
}

fn maintainer(control: &Path) -> Result<String> {
    let text = fs::read_to_string(control)?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Maintainer: "));
    Ok(lines.next().context("dist/debian/control has no Maintainer")?.to_owned())
}
