//! Where the project is, and the toolchain that its root manifest asks for.

use std::{env, ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use semver::Version;
use serde::Deserialize;

/// The project on disk.
pub struct Workspace {
    /// The folder of the root manifest.
    pub root: PathBuf,
    /// Where cargo builds: `target`, or what the user's configuration says.
    pub target: PathBuf,
    /// The eBPF toolchain the project asks for.
    pub wanted: Wanted,
    /// The oldest compiler the project supports.
    pub min_rust: Version,
    /// The version of every package of the project.
    pub version: Version,
}

/// `[workspace.metadata.ebpf-toolchain]` of the root manifest.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wanted {
    /// bpf-linker: this version or a newer one.
    pub bpf_linker: Version,
    /// The major version of LLVM in that linker. It reads the output of this LLVM and of older ones.
    pub llvm: String,
    /// Debian packages: a compiler and the source of its standard library.
    pub debian_compiler: Vec<String>,
    /// Debian packages: what bpf-linker is built against.
    pub debian_llvm: Vec<String>,
}

impl Wanted {
    /// [`Wanted::llvm`] as a number.
    pub fn llvm_major(&self) -> Result<u64> {
        self.llvm.parse().with_context(|| format!("`llvm = \"{}\"` is not a number", self.llvm))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RootMetadata {
    ebpf_toolchain: Wanted,
}

impl Workspace {
    /// Asks cargo about the workspace that xtask belongs to.
    pub fn load() -> Result<Self> {
        // `cargo run` says where xtask is now; without it, it is where it was built.
        let folder = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let manifest = folder.join("Cargo.toml");
        let metadata =
            MetadataCommand::new().manifest_path(&manifest).no_deps().exec().context(
                "cannot read the workspace; was the project moved since xtask was built?",
            )?;
        let RootMetadata { ebpf_toolchain } =
            serde::Deserialize::deserialize(&metadata.workspace_metadata)
                .context("[workspace.metadata.ebpf-toolchain] of the root Cargo.toml is wrong")?;
        let package = metadata.packages.first().context("the workspace is empty")?;
        let min_rust =
            package.rust_version.clone().context("no `rust-version` in the workspace")?;
        let version = package.version.clone();
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
            wanted: ebpf_toolchain,
            min_rust,
            version,
        })
    }

    /// The built command.
    pub fn xgre(&self) -> PathBuf {
        self.target.join("release/xgre")
    }

    /// An example of gre-user, which the benchmarks run.
    pub fn example(&self, name: &str) -> PathBuf {
        self.target.join("release/examples").join(name)
    }

    /// What is given away.
    pub fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// The built eBPF programs.
    pub fn ebpf_object(&self) -> PathBuf {
        self.target.join("bpfel-unknown-none/ebpf/gre-ebpf")
    }

    /// The cargo that runs xtask, at the root of the project.
    ///
    /// A target set in the environment would move the results away from `target/release`.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(cargo());
        cargo.current_dir(&self.root).env_remove("CARGO_BUILD_TARGET");
        cargo
    }
}

/// The cargo that runs xtask, else the one on `PATH`.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
