//! A mount namespace of the process's own, so that nothing made here outlives it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::Uid,
};

/// Where the private file systems go: the place of the system's BPF file system, so that no test can touch that.
const SCRATCH: &str = "/sys/fs/bpf";

static DONE: OnceLock<Result<(), String>> = OnceLock::new();

/// Moves the process into a mount namespace of its own, with a private scratch file system.
///
/// Call it first, before there is a second thread: only the caller and threads started later move.
///
/// # Errors
/// Says what is missing, as a rule root.
pub fn isolate() -> Result<(), String> {
    DONE.get_or_init(|| {
        if !Uid::effective().is_root() {
            return Err("needs root".to_owned());
        }
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("no mount namespace: {error}"))?;
        private_tmpfs().map_err(|error| format!("no scratch file system: {error}"))
    })
    .clone()
}

fn private_tmpfs() -> nix::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), SCRATCH, Some("tmpfs"), MsFlags::empty(), none)
}

/// A new folder that only this process and its children see.
pub(crate) fn scratch_dir(purpose: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    assert!(matches!(DONE.get(), Some(Ok(()))), "testbed::isolate() comes first");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(SCRATCH).join(format!("{purpose}-{number}"));
    fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// A BPF file system of its own, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Bpffs {
    pub(crate) path: PathBuf,
}

impl Bpffs {
    pub(crate) fn new() -> Self {
        let path = scratch_dir("bpffs");
        let none = None::<&str>;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), none)
            .unwrap_or_else(|error| panic!("mount a BPF file system: {error}"));
        Self { path }
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.path);
    }
}
