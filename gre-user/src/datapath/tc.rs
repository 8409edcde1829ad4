//! One TC program at the ingress of one interface.
//!
//! TCX (Linux 6.6) has links, which are pinned. Below it there is clsact, whose filters stay by
//! themselves and are found again by priority and handle.
//!
//! Ours stand before everybody else's: no one else may change what `uplink_xdp` hands over, or let a packet in
//! transit go on before its rule was asked. Among ours `transit_tc` comes second: what a tunnel of our own
//! takes is not in transit.

use std::{io, path::Path};

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
};
use gre_common::tables::{Hook, IfIndex};
use nix::libc;

use super::{Error, Result, pinned};
use crate::{
    netlink::{filter::Filter, link::Link},
    state::StateDir,
};

/// "GR", which no one else is likely to use.
const HANDLE: TcHandle = TcHandle::new(0, 0x4752);
/// The kind of our filters.
const KIND: &str = "bpf";

/// Puts the program on an interface, in place of the one that is there.
///
/// # Errors
/// The kernel refuses.
pub(super) fn attach(
    program: &mut SchedClassifier,
    dir: &StateDir,
    hook: Hook,
    link: &Link,
) -> Result<()> {
    let interface = link.name.as_str();
    let failed = |error| Error::program(format!("attach TC to {interface}"))(error);
    let pin = dir.link(hook, link.ifindex);
    if let Some(there) = at(&pin) {
        let id = program.attach_to_link(there).map_err(failed)?;
        // The pin holds the link; this handle may go.
        drop(program.take_link(id).map_err(failed)?);
        return Ok(());
    }
    let ahead = ahead(dir, hook, link.ifindex);
    let order = ahead.as_ref().map_or(Ok(LinkOrder::first()), LinkOrder::after_link)?;
    let options = TcAttachOptions::TcxOrder(order);
    let id = match program.attach_with_options(interface, TcAttachType::Ingress, options) {
        Ok(id) => id,
        Err(error) if has_no_tcx(&error) => {
            return attach_clsact(program, interface, priority(hook));
        }
        Err(error) => return Err(failed(error)),
    };
    let attached: FdLink = program.take_link(id).map_err(failed)?.try_into()?;
    attached.pin(pin)?;
    Ok(())
}

/// Takes the program off; absent is fine.
///
/// # Errors
/// The pin cannot be removed.
pub(super) fn detach(dir: &StateDir, hook: Hook, interface: &str, ifindex: IfIndex) -> Result<()> {
    let pin = dir.link(hook, ifindex);
    if pin.exists() {
        return pinned::detach(&pin);
    }
    // Dropping the link deletes the filter, if there is one.
    drop(filter(interface, priority(hook)));
    Ok(())
}

/// Whether a filter is one of ours, below TCX.
pub fn is_ours(filter: &Filter) -> bool {
    filter.handle == u32::from(HANDLE)
}

/// Whether a filter stands where ours would, below TCX: one priority holds filters of one kind.
pub fn is_in_the_way(filter: &Filter) -> bool {
    filter.priority == priority(Hook::UPLINK_TC) && filter.kind != KIND
}

/// The link of ours that a hook's comes behind.
fn ahead(dir: &StateDir, hook: Hook, ifindex: IfIndex) -> Option<SchedClassifierLink> {
    let before: &[Hook] = match hook {
        Hook::TRANSIT_TC => &[Hook::UPLINK_TC, Hook::PORT_TC],
        _ => &[],
    };
    before.iter().find_map(|&before| at(&dir.link(before, ifindex)))
}

/// Where a hook's filter stands below TCX.
fn priority(hook: Hook) -> u16 {
    if hook == Hook::TRANSIT_TC { 2 } else { 1 }
}

/// Our filter of a priority, if it is there.
fn filter(interface: &str, priority: u16) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, TcAttachType::Ingress, priority, HANDLE, None)
}

/// Whether the kernel does not know the kind of link that TCX is.
fn has_no_tcx(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::EINVAL),
        _ => false,
    }
}

fn attach_clsact(program: &mut SchedClassifier, interface: &str, priority: u16) -> Result<()> {
    if let Err(source) = qdisc_add_clsact(interface)
        && errno(&source) != Some(libc::EEXIST)
    {
        return Err(Error::Tc { interface: interface.to_owned(), source });
    }
    let failed = |error| Error::program(format!("attach TC to {interface}"))(error);
    let same = filter(interface, priority);
    let replaced = same.ok().map(|link| program.attach_to_link(link));
    let id = if let Some(Ok(id)) = replaced {
        id
    } else {
        let options = NlOptions { priority, handle: HANDLE, classid: None };
        let options = TcAttachOptions::Netlink(options);
        match program.attach_with_options(interface, TcAttachType::Ingress, options) {
            // One priority holds filters of one kind and protocol.
            Err(error) if errno(&error) == Some(libc::EINVAL) => {
                let interface = interface.to_owned();
                return Err(Error::ForeignFilter { interface, priority });
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

fn at(pin: &Path) -> Option<SchedClassifierLink> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).try_into().ok()
}
