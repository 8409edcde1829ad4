//! Takes the datapath down.

use std::fs;

use gre_common::tables::{Hook, IfIndex};

use super::{Result, load::remove_pin, port, uplink};
use crate::{
    netlink::Netlink,
    state::{State, StateDir},
};

/// Takes every program off its interface. Tunnels, tenants and ports stay in the pinned maps.
///
/// # Errors
/// A pin cannot be removed.
pub async fn programs(dir: &StateDir, state: &mut State, netlink: &Netlink) -> Result<()> {
    for uplink in state.uplinks()? {
        uplink::detach(dir, &uplink.name, uplink.ifindex)?;
        state.delete_uplink(uplink.ifindex)?;
    }
    for port in state.ports()? {
        let ifindex = port.record.ifindex;
        let device = netlink.link_by_index(ifindex).await?;
        port::detach(dir, &device.map_or(port.name, |device| device.name), ifindex)?;
    }
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
            if port.record.created != 0 {
                netlink.delete_link(port.record.ifindex).await?;
            }
        }
    }
    remove_links(dir)?;
    Ok(dir.remove()?)
}

/// Removes the links of a state that cannot be read, XDP first.
fn remove_links(dir: &StateDir) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir.links()) else { return Ok(()) };
    let mut links: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let xdp = dir.link(Hook::UPLINK_XDP, IfIndex::NONE);
    let xdp = xdp.file_name().map(|name| name.to_string_lossy().trim_end_matches('0').to_owned());
    links.sort_by_key(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        !name.unwrap_or_default().starts_with(xdp.as_deref().unwrap_or_default())
    });
    links.iter().try_for_each(|path| remove_pin(path))
}
