//! Commands of the system that the demo and the tests run.

use std::env;

use anyhow::{Result, bail};

use crate::toolchain::{Install, debian};

/// A command, and the Debian package that holds it.
pub type Tool = (&'static str, &'static str);

/// What namespaces and pings take.
pub const NETWORK: &[Tool] = &[("ip", "iproute2"), ("ping", "iputils-ping")];

/// Brings the tools that are missing.
///
/// # Errors
///
/// Names those it could not bring.
pub fn bring(tools: &[Tool], why: &str, install: Install) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|(command, _)| !on_path(command)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if install.allowed && debian::can_install() {
        return debian::install_without_starting(&packages, why);
    }
    let commands: Vec<&str> = missing.iter().map(|(command, _)| *command).collect();
    bail!(
        "{} not found: {why}. Type:\n  sudo apt-get install {}   # Debian",
        commands.join(", "),
        packages.join(" ")
    );
}

/// Whether it is there.
pub fn on_path(command: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Daemons live where a plain user's PATH does not look.
    env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(command).is_file())
}
