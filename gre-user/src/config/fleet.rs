//! The table `[fleet]`: what `xgre run` follows, for whom its options do not say it.

use std::{net::IpAddr, path::PathBuf};

use anyhow::ensure;
use serde::Deserialize;

/// A fleet, and who this host is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fleet {
    /// Members of the etcd cluster.
    pub endpoints: Vec<String>,
    /// What this host is called.
    pub host: Option<String>,
    /// Its addresses of the underlay.
    #[serde(default)]
    pub underlay: Vec<IpAddr>,
    /// Seconds for which a host stays known that the store has let go.
    pub hold: Option<u64>,
    /// Certificates of those who vouch for etcd.
    pub ca: Option<PathBuf>,
    /// The certificate by which etcd knows this host.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// A user of etcd.
    pub user: Option<String>,
    /// The file that holds the user's password.
    pub password: Option<PathBuf>,
}

impl Fleet {
    /// Whether it goes together.
    ///
    /// # Errors
    /// It names nothing to follow, or half of what proves who this host is.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.endpoints.is_empty(), "endpoints: name the members of the etcd cluster");
        ensure!(self.cert.is_some() == self.key.is_some(), "cert and key go together; give both");
        ensure!(
            self.user.is_some() == self.password.is_some(),
            "user and password go together; give both"
        );
        Ok(())
    }
}
