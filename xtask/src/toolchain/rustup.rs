//! rustup, where there is one.

use std::{path::PathBuf, process::Command};

use super::answer;
use crate::say;

/// Adds a component to the active toolchain. Says so; false when there is no rustup or it cannot.
pub fn add(component: &str) -> bool {
    if answer(Command::new("rustup").arg("--version")).is_none() {
        return false;
    }
    say::step(&format!("installing {component}: rustup component add {component}"));
    let added = answer(Command::new("rustup").args(["component", "add", component])).is_some();
    if !added {
        say::note("rustup could not");
    }
    added
}

/// The compiler of an installed toolchain.
pub fn rustc_of(toolchain: &str) -> Option<PathBuf> {
    let mut rustup = Command::new("rustup");
    // Looking must not download.
    rustup.args(["which", "--toolchain", toolchain, "rustc"]).env("RUSTUP_AUTO_INSTALL", "0");
    answer(&mut rustup).map(PathBuf::from)
}
