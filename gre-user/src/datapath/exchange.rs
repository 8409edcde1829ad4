//! Puts programs that do the same, and more, in the place of those that are attached; and those back.
//!
//! Each exchange is one step of the kernel's: every packet meets the one program or the other.

use aya::programs::{ProgramInfo, Xdp, XdpMode};
use gre_common::tables::{Hook, IfIndex};

use super::{Error, Result, load::Programs, port, tc, xdp};
use crate::{
    netlink::{Netlink, link::Link},
    state::{State, StateDir},
};

/// Where a program is attached.
#[derive(Clone, Debug)]
pub struct Place {
    hook: Hook,
    link: Link,
}

/// Every place where there is a program now.
///
/// # Errors
/// The kernel does not tell.
pub async fn places(dir: &StateDir, state: &State, netlink: &Netlink) -> Result<Vec<Place>> {
    let mut hooks = Vec::new();
    for uplink in state.uplinks()? {
        hooks.push((Hook::UPLINK_TC, uplink.ifindex));
        if uplink.mode.has_xdp() {
            hooks.push((Hook::UPLINK_XDP, uplink.ifindex));
        }
    }
    for port in state.ports()? {
        hooks.push((Hook::PORT_TC, port.ifindex()));
        if port::has_xdp(dir, port.ifindex()) {
            hooks.push((Hook::PORT_XDP, port.ifindex()));
        }
    }
    hooks.extend(state.transit_interfaces()?.into_keys().map(|it| (Hook::TRANSIT_TC, it)));
    hooks.push((Hook::FLOOD_TC, state.flood_device()?));
    with_links(hooks, netlink).await
}

/// Those of which there is still the device.
async fn with_links(hooks: Vec<(Hook, IfIndex)>, netlink: &Netlink) -> Result<Vec<Place>> {
    let links = netlink.links().await?;
    let place = |(hook, ifindex)| {
        let link = links.iter().find(|link| link.ifindex == ifindex)?;
        Some(Place { hook, link: link.clone() })
    };
    Ok(hooks.into_iter().filter_map(place).collect())
}

/// Puts these programs in place of those that are there.
///
/// # Errors
/// The kernel refuses; then some are exchanged and some are not.
pub fn put(programs: &mut Programs, dir: &StateDir, places: &[Place]) -> Result<()> {
    places.iter().try_for_each(|place| match place.hook {
        hook if hook.is_xdp() => put_xdp(programs.xdp(hook)?, dir, place),
        hook => tc::replace(programs.tc(hook)?, dir, hook, &place.link),
    })
}

/// Puts the programs that are pinned back. What can be, is. If none are pinned, those that were there have been taken off.
///
/// # Errors
/// The kernel refuses.
pub fn put_back(dir: &StateDir, places: &[Place]) -> Result<()> {
    let put_one = |place: &Place| match place.hook {
        hook if hook.is_xdp() => put_xdp(&mut xdp::pinned(dir, hook)?, dir, place),
        hook => tc::replace(&mut tc::pinned(dir, hook)?, dir, hook, &place.link),
    };
    let is_pinned = |place: &&Place| dir.program(place.hook.name()).exists();
    places.iter().filter(is_pinned).map(put_one).fold(Ok(()), Result::and)
}

/// What tells the programs that are pinned from those of another run; `None`: none are.
pub fn generation(dir: &StateDir) -> Option<u32> {
    let pinned = ProgramInfo::from_pin(dir.program(Hook::UPLINK_TC.name()));
    pinned.ok().map(|program| program.id())
}

fn put_xdp(program: &mut Xdp, dir: &StateDir, Place { hook, link }: &Place) -> Result<()> {
    let pin = dir.link(*hook, link.ifindex);
    if !pin.exists() {
        return Ok(());
    }
    let put = xdp::attach(program, link, XdpMode::Driver, &pin);
    put.map_err(Error::program(format!("exchange the program at {}", link.name)))
}
