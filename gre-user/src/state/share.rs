//! Lets a group use a state without root.
//!
//! Its users read what is in maps, and change tenants, stations and routes. Tunnels, ports, programs and whatever else asks the kernel
//! for a capability stay root's. Before Linux 5.19 the kernel refuses them maps too, unless
//! `kernel.unprivileged_bpf_disabled` is 0.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group};

use super::{Error, Result, StateDir};

/// Folders can be searched and read, maps also written.
const FOLDER: u32 = 0o750;
const MAP: u32 = 0o660;
/// Others may search a folder.
const SEARCH: u32 = 0o001;

/// The group of this name.
///
/// # Errors
/// There is none.
pub fn group(name: &str) -> Result<Gid> {
    let found = Group::from_name(name).ok().flatten();
    found.map(|group| group.gid).ok_or_else(|| Error::NoGroup(name.to_owned()))
}

impl StateDir {
    /// Gives the maps to a group. Returns the folders on the way that its users cannot search.
    ///
    /// # Errors
    /// The caller may not.
    pub fn share(&self, group: Gid) -> Result<Vec<PathBuf>> {
        let give = |path: &Path, mode: u32| -> io::Result<()> {
            chown(path, None, Some(group.as_raw()))?;
            fs::set_permissions(path, Permissions::from_mode(mode))
        };
        let shared = || -> io::Result<()> {
            give(self.path(), FOLDER)?;
            for folder in ["maps", "programs", "links"] {
                give(&self.path().join(folder), FOLDER)?;
            }
            for map in fs::read_dir(self.path().join("maps"))? {
                give(&map?.path(), MAP)?;
            }
            Ok(())
        };
        shared().map_err(|cause| self.failed("share", cause))?;
        let above = self.path().ancestors().skip(1);
        let is_closed = |path: &&Path| {
            fs::metadata(path).is_ok_and(|folder| folder.permissions().mode() & SEARCH == 0)
        };
        Ok(above.filter(is_closed).map(Path::to_owned).collect())
    }
}
