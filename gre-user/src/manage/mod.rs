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
}

impl Host {
    /// Locks the state.
    ///
    /// # Errors
    /// There is none, or a privilege is missing.
    pub fn open(dir: &StateDir) -> anyhow::Result<Self> {
        let (state, netlink) = (State::open(dir)?, Netlink::connect()?);
        Ok(Self { dir: dir.clone(), state, netlink })
    }
}
