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
    netlink::{Netlink, filter::Filter, link::Link},
    state::StateDir,
};

/// "GR", which no one else is likely to use.
const HANDLE: TcHandle = TcHandle::new(0, 0x4752);
/// The kind of our filters.
const KIND: &str = "bpf";

/// The program that is pinned.
///
/// # Errors
/// None is.
pub(super) fn pinned(dir: &StateDir, hook: Hook) -> Result<SchedClassifier> {
    SchedClassifier::from_pin(dir.program(hook.name())).map_err(|_| Error::NotLoaded)
}

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
    let pin = dir.link(hook, link.ifindex);
    if replace_linked(program, &pin, interface)? {
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
        Err(error) => return Err(failed(interface)(error)),
    };
    let attached: FdLink = program.take_link(id).map_err(failed(interface))?.try_into()?;
    attached.pin(pin)?;
    Ok(())
}

/// Puts the program in place of the one that is there. Where there is none, there is none afterwards.
///
/// # Errors
/// The kernel refuses.
pub(super) fn replace(
    program: &mut SchedClassifier,
    dir: &StateDir,
    hook: Hook,
    link: &Link,
) -> Result<()> {
    if !replace_linked(program, &dir.link(hook, link.ifindex), &link.name)? {
        replace_filter(program, &link.name, priority(hook));
    }
    Ok(())
}

/// Replaces what is linked by a pin, if there is one.
fn replace_linked(program: &mut SchedClassifier, pin: &Path, interface: &str) -> Result<bool> {
    let Some(there) = at(pin) else { return Ok(false) };
    let id = program.attach_to_link(there).map_err(failed(interface))?;
    // The pin holds the link; this handle may go.
    drop(program.take_link(id).map_err(failed(interface))?);
    Ok(true)
}

/// Replaces our filter of a priority, if there is one.
fn replace_filter(program: &mut SchedClassifier, interface: &str, priority: u16) -> bool {
    let Ok(there) = filter(interface, priority) else { return false };
    let replaced = program.attach_to_link(there).and_then(|id| program.take_link(id));
    // Dropping the link would delete the filter.
    replaced.map(std::mem::forget).is_ok()
}

/// Refuses an interface that has this program for another state. Packets would be decided twice.
///
/// # Errors
/// It has, or the kernel does not tell.
pub async fn check_alone(netlink: &Netlink, hook: Hook, link: &Link) -> Result<()> {
    let linked = match SchedClassifier::query_tcx(&link.name, TcAttachType::Ingress) {
        Ok((_, programs)) => {
            programs.iter().any(|program| program.name_as_str() == Some(hook.name()))
        }
        // Before Linux 6.6.
        Err(_) => false,
    };
    let is_same = |filter: &Filter| is_ours(filter) && filter.priority == priority(hook);
    if linked || netlink.ingress_filters(link.ifindex).await?.iter().any(is_same) {
        let interface = link.name.clone();
        return Err(Error::OtherState { interface, program: hook.name() });
    }
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
    if replace_filter(program, interface, priority) {
        return Ok(());
    }
    let options = NlOptions { priority, handle: HANDLE, classid: None };
    let options = TcAttachOptions::Netlink(options);
    let id = match program.attach_with_options(interface, TcAttachType::Ingress, options) {
        Ok(id) => id,
        // One priority holds filters of one kind and protocol.
        Err(error) if errno(&error) == Some(libc::EINVAL) => {
            return Err(Error::ForeignFilter { interface: interface.to_owned(), priority });
        }
        Err(error) => return Err(failed(interface)(error)),
    };
    // Dropping the link would delete the filter.
    std::mem::forget(program.take_link(id).map_err(failed(interface))?);
    Ok(())
}

fn failed(interface: &str) -> impl FnOnce(ProgramError) -> Error {
    Error::program(format!("attach TC to {interface}"))
}

/// The kernel's word for it.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.and_then(std::io::Error::raw_os_error).or_else(|| errno(error.source()?))
}

fn at(pin: &Path) -> Option<SchedClassifierLink> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).try_into().ok()
}
