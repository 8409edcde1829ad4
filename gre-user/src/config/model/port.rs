//! Ports.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::Syntax;
use crate::{
    state::name,
    value::{Mac, PortMode},
};

/// A port: what `xgre port add` takes, and `[[port]]` in a file.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Port {
    /// The tenant.
    pub tenant: String,
    /// The interface.
    #[arg(value_name = "IFACE")]
    pub name: String,
    /// Make a device of this name for the host's own stack.
    #[arg(long)]
    #[serde(default)]
    pub create: bool,
    /// Take the VLAN of this number (IEEE 802.1Q) on the interface; the port is the device IFACE.VID, which xgre makes.
    #[arg(long, value_name = "VID", value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub vlan: Option<u16>,
    /// l3: MAC address of the station behind the interface.
    #[arg(long)]
    pub mac: Option<Mac>,
    /// auto: native on a physical device whose driver has XDP and leaves VLAN tags in frames (`ethtool -K IFACE rxvlan
    /// off`), else tc; native: XDP in the driver, fastest, and
    /// only right for packets that came from a wire; tc: no XDP.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub mode: PortMode,
}

impl Port {
    /// Whether these options go together.
    ///
    /// # Errors
    /// They do not: cause and remedy.
    pub fn check(&self, syntax: Syntax) -> anyhow::Result<()> {
        name::parse_interface(&self.name)?;
        let [create, mac, mode, vlan] =
            ["create", "mac", "mode", "vlan"].map(|name| syntax.option(name));
        if let Some(vid) = self.vlan {
            ensure!(
                (1..=4094).contains(&vid),
                "{vlan} {vid} is not the number of a VLAN; give 1 to 4094"
            );
            ensure!(!self.create, "{create} makes a device that has no VLANs; leave out {vlan}");
            name::parse_interface(&self.device())?;
            ensure!(
                self.mode != PortMode::Native,
                "{vlan} makes a device without XDP of its own; leave out {mode}"
            );
        }
        ensure!(
            !self.create || self.mac.is_none(),
            "{create} chooses the MAC address itself; leave out {mac}"
        );
        ensure!(
            !self.create || self.mode != PortMode::Native,
            "{create} makes a device for the host's own stack, whose packets XDP cannot send; leave out {mode}"
        );
        Ok(())
    }

    /// The device that carries the program, or its end for the host's own stack.
    pub fn device(&self) -> String {
        match self.vlan {
            Some(vid) => format!("{}.{vid}", self.name),
            None => self.name.clone(),
        }
    }
}
