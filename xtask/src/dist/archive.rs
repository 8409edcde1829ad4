//! The archive for any Linux: unpack it to a prefix such as `/usr/local`. Its command needs no library.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{empty, tree};
use crate::{say, workspace::Workspace};

/// The prefix that the files in it name.
const PREFIX: &str = "/usr/local";

/// Makes the archive.
pub fn pack(workspace: &Workspace, parts: &tree::Parts, epoch: u64) -> Result<PathBuf> {
    say::step("making the portable archive");
    let name = format!("xgre-{}-{}-linux", workspace.version, env::consts::ARCH);
    let around = workspace.target.join("dist-build/archive");
    empty(&around)?;
    let root = around.join(&name);
    let own = workspace.root.join("dist");

    tree::lay_out(workspace, parts, &root)?;
    // Where zsh looks below `/usr/local`.
    let zsh = root.join("share/zsh");
    fs::rename(zsh.join("vendor-completions"), zsh.join("site-functions"))?;
    for (name, place) in
        [("xgre.service", "lib/systemd/system/xgre.service"), ("xgre.toml", "etc/xgre/xgre.toml")]
    {
        let text = fs::read_to_string(own.join(name))?.replace("/usr/", &format!("{PREFIX}/"));
        tree::write(&root.join(place), text.as_bytes())?;
    }
    tree::copy(&own.join("xgre.default"), &root.join("etc/default/xgre"))?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        tree::copy(&workspace.root.join(licence), &root.join("share/doc/xgre").join(licence))?;
    }

    let archive = workspace.dist().join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=root:0", "--group=root:0", "--mode=go-w"])
        .args([&format!("--mtime=@{epoch}"), "--format=gnu", &name])
        .current_dir(&around)
        .stdout(Stdio::piped());
    let mut packing = tar.spawn().context("cannot run tar")?;
    let packed = packing.stdout.take().context("no pipe")?;
    // Without the name and the time of a file.
    let mut gzip = Command::new("gzip");
    gzip.args(["--no-name", "--best"]).stdin(packed).stdout(fs::File::create(&archive)?);
    let gzipped = gzip.status().context("cannot run gzip")?;
    ensure!(packing.wait()?.success() && gzipped.success(), "the archive is not complete");
    Ok(archive)
}
