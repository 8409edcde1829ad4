//! A rustc that can build `core` for the eBPF target: new enough, its source at hand, its LLVM
//! not newer than the linker's.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use semver::Version;

use super::{Install, answer, debian, rustup};
use crate::workspace::Workspace;

const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// A compiler on this machine.
pub struct Compiler {
    /// The executable itself, not rustup's proxy for it.
    pub rustc: PathBuf,
    sysroot: PathBuf,
    version: Version,
    llvm: u64,
}

impl Compiler {
    /// Finds a compiler that fits; else brings one.
    pub fn find(workspace: &Workspace, install: Install) -> Result<Self> {
        let llvm = workspace.wanted.llvm_major()?;
        let misfit = |compiler: &Self| compiler.misfit(&workspace.min_rust, llvm);

        let mut found = candidates();
        if let Some(fits) = found.iter().position(|compiler| misfit(compiler).is_none()) {
            return Ok(found.swap_remove(fits));
        }

        if install.allowed {
            let active_lacks_source =
                found.first().is_some_and(|c| misfit(c) == Some(Misfit::NoSource));
            if active_lacks_source && rustup::add("rust-src") {
                return active().context("the compiler vanished while its source was installed");
            }
            if debian::can_install() {
                let packages = &workspace.wanted.debian_compiler;
                debian::install(packages, "a compiler with the source of its standard library")?;
                return Self::probe(Path::new(SYSTEM_RUSTC))
                    .filter(|compiler| misfit(compiler).is_none())
                    .with_context(|| {
                        format!("{} brought no compiler that fits", packages.join(" "))
                    });
            }
        }

        bail!(
            "no compiler here can build the eBPF programs:{}\n  Type one of these, then try again:\n    \
             rustup component add rust-src   # a toolchain with LLVM {llvm} or older\n    \
             sudo apt-get install {}   # Debian",
            found.iter().filter_map(|c| Some(c.describe(&misfit(c)?))).collect::<String>(),
            workspace.wanted.debian_compiler.join(" "),
        );
    }

    /// Asks a rustc what it is. `None` when there is none, or it is too odd to tell.
    fn probe(rustc: &Path) -> Option<Self> {
        let ask = |args: &[&str]| answer(Command::new(rustc).args(args));
        let (version, llvm) = parse_version(&ask(&["-vV"])?)?;
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        let own = sysroot.join("bin/rustc");
        let rustc = if own.exists() { own } else { rustc.to_owned() };
        Some(Self { rustc, sysroot, version, llvm })
    }

    fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
    }

    fn describe(&self, misfit: &Misfit) -> String {
        format!("\n    {self} in {} {misfit}", self.sysroot.display())
    }

    fn misfit(&self, min_rust: &Version, linker_llvm: u64) -> Option<Misfit> {
        if self.version < *min_rust {
            Some(Misfit::TooOld(min_rust.clone()))
        } else if self.llvm > linker_llvm {
            Some(Misfit::LlvmTooNew { linker: linker_llvm })
        } else if !self.has_source() {
            Some(Misfit::NoSource)
        } else {
            None
        }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} with LLVM {}", self.version, self.llvm)
    }
}

/// Why a compiler cannot be used.
#[derive(PartialEq)]
enum Misfit {
    TooOld(Version),
    LlvmTooNew { linker: u64 },
    NoSource,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld(min) => write!(f, "is older than {min}"),
            Self::LlvmTooNew { linker } => {
                write!(f, "writes what bpf-linker, with LLVM {linker}, cannot read")
            }
            Self::NoSource => write!(f, "lacks the source of its standard library (rust-src)"),
        }
    }
}

/// The compilers to look at, best first.
fn candidates() -> Vec<Compiler> {
    let nightly = rustup::rustc_of("nightly").and_then(|rustc| Compiler::probe(&rustc));
    let system = Compiler::probe(Path::new(SYSTEM_RUSTC));
    let mut all: Vec<Compiler> = [active(), nightly, system].into_iter().flatten().collect();
    all.dedup_by(|a, b| a.rustc == b.rustc);
    all
}

fn active() -> Option<Compiler> {
    Compiler::probe(Path::new(&env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())))
}

/// Reads the release and the major version of LLVM out of `rustc -vV`.
///
/// A nightly counts as the release it leads to: pre-releases order below it.
fn parse_version(text: &str) -> Option<(Version, u64)> {
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut version = Version::parse(field("release")?).ok()?;
    version.pre = semver::Prerelease::EMPTY;
    let llvm = field("LLVM version")?.split('.').next()?.parse().ok()?;
    Some((version, llvm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stable_and_nightly() {
        let stable =
            "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM version: 22.1.2";
        assert_eq!(parse_version(stable), Some((Version::new(1, 95, 0), 22)));
        let nightly = "release: 1.98.0-nightly\nLLVM version: 23.0.0";
        assert_eq!(parse_version(nightly), Some((Version::new(1, 98, 0), 23)));
        assert_eq!(parse_version("release: 1.95.0"), None, "built without LLVM");
    }

    #[test]
    fn says_why_a_compiler_does_not_fit() {
        let compiler = Compiler {
            rustc: "rustc".into(),
            sysroot: "/nonexistent".into(),
            version: Version::new(1, 95, 0),
            llvm: 22,
        };
        let min = Version::new(1, 87, 0);
        assert!(compiler.misfit(&min, 22) == Some(Misfit::NoSource));
        assert!(compiler.misfit(&min, 21) == Some(Misfit::LlvmTooNew { linker: 21 }));
        let newer = Version::new(1, 96, 0);
        assert!(compiler.misfit(&newer, 22) == Some(Misfit::TooOld(newer.clone())));
    }
}
