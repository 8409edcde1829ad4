//! Adds and deletes tunnels, tenants, ports and transit rules: their entries in the state, their devices and programs
//! together. What the verbs of the command and configuration files share.
//!
//! - [`tunnel`], [`tenant`], [`port`], [`route`], [`fdb`], [`neighbour`], [`transit`]: one kind each, each change all or nothing.
//! - [`device`]: the devices of created ports. [`way`]: what destinations are behind.
//!
//! Items were [checked](crate::config::model::Item::check) before. Warnings go to stderr.

pub mod device;
pub mod fdb;
pub mod neighbour;
pub mod port;
pub mod route;
pub mod tenant;
pub mod transit;
pub mod tunnel;
pub mod way;

use std::collections::BTreeMap;

use gre_common::{tables::IfIndex, wire::ethernet::MacAddr};

use self::device::Parked;
use crate::{
    netlink::Netlink,
    state::{State, StateDir},
};

/// What is changed.
pub struct Host {
    /// Where the programs are pinned.
    pub dir: StateDir,
    /// The tables, locked.
    pub state: State,
    /// The interfaces.
    pub netlink: Netlink,
    /// Devices of ports that were deleted. They are there until [`Host::finish`], for a port of the same name.
    parked: Vec<Parked>,
    /// The addresses behind l3 ports that were deleted, by device. Some can no longer be asked for.
    stations: BTreeMap<IfIndex, MacAddr>,
}

impl Host {
    /// Locks the state.
    ///
    /// # Errors
    /// There is none, or a privilege is missing.
    pub fn open(dir: &StateDir) -> anyhow::Result<Self> {
        let (state, netlink) = (State::open(dir)?, Netlink::connect()?);
        Ok(Self { dir: dir.clone(), state, netlink, parked: Vec::new(), stations: BTreeMap::new() })
    }

    /// Deletes the devices that no port uses any more.
    ///
    /// # Errors
    /// The kernel refuses; the devices are then left behind.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        for parked in std::mem::take(&mut self.parked) {
            self.netlink.delete_link(parked.ifindex).await?;
        }
        Ok(())
    }
}
