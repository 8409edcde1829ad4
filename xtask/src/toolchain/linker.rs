//! bpf-linker: turns the compiler's LLVM bitcode into one eBPF object.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use semver::Version;

use super::{Install, answer, debian};
use crate::{
    process::run,
    say,
    workspace::{Wanted, cargo},
};

const NAME: &str = "bpf-linker";

/// A bpf-linker on this machine.
pub struct Linker {
    /// The executable.
    pub path: PathBuf,
    version: Version,
}

impl Linker {
    /// Finds a bpf-linker that is new enough, on `PATH` or where cargo installs; else builds one.
    pub fn find(wanted: &Wanted, install: Install) -> Result<Self> {
        let found: Vec<Self> = candidates().filter_map(Self::probe).collect();
        let newest = found.into_iter().max_by(|a, b| a.version.cmp(&b.version));
        let lack = match newest {
            Some(linker) if linker.version >= wanted.bpf_linker => return Ok(linker),
            Some(old) => format!("{old} at {} is too old", old.path.display()),
            None => format!("{NAME} is not installed"),
        };

        if install.allowed && debian::can_install() {
            debian::install(&wanted.debian_llvm, "what bpf-linker is built against")?;
            let build = CargoInstall::of(wanted);
            say::step(&format!("installing {NAME} (a minute or two): {build}"));
            run(&mut build.command()).with_context(|| format!("{NAME} did not build"))?;
            return Self::probe(cargo_bin().join(NAME))
                .with_context(|| format!("the {NAME} just installed does not run"));
        }
        bail!(
            "{lack}; the eBPF programs are linked by {NAME} {} or newer. Type one of these, then try again:\n    \
             cargo binstall {NAME}@{0}\n    sudo apt-get install {} && \\\n      {}   # Debian",
            wanted.bpf_linker,
            wanted.debian_llvm.join(" "),
            CargoInstall::of(wanted),
        );
    }

    fn probe(path: PathBuf) -> Option<Self> {
        let text = answer(Command::new(&path).arg("--version"))?;
        Some(Self { version: parse_version(&text)?, path })
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME} {}", self.version)
    }
}

/// `cargo install` of bpf-linker against Debian's LLVM, to run or to show.
struct CargoInstall {
    prefix: String,
    args: Vec<String>,
}

impl CargoInstall {
    fn of(Wanted { bpf_linker, llvm, .. }: &Wanted) -> Self {
        let args = format!(
            "install {NAME} --version {bpf_linker} --locked --no-default-features --features llvm-{llvm}"
        );
        Self {
            prefix: format!("/usr/lib/llvm-{llvm}"),
            args: args.split(' ').map(str::to_owned).collect(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(cargo());
        // A tool is built for itself: neither among the project's results nor with its flags.
        command
            .args(&self.args)
            .arg("--quiet")
            .arg("--force")
            .env("LLVM_PREFIX", &self.prefix)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir("/");
        command
    }
}

impl fmt::Display for CargoInstall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LLVM_PREFIX={} cargo {}", self.prefix, self.args.join(" "))
    }
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.push(cargo_bin());
    folders.dedup();
    folders.into_iter().map(|folder| folder.join(NAME)).filter(|file| file.is_file())
}

/// Where `cargo install` puts executables.
fn cargo_bin() -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    home.unwrap_or_else(|| Path::new("/root/.cargo").to_owned()).join("bin")
}

/// Reads `bpf-linker 0.13.0`.
fn parse_version(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix(NAME)?.split_whitespace().next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        assert_eq!(parse_version("bpf-linker 0.13.0"), Some(Version::new(0, 13, 0)));
        assert_eq!(parse_version("bpf-linker 0.13.0 (LLVM 22)\n"), Some(Version::new(0, 13, 0)));
        assert_eq!(parse_version("bpf-linker"), None);
        assert_eq!(parse_version("ld 2.40.0"), None);
    }
}
