//! Neighbours.

use std::net::IpAddr;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::value::Mac;

/// Who has an address among a tenant's: what `xgre neigh add` takes, and `[[neigh]]` in a file.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Neigh {
    /// The tenant.
    pub tenant: String,
    /// The address.
    pub ip: IpAddr,
    /// Who has it; of an l3 tenant by default the port itself, as a gateway.
    pub mac: Option<Mac>,
}

impl Neigh {
    /// Whether someone can have the address.
    ///
    /// # Errors
    /// Nobody can: cause and remedy.
    pub fn check(&self) -> anyhow::Result<()> {
        let Self { ip, .. } = self;
        let is_host = match ip {
            IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
            IpAddr::V6(ip) => {
                ip.to_ipv4_mapped().is_none() && !ip.is_multicast() && !ip.is_unspecified()
            }
        };
        ensure!(is_host, "{ip} is not the address of a host; give a unicast address");
        Ok(())
    }

    /// What it is called where things are named.
    pub fn name(&self) -> String {
        format!("{} of tenant {}", self.ip, self.tenant)
    }
}
