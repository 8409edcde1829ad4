//! Tunnels, tenants, ports and counters in the pinned maps.
//!
//! - [`dir`]: where the pins are; [`share`]: who may use them besides root.
//! - [`sizes`]: how much there is room for.
//! - [`maps`]: opens the pinned maps, with their types; [`devices`]: one kind of them; [`memory`]: the values of an array, shared with the
//!   programs; [`table`]: hash tables there; [`grace`]: when a place may be used again.
//! - [`name`]: names as users type them.
//! - [`tunnel`], [`tenant`], [`port`], [`uplink`], [`transit`]: read and write, all or nothing.
//! - [`member`]: the tunnels and ports of a tenant that has several; [`fdb`]: where its stations are; [`route`]: where its
//!   destinations are.
//! - [`second_key`]: by which a tenant receives too, while keys are changed.
//! - [`neighbour`]: who is answered for; [`source`]: from whom a tenant's packets may come; [`limit`]: how many.
//! - [`prefix`]: prefixes among a tenant's addresses.
//! - [`change`]: changes tunnels, tenants, ports and routes together, while traffic flows.
//! - [`counters`]: read and sum.
//! - [`live`]: the tables as programs see them, without the lock; [`look`]: what else they have there, only to be looked at.
//!
//! A [`State`] holds the lock of its folder: whoever has one is the only writer.

pub mod change;
pub mod counters;
mod devices;
pub mod dir;
mod error;
pub mod fdb;
mod grace;
pub mod limit;
pub mod live;
mod look;
mod maps;
pub mod member;
mod memory;
pub mod name;
pub mod neighbour;
pub mod port;
pub(crate) mod prefix;
pub mod route;
pub mod second_key;
pub mod share;
pub mod sizes;
pub mod source;
mod table;
pub mod tenant;
pub mod transit;
pub mod tunnel;
pub mod uplink;

use std::os::fd::OwnedFd;

use aya::maps::MapError;
use gre_common::{
    tables::{IfIndex, LocalId, Meta, RunOptions, SCHEMA_VERSION},
    wire::address::Address,
};
use nix::fcntl::Flock;

use self::maps::Maps;
pub use self::{
    dir::StateDir,
    error::{Error, Room},
    sizes::Sizes,
};

/// What every function of the room returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The pinned maps, locked.
pub struct State {
    maps: Maps,
    /// Where the search for a free slot begins.
    next_tunnel: u32,
    next_tenant: u32,
    next_member: u32,
    /// How many bindings there are, once that was counted.
    bound: Option<u32>,
    /// The local address asked for last, and its number: tenants of one tunnel come in a row, a million of them.
    last_local: Option<(Address, LocalId)>,
    _lock: Flock<OwnedFd>,
}

impl State {
    /// Opens the maps that `xgre run` made.
    ///
    /// # Errors
    /// There are none, they are of another schema version, or the caller lacks the privilege.
    pub fn open(dir: &StateDir) -> Result<Self> {
        let lock = dir.lock()?;
        check_schema(dir)?;
        let maps = Maps::open(dir)?;
        Ok(Self {
            maps,
            next_tunnel: 0,
            next_tenant: 0,
            next_member: 0,
            bound: None,
            last_local: None,
            _lock: lock,
        })
    }

    /// How much there is room for.
    pub const fn sizes(&self) -> Sizes {
        self.maps.sizes
    }

    /// Waits until no program holds what was taken out of a table, whose places may then be used again.
    fn wait_for_programs(&mut self) {
        grace::wait();
        let maps = &mut self.maps;
        maps.bindings.settle();
        maps.local_keys.settle();
        maps.ends6.settle();
        maps.port_tenants.settle();
        maps.tunnel_names.settle();
        maps.tenant_names.settle();
    }

    /// The device where `flood_tc` is; none while no tenant has needed it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn flood_device(&self) -> Result<IfIndex> {
        Ok(self.maps.meta.get(&0, 0)?.flood)
    }

    /// Says where `flood_tc` is.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_flood_device(&mut self, ifindex: IfIndex) -> Result<()> {
        let meta = self.maps.meta.get(&0, 0)?;
        Ok(self.maps.meta.set(0, Meta { flood: ifindex, ..meta }, 0)?)
    }

    /// Says how the programs were loaded.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_run_options(&mut self, run: RunOptions) -> Result<()> {
        let meta = self.maps.meta.get(&0, 0)?;
        Ok(self.maps.meta.set(0, Meta { run, ..meta }, 0)?)
    }

    /// How the programs were loaded.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn run_options(&self) -> Result<RunOptions> {
        Ok(self.maps.meta.get(&0, 0)?.run)
    }

    /// Declares the maps, made a moment ago, to be of this schema version.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn initialize(dir: &StateDir, cookie: u32) -> Result<()> {
        let mut meta = maps::open_meta(dir)?;
        let (flood, run) = (IfIndex::NONE, RunOptions::NONE);
        let fresh = Meta { schema: SCHEMA_VERSION, cookie, flood, run };
        meta.set(0, fresh, 0).map_err(Error::Map)
    }
}

/// Refuses the maps of another version of xgre.
///
/// # Errors
/// There are no maps, or their version differs.
pub fn check_schema(dir: &StateDir) -> Result<Meta> {
    let meta = maps::open_meta(dir)?.get(&0, 0)?;
    match meta.schema {
        SCHEMA_VERSION => Ok(meta),
        found => Err(Error::Schema { dir: dir.path().to_owned(), found }),
    }
}

/// `None` where a map has no such key.
fn optional<T>(result: std::result::Result<T, MapError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(error) if error::errno(&error) == Some(nix::errno::Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All slots, those from `start` on first.
fn from(start: u32, len: u32) -> impl Iterator<Item = u32> {
    (start..len).chain(0..start.min(len))
}
