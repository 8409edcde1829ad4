//! A kernel of Debian, unpacked under `target/vm` the first time it is asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{archive::Archive, initramfs};
use crate::{process::run, say, workspace::Workspace};

/// The kernels to choose from.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Version {
    /// Debian 12's own
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's, as Debian 12's backport
    #[value(name = "6.12")]
    V6_12,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The `linux-image-amd64` of the last of these suites is this kernel.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V6_1 => &["debian bookworm", "debian-security bookworm-security"],
            Self::V6_12 => &["debian bookworm", "debian bookworm-backports"],
        }
    }
}

/// A kernel on disk.
pub struct Kernel {
    folder: PathBuf,
    /// What `uname -r` says inside.
    pub release: String,
}

impl Kernel {
    /// Finds the kernel, or downloads it.
    pub fn find(workspace: &Workspace, version: Version) -> Result<Self> {
        let folder = workspace.target.join("vm").join(version.name());
        if !folder.exists() {
            // Complete or absent: an interrupted download begins anew.
            let unfinished = folder.with_file_name(format!("{}.unfinished", version.name()));
            let _ = fs::remove_dir_all(&unfinished);
            download(version, &unfinished)
                .with_context(|| format!("cannot get Linux {} from Debian", version.name()))?;
            fs::rename(&unfinished, &folder)?;
        }
        let kernel = Self::open(folder)?;
        initramfs::write(&kernel)?;
        Ok(kernel)
    }

    /// The image.
    pub fn image(&self) -> PathBuf {
        self.folder.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// What the image starts.
    pub fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }

    /// What the kernel said when it ran last.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// All modules, as `/lib/modules/RELEASE` has them.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// A shell and small tools that need no library.
    pub fn busybox(&self) -> PathBuf {
        self.folder.join("bin/busybox")
    }

    fn open(folder: PathBuf) -> Result<Self> {
        let mut modules = fs::read_dir(folder.join("lib/modules"))?;
        let release = modules.next().context("the kernel has no modules")??.file_name();
        Ok(Self { release: release.to_string_lossy().into_owned(), folder })
    }
}

fn download(version: Version, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let archive = Archive::open(&folder.join("apt"), version.suites())?;
    let package = archive.behind("linux-image-amd64")?;
    say::step(&format!("downloading {package} and busybox-static (Debian); neither is installed"));
    archive.unpack(&package, folder)?;
    archive.unpack("busybox-static", folder)?;
    fs::remove_dir_all(folder.join("apt"))?;

    let kernel = Kernel::open(folder.to_owned())?;
    run(Command::new("/usr/sbin/depmod").arg("--basedir").arg(folder).arg(&kernel.release))
}
