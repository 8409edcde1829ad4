//! Debian packages, installed without questions when we are root.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::Once,
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

use crate::say;

/// Is this a Debian on which we may install?
pub fn can_install() -> bool {
    is_root() && Path::new("/etc/debian_version").exists()
}

/// Are we root?
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Installs packages and says which and why. Never removes one to make room.
///
/// # Errors
///
/// When apt cannot; with what it said and what to type.
pub fn install<S: AsRef<str>>(packages: &[S], why: &str) -> Result<()> {
    static FRESH_LISTS: Once = Once::new();

    let names: Vec<&str> = packages.iter().map(AsRef::as_ref).collect();
    say::step(&format!("installing {} (Debian): {why}", names.join(" ")));

    // Lists may be absent or old on a fresh machine. Without a network they may still do.
    FRESH_LISTS.call_once(|| drop(apt().arg("update").output()));

    let output = apt()
        .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(&names)
        .output()
        .context("cannot run apt-get")?;
    if !output.status.success() {
        bail!(
            "Debian could not install {0}:\n{1}\n  Mend that, type `apt-get install {0}`, then try again.",
            names.join(" "),
            String::from_utf8_lossy(&output.stderr).trim(),
        );
    }
    Ok(())
}

/// Like [`install`], and no service starts because its package arrived.
///
/// # Errors
///
/// As [`install`].
pub fn install_without_starting<S: AsRef<str>>(packages: &[S], why: &str) -> Result<()> {
    let _quiet = NoServices::begin()?;
    install(packages, why)
}

/// Debian asks this file before it starts a service; 101 means no. Removed when dropped.
struct NoServices {
    policy: Option<&'static Path>,
    deferred: SigSet,
}

impl NoServices {
    fn begin() -> Result<Self> {
        // Ctrl-C waits until the file is gone.
        let deferred = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        deferred.thread_block()?;
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            // Somebody decided already, as in most containers.
            return Ok(Self { policy: None, deferred });
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(policy, Permissions::from_mode(0o755))?;
        Ok(Self { policy: Some(policy), deferred })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.policy {
            let _ = fs::remove_file(policy);
        }
        let _ = self.deferred.thread_unblock();
    }
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "-oDPkg::Lock::Timeout=120", "-oAcquire::Retries=3"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
