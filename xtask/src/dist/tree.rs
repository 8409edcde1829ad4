//! What lies below a prefix such as `/usr`, in the package and in the archive.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::command;
use crate::workspace::Workspace;

/// What the tree is made of, besides the project's own files.
pub struct Parts {
    /// The command.
    pub xgre: PathBuf,
    /// The list of crates inside.
    pub sbom: PathBuf,
}

const DOCUMENTS: &[&str] = &["README.md", "CHANGELOG.md", "SECURITY.md"];
/// Folders of `dist` for other programs.
const EXTRAS: &[&str] = &["grafana", "prometheus"];

/// Lays the tree out.
pub fn lay_out(workspace: &Workspace, parts: &Parts, prefix: &Path) -> Result<()> {
    let root = &workspace.root;
    copy(&parts.xgre, &prefix.join("bin/xgre"))?;
    command::write_manual(workspace, prefix)?;

    let documents = prefix.join("share/doc/xgre");
    copy(&parts.sbom, &documents.join("xgre.cdx.json"))?;
    for name in DOCUMENTS {
        copy(&root.join(name), &documents.join(name))?;
    }
    for path in files(&root.join("docs"))? {
        if path.extension().is_some_and(|extension| extension == "md") {
            copy(&path, &documents.join("docs").join(path.file_name().unwrap_or_default()))?;
        }
    }
    for name in EXTRAS {
        let folder = root.join("dist").join(name);
        for path in files(&folder).unwrap_or_default() {
            let below = prefix.join("share/xgre").join(name);
            copy(&path, &below.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Copies a file into a folder that need not exist yet; runnable stays runnable, and nothing else of its mode.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let runnable = fs::metadata(from)?.permissions().mode() & 0o111 != 0;
    write(to, &text)?;
    Ok(fs::set_permissions(to, Permissions::from_mode(if runnable { 0o755 } else { 0o644 }))?)
}

/// Writes a file into a folder that need not exist yet.
pub fn write(to: &Path, text: &[u8]) -> Result<()> {
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}
