//! The program on an interface with transit rules.

use gre_common::tables::{Hook, IfIndex};

use super::{Result, load::Programs, tc};
use crate::{netlink::link::Link, state::StateDir};

/// Attaches the program that is pinned, without a daemon.
///
/// # Errors
/// No program is pinned, or the kernel refuses.
pub fn attach_pinned(dir: &StateDir, link: &Link) -> Result<()> {
    tc::attach(&mut tc::pinned(dir, Hook::TRANSIT_TC)?, dir, Hook::TRANSIT_TC, link)
}

/// Attaches the program just loaded, in place of that of an earlier run.
///
/// # Errors
/// The kernel refuses.
pub fn attach(programs: &mut Programs, dir: &StateDir, link: &Link) -> Result<()> {
    tc::attach(programs.tc(Hook::TRANSIT_TC)?, dir, Hook::TRANSIT_TC, link)
}

/// Takes the program off; absent is fine.
///
/// # Errors
/// The pin cannot be removed.
pub fn detach(dir: &StateDir, name: &str, ifindex: IfIndex) -> Result<()> {
    tc::detach(dir, Hook::TRANSIT_TC, name, ifindex)
}
