//! The device on which frames go to several, and the program there.
//!
//! It carries no packets of the host's own. It is one end of a veth pair, the one kind of device that xgre needs anyway, and is
//! made when a tenant first has several tunnels or ports.

use std::fs;

use gre_common::tables::{Hook, IfIndex};

use super::{Error, Result, load::Programs, tc};
use crate::{
    netlink::{Netlink, link::Link},
    state::{State, StateDir},
};

const NAME: &str = "xgre-flood";
/// The other end, which nobody uses.
const OTHER_END: &str = "xgre-flood-end";
/// No frame is longer; what each member's way carries is asked there.
const MTU: u16 = 65_535;

/// Sees to it that there is the device, with the program that is pinned. Without one the next `run` attaches it.
///
/// # Errors
/// The kernel refuses.
pub async fn ensure(dir: &StateDir, state: &mut State, netlink: &Netlink) -> Result<()> {
    let known = state.flood_device()?;
    if known != IfIndex::NONE && netlink.link_by_index(known).await?.is_some() {
        return Ok(());
    }
    let link = device(netlink).await?;
    if let Ok(mut program) = tc::pinned(dir, Hook::FLOOD_TC) {
        tc::attach(&mut program, dir, Hook::FLOOD_TC, &link)?;
    }
    Ok(state.set_flood_device(link.ifindex)?)
}

/// Attaches the program just loaded, in place of that of an earlier run, if there was a need for it.
///
/// # Errors
/// The kernel refuses.
pub async fn attach(
    programs: &mut Programs,
    dir: &StateDir,
    state: &mut State,
    netlink: &Netlink,
) -> Result<()> {
    if state.flood_device()? == IfIndex::NONE {
        return Ok(());
    }
    let link = device(netlink).await?;
    tc::attach(programs.tc(Hook::FLOOD_TC)?, dir, Hook::FLOOD_TC, &link)?;
    Ok(state.set_flood_device(link.ifindex)?)
}

/// Takes the program off; absent is fine.
///
/// # Errors
/// A pin cannot be removed.
pub fn detach(dir: &StateDir, ifindex: IfIndex) -> Result<()> {
    tc::detach(dir, Hook::FLOOD_TC, NAME, ifindex)
}

/// Whether a device is the one, as far as its name tells.
pub fn is_device(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth") && link.name == NAME
}

/// The device, made where there is none.
async fn device(netlink: &Netlink) -> Result<Link> {
    if let Some(link) = netlink.link(NAME).await? {
        return if is_device(&link) { Ok(link) } else { Err(Error::FloodDevice(NAME)) };
    }
    let (link, _) = netlink.create_veth(NAME, OTHER_END, MTU, false).await?;
    for end in [NAME, OTHER_END] {
        // Without IPv6 there is nothing to turn off.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1");
    }
    Ok(link)
}
