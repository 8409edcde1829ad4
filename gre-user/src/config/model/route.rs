//! Routes.

use anyhow::ensure;
use gre_common::tables::ROUTE_WAYS;
use serde::{Deserialize, Serialize};

use crate::value::Prefix;

/// Where destinations of an l3 tenant are: what `xgre route add` takes, and `[[route]]` in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Route {
    /// The tenant.
    pub tenant: String,
    /// The destinations.
    pub prefix: Prefix,
    /// The tunnels that they are behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<String>,
    /// The ports that they are at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
}

impl Route {
    /// Whether it leads somewhere.
    ///
    /// # Errors
    /// It does not: cause and remedy.
    pub fn check(&self) -> anyhow::Result<()> {
        let ways: Vec<_> = self.tunnels.iter().chain(&self.ports).collect();
        ensure!(
            (1..=ROUTE_WAYS).contains(&ways.len()),
            "a route has 1 to {ROUTE_WAYS} ways, this one has {}; give tunnels or ports",
            ways.len()
        );
        let is_twice = |(index, name): &(usize, &&String)| ways[..*index].contains(*name);
        let twice = ways.iter().enumerate().find(is_twice);
        ensure!(twice.is_none(), "a way is named twice; name each way of a route once");
        Ok(())
    }

    /// What it is called where things are named.
    pub fn name(&self) -> String {
        format!("{} of tenant {}", self.prefix, self.tenant)
    }
}
