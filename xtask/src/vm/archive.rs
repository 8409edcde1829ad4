//! Packages from Debian's archive, beside the machine's own sources and without changing them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::process::run;

/// Where Debian's packages come from; `deb.debian.org` finds a mirror near by.
const MIRROR: &str = "http://deb.debian.org";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites of the archive, with lists and downloads in a folder of their own.
pub struct Archive {
    folder: PathBuf,
    preferred: String,
}

impl Archive {
    /// Reads the lists of suites such as `debian bookworm` or `debian-security bookworm-security`.
    /// What several have is taken from the last.
    pub fn open(folder: &Path, suites: &[&str]) -> Result<Self> {
        let last = suites.last().and_then(|suite| suite.split(' ').next_back());
        let preferred = last.unwrap_or_default().to_owned();
        let archive = Self { folder: folder.to_owned(), preferred };
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let source = |suite| format!("deb [signed-by={KEYRING}] {MIRROR}/{suite} main\n");
        let sources: Vec<_> = suites.iter().map(source).collect();
        fs::write(archive.sources(), sources.concat())
            .context("cannot write the list of sources")?;
        run(archive.apt("apt-get").arg("update")).context("cannot read Debian's package lists")?;
        Ok(archive)
    }

    /// The package that a meta package stands for.
    pub fn behind(&self, meta: &str) -> Result<String> {
        let output = self.apt("apt-cache").args(["depends", meta]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let package = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(package.with_context(|| format!("Debian has no {meta}"))?.to_owned())
    }

    /// Downloads a package and unpacks it into a folder. Nothing is installed.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let downloads = self.folder.join("downloads");
        fs::create_dir_all(&downloads)?;
        run(self.apt("apt-get").args(["download", package]).current_dir(&downloads))?;
        for file in fs::read_dir(&downloads)? {
            run(Command::new("dpkg-deb").arg("--extract").arg(file?.path()).arg(into))?;
        }
        Ok(fs::remove_dir_all(&downloads)?)
    }

    /// Installs packages.
    pub fn install(&self, packages: &[&str]) -> Result<()> {
        let mut apt = self.apt("apt-get");
        apt.args(["install", "--yes", "--no-install-recommends", "--no-remove"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        let output = apt.output().context("cannot run apt-get")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("sources.list")
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let option = |name, path: &Path| format!("-o{name}={}", path.display());
        apt.arg("-qq")
            .arg(option("Dir::Etc::SourceList", &self.sources()))
            .arg(option("Dir::State::Lists", &self.folder.join("lists")))
            .arg(option("Dir::Cache", &self.folder.join("cache")))
            .arg("-oDir::Etc::SourceParts=/dev/null")
            .arg(format!("-oAPT::Default-Release={}", self.preferred))
            .arg("-oAcquire::Retries=3")
            .arg("-oDPkg::Lock::Timeout=120")
            // The user apt downloads as cannot enter every folder.
            .arg("-oAPT::Sandbox::User=root");
        apt
    }
}

/// The code name of this machine's Debian, for example `bookworm`.
pub fn code_name() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("which Debian is this?")?;
    let mut lines = text.lines();
    let name = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.unwrap_or_default().trim_matches('"');
    ensure!(!name.is_empty(), "/etc/os-release has no VERSION_CODENAME");
    Ok(name.to_owned())
}
