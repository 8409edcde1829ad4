//! Maps of devices, which XDP redirects to.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    result,
    sync::OnceLock,
};

use aya::maps::{
    Map, MapData, MapError,
    xdp::{DevMapHash, XdpMapError},
};

use super::StateDir;

/// A map of devices by their index. It is opened when it is first used: that takes a privilege, by which it is found out what the
/// kernel's entries look like, and who only reads statistics or changes tenants has none.
pub(super) struct Devices {
    pin: PathBuf,
    map: OnceLock<DevMapHash<MapData>>,
}

type Result<T> = result::Result<T, MapError>;

impl Devices {
    /// The map of this name.
    pub fn pinned(dir: &StateDir, name: &str) -> Self {
        Self { pin: dir.map(name), map: OnceLock::new() }
    }

    /// Has XDP redirect to a device.
    pub fn insert(&mut self, ifindex: u32) -> Result<()> {
        self.opened()?;
        let map = self.map.get_mut().ok_or(MapError::KeyNotFound)?;
        map.insert(ifindex, ifindex, None, 0).map_err(|error| match error {
            XdpMapError::MapError(error) => error,
            XdpMapError::ChainedProgramNotSupported => MapError::ProgIdNotSupported,
        })
    }

    /// Has it not do so.
    pub fn remove(&mut self, ifindex: u32) -> Result<()> {
        self.opened()?;
        self.map.get_mut().ok_or(MapError::KeyNotFound)?.remove(ifindex)
    }

    /// Whether XDP may redirect to a device; an error where it may not.
    pub fn get(&self, ifindex: u32) -> Result<()> {
        self.opened()?.get(ifindex, 0).map(drop)
    }

    fn opened(&self) -> Result<&DevMapHash<MapData>> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = DevMapHash::try_from(Map::from_map_data(MapData::from_pin(&self.pin)?)?);
        let map = map.map_err(|error| match error {
            MapError::InvalidValueSize { .. } => MapError::IoError(io::Error::new(
                ErrorKind::PermissionDenied,
                "a map of devices takes CAP_BPF; run as root",
            )),
            error => error,
        })?;
        Ok(self.map.get_or_init(|| map))
    }
}
