//! Brings the kernel programs into the binary.

use std::{env, error::Error, fs, path::PathBuf};

/// Where the programs are, if not where `cargo xtask build` leaves them.
const OBJECT_VARIABLE: &str = "XGRE_EBPF_OBJECT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    let object = env::var_os(OBJECT_VARIABLE).map_or_else(default_object, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let copy = PathBuf::from(env::var("OUT_DIR")?).join("gre-ebpf");
    fs::copy(&object, copy).map_err(|error| {
        format!("no kernel programs at {}: {error}; run `cargo xtask build`", object.display())
    })?;
    Ok(())
}

fn default_object() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpfel-unknown-none/ebpf/gre-ebpf")
}
