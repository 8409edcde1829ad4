//! One TC program at the ingress of one interface.
//!
//! TCX (Linux 6.6) has links, which are pinned. Below it there is clsact, whose filters stay by
//! themselves and are found again by priority and handle.

use std::path::Path;

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
};
use nix::libc;

use super::{Error, Result, load::remove_pin};

/// Where our filters stand below TCX: first, like our links in TCX. No one else may change what
/// `uplink_xdp` hands over.
const PRIORITY: u16 = 1;
/// "GR", which no one else is likely to use.
const HANDLE: TcHandle = TcHandle::new(0, 0x4752);

/// Puts the program on an interface, in place of the one that is there.
///
/// # Errors
/// The kernel refuses.
pub(super) fn attach(program: &mut SchedClassifier, interface: &str, pin: &Path) -> Result<()> {
    let failed = |error| Error::program(format!("attach TC to {interface}"))(error);
    if let Some(pinned) = pinned(pin) {
        let id = program.attach_to_link(pinned).map_err(failed)?;
        // The pin holds the link; this handle may go.
        drop(program.take_link(id).map_err(failed)?);
        return Ok(());
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = match program.attach_with_options(interface, TcAttachType::Ingress, order) {
        Ok(id) => id,
        Err(error) if has_no_tcx(&error) => return attach_clsact(program, interface),
        Err(error) => return Err(failed(error)),
    };
    let link: FdLink = program.take_link(id).map_err(failed)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

/// Takes the program off; absent is fine.
///
/// # Errors
/// The pin cannot be removed.
pub(super) fn detach(interface: &str, pin: &Path) -> Result<()> {
    if pin.exists() {
        // The kernel detaches TCX when the last reference goes: the pin.
        return remove_pin(pin);
    }
    // Dropping the link deletes the filter, if there is one.
    drop(SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, HANDLE, None));
    Ok(())
}

/// Whether the kernel does not know the kind of link that TCX is.
fn has_no_tcx(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::EINVAL),
        _ => false,
    }
}

fn attach_clsact(program: &mut SchedClassifier, interface: &str) -> Result<()> {
    if let Err(source) = qdisc_add_clsact(interface)
        && errno(&source) != Some(libc::EEXIST)
    {
        return Err(Error::Tc { interface: interface.to_owned(), source });
    }
    let failed = |error| Error::program(format!("attach TC to {interface}"))(error);
    let same =
        SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, HANDLE, None);
    let replaced = same.ok().map(|link| program.attach_to_link(link));
    let id = if let Some(Ok(id)) = replaced {
        id
    } else {
        let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
        let options = TcAttachOptions::Netlink(options);
        match program.attach_with_options(interface, TcAttachType::Ingress, options) {
            // One priority holds filters of one kind and protocol.
            Err(error) if errno(&error) == Some(libc::EINVAL) => {
                return Err(Error::ForeignFilter(interface.to_owned()));
            }
            attached => attached.map_err(failed)?,
        }
    };
    // Dropping the link would delete the filter.
    std::mem::forget(program.take_link(id).map_err(failed)?);
    Ok(())
}

/// The kernel's word for it.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.and_then(std::io::Error::raw_os_error).or_else(|| errno(error.source()?))
}

fn pinned(pin: &Path) -> Option<SchedClassifierLink> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).try_into().ok()
}
