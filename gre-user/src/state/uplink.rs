//! Uplinks.

use gre_common::tables::{Hook, IfIndex, Uplink, UplinkMode};

use super::{Error, Result, Room, State, name, optional};

/// An uplink with its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// The interface's name.
    pub name: String,
    /// Its index.
    pub ifindex: IfIndex,
    /// How packets are taken off it.
    pub mode: UplinkMode,
}

impl State {
    /// Records an uplink, and makes the counters of its hooks.
    ///
    /// # Errors
    /// A map is full.
    pub fn set_uplink(&mut self, uplink: &Named) -> Result<()> {
        let record = Uplink { name: name::parse_interface(&uplink.name)?, mode: uplink.mode };
        let max = self.max_tenants();
        let inserted = self.maps.uplinks.insert(uplink.ifindex, record, 0);
        inserted.map_err(Error::inserting(Room::UPLINKS, max))?;
        self.register_hook(Hook::UPLINK_XDP, uplink.ifindex)?;
        self.register_hook(Hook::UPLINK_CPU, uplink.ifindex)?;
        self.register_hook(Hook::SLOW_PATH, uplink.ifindex)?;
        self.register_hook(Hook::UPLINK_TC, uplink.ifindex)
    }

    /// Says whether XDP may redirect to an uplink. Where its device cannot transmit such frames they vanish.
    ///
    /// # Errors
    /// A map is full.
    pub fn set_transmits(&mut self, ifindex: IfIndex, transmits: bool) -> Result<()> {
        if !transmits {
            return optional(self.maps.uplink_devices.remove(ifindex.0)).map(drop);
        }
        let inserted = self.maps.uplink_devices.insert(ifindex.0);
        inserted.map_err(Error::inserting(Room::UPLINKS, self.maps.tenants.len()))
    }

    /// Makes the counters of packets from interfaces that nobody recorded.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn register_unknown_interface(&mut self) -> Result<()> {
        for hook in Hook::ALL {
            self.register_hook(hook, IfIndex::NONE)?;
        }
        self.register_hook(Hook::SLOW_PATH, IfIndex::NONE)
    }

    /// Forgets an uplink with its counters.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delete_uplink(&mut self, ifindex: IfIndex) -> Result<()> {
        self.set_transmits(ifindex, false)?;
        optional(self.maps.uplinks.remove(&ifindex))?;
        self.forget_hook(Hook::UPLINK_XDP, ifindex)?;
        self.forget_hook(Hook::UPLINK_CPU, ifindex)?;
        self.forget_hook(Hook::SLOW_PATH, ifindex)?;
        self.forget_hook(Hook::UPLINK_TC, ifindex)
    }

    /// All uplinks, by name.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn uplinks(&self) -> Result<Vec<Named>> {
        let mut uplinks = Vec::new();
        for entry in &self.maps.uplinks {
            let (ifindex, Uplink { name, mode }) = entry?;
            uplinks.push(Named { name: name::text(&name), ifindex, mode });
        }
        uplinks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(uplinks)
    }
}

/// A mode in one word, as `run --mode` calls it.
pub const fn mode_name(mode: UplinkMode) -> &'static str {
    match mode {
        UplinkMode::NATIVE => "native",
        UplinkMode::GENERIC => "generic",
        UplinkMode::SHADOW => "shadow",
        _ => "tc",
    }
}
