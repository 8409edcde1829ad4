//! Puts programs that do the same, and more, in the place of those that are attached; and those back.
//!
//! Each exchange is one step of the kernel's: every packet meets the one program or the other.

use aya::programs::{SchedClassifier, Xdp, XdpMode};
use aya_obj::programs::XdpAttachType;
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

/// Puts the programs that are pinned back. What can be, is.
///
/// # Errors
/// The kernel refuses, or no programs are pinned.
pub fn put_back(dir: &StateDir, places: &[Place]) -> Result<()> {
    let put_one = |place: &Place| {
        let pin = dir.program(place.hook.name());
        if place.hook.is_xdp() {
            let program = Xdp::from_pin(pin, XdpAttachType::Interface);
            put_xdp(&mut program.map_err(|_| Error::NotLoaded)?, dir, place)
        } else {
            let program = SchedClassifier::from_pin(pin);
            let mut program = program.map_err(|_| Error::NotLoaded)?;
            tc::replace(&mut program, dir, place.hook, &place.link)
        }
    };
    places.iter().map(put_one).fold(Ok(()), Result::and)
}

fn put_xdp(program: &mut Xdp, dir: &StateDir, Place { hook, link }: &Place) -> Result<()> {
    let pin = dir.link(*hook, link.ifindex);
    if !pin.exists() {
        return Ok(());
    }
    let put = xdp::attach(program, link, XdpMode::Driver, &pin);
    put.map_err(Error::program(format!("exchange the program at {}", link.name)))
}
