//! The folder on a BPF file system where the pins of one state are.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use gre_common::tables::{Hook, IfIndex};
use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::{
        stat::{major, minor},
        statfs::{BPF_FS_MAGIC, statfs},
    },
};

use super::{Error, Result};

/// The system's BPF file system.
const SYSTEM_BPFFS: &str = "/sys/fs/bpf";

/// Where the pins of one state are. One state serves one network namespace.
///
/// `maps/NAME`, `programs/NAME`, and `links/NAME-IFINDEX` (interface names may hold dots, which a BPF
/// file system refuses).
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// A folder, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.0.join("maps").join(name)
    }

    /// The pin of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.join("programs").join(name)
    }

    /// The pin of a program's link to an interface.
    pub fn link(&self, hook: Hook, ifindex: IfIndex) -> PathBuf {
        self.links().join(format!("{}-{}", hook.name(), ifindex.0))
    }

    /// The interfaces to which a program is linked by a pin.
    pub fn linked(&self, hook: Hook) -> Vec<IfIndex> {
        let Ok(entries) = fs::read_dir(self.links()) else { return Vec::new() };
        let ifindex = |name: &str| {
            let number = name.strip_prefix(hook.name())?.strip_prefix('-')?;
            number.parse().ok().map(IfIndex)
        };
        entries.flatten().filter_map(|entry| ifindex(entry.file_name().to_str()?)).collect()
    }

    /// The build of xgre whose programs are pinned, as it calls itself; `None` where it did not say.
    pub fn build(&self) -> Option<String> {
        let build = fs::read_link(self.build_link()).ok()?;
        Some(build.to_string_lossy().into_owned())
    }

    /// Says which build of xgre the pinned programs are of. A BPF file system takes no files with text, but links to what need
    /// not be there.
    ///
    /// # Errors
    /// The caller lacks the privilege.
    pub fn set_build(&self, build: &str) -> Result<()> {
        let link = self.build_link();
        let _ = fs::remove_file(&link);
        symlink(build, &link).map_err(|cause| self.failed("write to", cause))
    }

    fn build_link(&self) -> PathBuf {
        self.0.join("build")
    }

    fn links(&self) -> PathBuf {
        self.0.join("links")
    }

    /// Whether a state is here.
    pub fn exists(&self) -> bool {
        self.0.join("maps").is_dir()
    }

    /// Whether [`StateDir::create`] finds a BPF file system, or mounts it.
    ///
    /// # Errors
    /// It does not.
    pub fn check_parent(&self) -> Result<()> {
        let parent = self.parent();
        if is_bpffs(parent)? || parent == Path::new(SYSTEM_BPFFS) {
            return Ok(());
        }
        Err(Error::NotBpffs(parent.to_owned()))
    }

    /// Makes the folder, and mounts the system's BPF file system if that is where it belongs.
    ///
    /// # Errors
    /// Its parent is not on a BPF file system, or the caller lacks the privilege.
    pub fn create(&self) -> Result<()> {
        self.check_parent()?;
        let parent = self.parent();
        if !is_bpffs(parent)? {
            let no_data = None::<&str>;
            mount(Some("bpf"), parent, Some("bpf"), MsFlags::empty(), no_data)
                .map_err(|errno| self.failed("mount a BPF file system at", errno.into()))?;
        }
        for folder in ["maps", "programs", "links"] {
            fs::create_dir_all(self.0.join(folder)).map_err(|cause| self.failed("make", cause))?;
        }
        Ok(())
    }

    /// Removes the folder with every pin in it.
    ///
    /// # Errors
    /// The caller lacks the privilege.
    pub fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.0).map_err(|cause| self.failed("remove", cause))
    }

    /// Waits for the lock that every reader and writer of the state takes for a moment.
    ///
    /// # Errors
    /// There is no state, or the caller may not read it.
    pub fn lock(&self) -> Result<Flock<OwnedFd>> {
        let folder = self.open("maps")?;
        Flock::lock(folder, FlockArg::LockExclusive)
            .map_err(|(_, errno)| self.failed("lock", errno.into()))
    }

    /// Takes the lock that a running daemon holds; `None` where another one has it.
    ///
    /// # Errors
    /// There is no state, or the caller may not read it.
    pub fn lock_daemon(&self) -> Result<Option<Flock<OwnedFd>>> {
        match Flock::lock(self.open("links")?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(self.failed("lock", errno.into())),
        }
    }

    /// Takes the lock of whoever puts other programs in the place of those that are pinned.
    ///
    /// # Errors
    /// There is no state, somebody has the lock, or the caller may not read the state.
    pub fn lock_programs(&self) -> Result<Flock<OwnedFd>> {
        let locked = Flock::lock(self.open("programs")?, FlockArg::LockExclusiveNonblock);
        locked.map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => Error::Captured,
            errno => self.failed("lock", errno.into()),
        })
    }

    fn parent(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    /// Whether a daemon holds its lock, without asking for that: `/proc/locks` has the device and number of what is locked.
    pub fn daemon_runs(&self) -> bool {
        let Ok(links) = fs::metadata(self.links()) else { return false };
        let (device, inode) = (links.dev(), links.ino());
        let locked = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        locks.lines().any(|lock| lock.split_whitespace().any(|word| word == locked))
    }

    fn open(&self, folder: &str) -> Result<OwnedFd> {
        let path = self.0.join(folder);
        match File::open(&path) {
            Ok(file) => Ok(file.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::NoState(self.0.clone()))
            }
            Err(cause) => Err(self.failed("open", cause)),
        }
    }

    pub(super) fn failed(&self, action: &'static str, cause: io::Error) -> Error {
        if cause.kind() == io::ErrorKind::PermissionDenied {
            return Error::Permission(self.0.clone());
        }
        Error::Dir { action, path: self.0.clone(), cause }
    }
}

fn is_bpffs(path: &Path) -> Result<bool> {
    match statfs(path) {
        Ok(info) => Ok(info.filesystem_type() == BPF_FS_MAGIC),
        Err(nix::errno::Errno::ENOENT) => Err(Error::NotBpffs(path.to_owned())),
        Err(nix::errno::Errno::EACCES) => Err(Error::Permission(path.to_owned())),
        Err(errno) => {
            Err(Error::Dir { action: "examine", path: path.to_owned(), cause: errno.into() })
        }
    }
}
