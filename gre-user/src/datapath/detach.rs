//! Takes the datapath down.

use gre_common::tables::Hook;

use super::{Result, flood, load::remove_pin, pinned, port, transit, uplink};
use crate::{
    netlink::Netlink,
    state::{State, StateDir},
};

/// Takes every program off its interface. Tunnels, tenants, ports and transit rules stay in the pinned maps.
///
/// # Errors
/// A pin cannot be removed.
pub async fn programs(dir: &StateDir, state: &mut State, netlink: &Netlink) -> Result<()> {
    for uplink in state.uplinks()? {
        uplink::detach(dir, &uplink.name, uplink.ifindex)?;
        state.delete_uplink(uplink.ifindex)?;
    }
    for port in state.ports()? {
        let ifindex = port.ifindex();
        let device = netlink.link_by_index(ifindex).await?;
        port::detach(dir, &device.map_or(port.name, |device| device.name), ifindex)?;
    }
    for (ifindex, name) in state.transit_interfaces()? {
        let device = netlink.link_by_index(ifindex).await?;
        transit::detach(dir, &device.map_or(name, |device| device.name), ifindex)?;
    }
    flood::detach(dir, state.flood_device()?)?;
    for hook in Hook::ALL {
        remove_pin(&dir.program(hook.name()))?;
    }
    Ok(())
}

/// Takes every program off, removes the devices that xgre made, and the state.
///
/// # Errors
/// A pin or device cannot be removed.
pub async fn everything(dir: &StateDir, netlink: &Netlink) -> Result<()> {
    if let Ok(mut state) = State::open(dir) {
        programs(dir, &mut state, netlink).await?;
        for port in state.ports()? {
            port::delete_device(netlink, &port.record).await?;
        }
        let flood = netlink.link_by_index(state.flood_device()?).await?;
        if let Some(flood) = flood.filter(flood::is_device) {
            netlink.delete_link(flood.ifindex).await?;
        }
    } else {
        unreadable(dir, netlink).await?;
    }
    Ok(dir.remove()?)
}

/// Takes down a datapath whose maps another version made: what the pinned links tell is enough.
async fn unreadable(dir: &StateDir, netlink: &Netlink) -> Result<()> {
    // XDP first, for what it decapsulates needs TC.
    for hook in [
        Hook::UPLINK_XDP,
        Hook::PORT_XDP,
        Hook::UPLINK_TC,
        Hook::PORT_TC,
        Hook::TRANSIT_TC,
        Hook::FLOOD_TC,
    ] {
        for ifindex in dir.linked(hook) {
            pinned::detach(&dir.link(hook, ifindex))?;
            let device = netlink.link_by_index(ifindex).await?;
            let is_ours = |device| match hook {
                Hook::PORT_TC => port::is_created(&device),
                Hook::FLOOD_TC => flood::is_device(&device),
                _ => false,
            };
            if device.is_some_and(is_ours) {
                netlink.delete_link(ifindex).await?;
            }
        }
    }
    Ok(())
}
