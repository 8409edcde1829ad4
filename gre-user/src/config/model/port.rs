//! Ports.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::{Claim, Syntax};
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
        let [create, mac, mode] = ["create", "mac", "mode"].map(|name| syntax.option(name));
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

    /// What no other port may be where the tenant is l3.
    pub fn claim(&self) -> Claim {
        let what = format!("is the port of tenant {}", self.tenant);
        Claim { what, remedy: "an l3 tenant has one port, for it has no routes: keep one of them" }
    }
}
