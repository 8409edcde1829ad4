//! Where stations are.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::value::Mac;

/// Where a station of an l2 tenant is, whatever is heard: what `xgre fdb add` takes, and `[[fdb]]` in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fdb {
    /// The tenant.
    pub tenant: String,
    /// The station.
    pub mac: Mac,
    /// The tunnel that it is behind.
    pub tunnel: Option<String>,
    /// The port that it is at.
    pub port: Option<String>,
}

impl Fdb {
    /// Whether it is in one place.
    ///
    /// # Errors
    /// It is not: cause and remedy.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.tunnel.is_some() != self.port.is_some(),
            "a station is in one place; give tunnel or port"
        );
        Ok(())
    }

    /// What it is called where things are named.
    pub fn name(&self) -> String {
        format!("{} of tenant {}", self.mac, self.tenant)
    }
}
