//! One XDP program on one interface.

use std::path::Path;

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};
use aya_obj::programs::XdpAttachType;
use gre_common::tables::Hook;

use super::{Error, Result};
use crate::{netlink::link::Link, state::StateDir};

/// The program that is pinned.
///
/// # Errors
/// None is.
pub(super) fn pinned(dir: &StateDir, hook: Hook) -> Result<Xdp> {
    let program = Xdp::from_pin(dir.program(hook.name()), XdpAttachType::Interface);
    program.map_err(|_| Error::NotLoaded)
}

/// Puts the program on an interface, in place of the one that is pinned there.
///
/// # Errors
/// The kernel refuses; nothing has changed then.
pub(super) fn attach(
    program: &mut Xdp,
    link: &Link,
    mode: XdpMode,
    pin: &Path,
) -> std::result::Result<(), ProgramError> {
    if let Some(there) = at(pin) {
        let id = program.attach_to_link(there)?;
        // The pin holds the link; this handle may go.
        drop(program.take_link(id)?);
        return Ok(());
    }
    let id = program.attach_to_if_index(link.ifindex.0, mode)?;
    let attached: FdLink = program.take_link(id)?.try_into().map_err(other)?;
    attached.pin(pin).map_err(other)?;
    Ok(())
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> ProgramError {
    ProgramError::IOError(std::io::Error::other(error))
}

/// Refuses an interface that has somebody else's program.
pub(super) fn check_foreign(link: &Link, pin: &Path) -> Result<()> {
    match link.xdp_program {
        Some(id) if at(pin).is_none() => {
            Err(Error::ForeignXdp { interface: link.name.clone(), program: describe(id) })
        }
        _ => Ok(()),
    }
}

fn at(pin: &Path) -> Option<XdpLink> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).try_into().ok()
}

fn describe(id: u32) -> String {
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(name) if !name.is_empty() => format!("{name}, id {id}"),
        _ => format!("id {id}"),
    }
}

/// The error for a driver that refuses XDP.
pub(super) fn refused(link: &Link, mode: XdpMode, error: &ProgramError) -> Error {
    let what = if matches!(mode, XdpMode::Skb) { "generic XDP" } else { "native XDP" };
    not_possible(link, what, cause(error))
}

/// The error for a mode that a device does not have.
pub(super) fn not_possible(link: &Link, what: &'static str, cause: String) -> Error {
    let remedy = "use --mode auto".to_owned();
    Error::Mode { interface: link.name.clone(), what, cause, remedy }
}

/// What a driver that refuses XDP means.
pub(super) fn cause(error: &ProgramError) -> String {
    let errno = match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    };
    match errno {
        Some(nix::libc::EOPNOTSUPP) => "its driver has no XDP".to_owned(),
        Some(nix::libc::ERANGE) => "its driver refuses XDP at this MTU".to_owned(),
        Some(nix::libc::EBUSY) => "another XDP program is there".to_owned(),
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
        None => error.to_string(),
    }
}
