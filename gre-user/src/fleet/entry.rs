//! The layout of the store: a path and a JSON document for each entry. Whoever reads ignores fields that he does not know.
//!
//! | path under `/xgre/v1/` | says | written by |
//! |---|---|---|
//! | `tenants/TENANT` | [`Tenant`]: its key, and who may be in it | operators |
//! | `keys/KEY` | whose a key is: `"TENANT"` | operators, with the tenant |
//! | `next-key` | where to look for a free key: a number | operators, with the tenant |
//! | `ports/HOST/IFACE` | [`Port`]: what a host is to make a port of which tenant | operators |
//! | `hosts/HOST` | [`Host`]: where it is, as long as it is there (a lease) | the host |
//! | `endpoints/TENANT/HOST/IFACE` | [`Endpoint`]: who is behind a port | the host |
//! | `claims/HOST/TENANT/IFACE` | that there is such an endpoint: `true` | the host, with the endpoint |
//! | `status/HOST` | [`Status`]: what it makes of all this (a lease) | the host |

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::value::{Key, Mac, Prefix, Service};

/// Under this all entries are; it changes when a reader would have to.
pub const ROOT: &str = "/xgre/v1/";

/// Where an entry is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// A tenant's definition.
    Tenant(String),
    /// Whose a key is.
    Key(u32),
    /// Where to look for a free one.
    NextKey,
    /// What a host is to make a port.
    Port {
        /// The host.
        host: String,
        /// The interface.
        iface: String,
    },
    /// Where a host is.
    Host(String),
    /// Who is behind a port.
    Endpoint {
        /// Whose port it is.
        tenant: String,
        /// Where it is.
        host: String,
        /// The interface.
        iface: String,
    },
    /// That a host has such an endpoint.
    Claim {
        /// The host.
        host: String,
        /// The endpoint's tenant.
        tenant: String,
        /// The interface.
        iface: String,
    },
    /// What a host makes of all this.
    Status(String),
}

impl Path {
    /// The entry at a path; `None`: it is none of ours.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(ROOT)?.split('/').map(str::to_owned);
        let kind = parts.next()?;
        let names: Vec<String> = parts.collect();
        Some(match (kind.as_str(), <[String; 1]>::try_from(names.clone()), names) {
            ("next-key", _, names) if names.is_empty() => Self::NextKey,
            ("tenants", Ok([name]), _) => Self::Tenant(name),
            ("keys", Ok([key]), _) => Self::Key(key.parse().ok()?),
            ("hosts", Ok([name]), _) => Self::Host(name),
            ("status", Ok([name]), _) => Self::Status(name),
            ("ports", _, names) => {
                let [host, iface] = names.try_into().ok()?;
                Self::Port { host, iface }
            }
            ("endpoints", _, names) => {
                let [tenant, host, iface] = names.try_into().ok()?;
                Self::Endpoint { tenant, host, iface }
            }
            ("claims", _, names) => {
                let [host, tenant, iface] = names.try_into().ok()?;
                Self::Claim { host, tenant, iface }
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT)?;
        match self {
            Self::Tenant(name) => write!(f, "tenants/{name}"),
            Self::Key(key) => write!(f, "keys/{key}"),
            Self::NextKey => f.write_str("next-key"),
            Self::Port { host, iface } => write!(f, "ports/{host}/{iface}"),
            Self::Host(name) => write!(f, "hosts/{name}"),
            Self::Endpoint { tenant, host, iface } => {
                write!(f, "endpoints/{tenant}/{host}/{iface}")
            }
            Self::Claim { host, tenant, iface } => write!(f, "claims/{host}/{tenant}/{iface}"),
            Self::Status(name) => write!(f, "status/{name}"),
        }
    }
}

/// Where it stands who is behind a port, and that its host has said so.
pub fn published(host: &str, tenant: &str, iface: &str) -> [Path; 2] {
    let [host, tenant, iface] = [host, tenant, iface].map(str::to_owned);
    [
        Path::Endpoint { tenant: tenant.clone(), host: host.clone(), iface: iface.clone() },
        Path::Claim { host, tenant, iface },
    ]
}

/// Some entries: the one at a path, or all under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The path; with a slash at its end, all under it.
    pub path: String,
}

impl Range {
    /// One entry.
    pub fn one(path: &Path) -> Self {
        Self { path: path.to_string() }
    }

    /// All entries of a kind, under some names.
    pub fn under(kind: &str, names: &[&str]) -> Self {
        let parts = [&[kind], names, &[""]].concat();
        Self { path: format!("{ROOT}{}", parts.join("/")) }
    }

    /// Whether it is all under its path.
    pub fn is_prefix(&self) -> bool {
        self.path.ends_with('/')
    }

    /// What comes first behind all under its path.
    pub fn end(&self) -> String {
        let path = self.path.trim_end_matches('/');
        // The character behind the slash.
        format!("{path}0")
    }

    /// Whether an entry is among them.
    pub fn holds(&self, path: &str) -> bool {
        if self.is_prefix() { path.starts_with(&self.path) } else { path == self.path }
    }
}

/// A tenant of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tenant {
    /// Its key, in both directions.
    pub key: Key,
    /// What its packets are.
    #[serde(default)]
    pub service: Service,
    /// Hosts that may have endpoints of it; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where the addresses of its endpoints are; none: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<Prefix>,
}

impl Tenant {
    /// Whether a host may have endpoints of it.
    pub fn may_be_at(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|it| it == host)
    }

    /// Whether its endpoints may have an address.
    pub fn may_have(&self, address: IpAddr) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|Prefix(net)| net.contains(&address))
    }
}

/// What a host is to make a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Port {
    /// Whose.
    pub tenant: String,
    /// Make the device.
    #[serde(default)]
    pub create: bool,
    /// Who is behind it.
    #[serde(flatten)]
    pub endpoint: Endpoint,
}

/// Who is behind a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endpoint {
    /// The station.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// Its addresses of the underlay, an IPv4 address, an IPv6 address, or both.
    pub addresses: Vec<IpAddr>,
    /// Whether it does not follow the store: operators write what it is, under no lease.
    #[serde(default, rename = "static", skip_serializing_if = "std::ops::Not::not")]
    pub is_static: bool,
}

/// What a host makes of what it follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The revision of the store that it has last acted on.
    pub revision: i64,
    /// Tenants that it has ports of.
    pub tenants: usize,
    /// Its own endpoints.
    pub endpoints: usize,
    /// Hosts that it has tunnels to.
    pub peers: usize,
    /// What it leaves out, and why.
    pub problems: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::{Path, Range};

    #[test]
    fn a_path_is_read_as_it_is_written() {
        let [tenant, host, iface] = ["blue", "a", "tap7"].map(str::to_owned);
        for path in [
            Path::Tenant(tenant.clone()),
            Path::Key(10),
            Path::NextKey,
            Path::Port { host: host.clone(), iface: iface.clone() },
            Path::Host(host.clone()),
            Path::Endpoint { tenant: tenant.clone(), host: host.clone(), iface: iface.clone() },
            Path::Claim { host: host.clone(), tenant, iface },
            Path::Status(host),
        ] {
            assert_eq!(Path::parse(&path.to_string()), Some(path));
        }
        for strange in ["/xgre/v2/tenants/a", "/xgre/v1/tenants/a/b", "/xgre/v1/ports/a", "x", ""] {
            assert_eq!(Path::parse(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_range_holds_what_is_under_it() {
        let under = Range::under("endpoints", &["blue"]);
        assert!(under.holds("/xgre/v1/endpoints/blue/a/tap7"));
        assert!(!under.holds("/xgre/v1/endpoints/blue2/a/tap7"));
        assert!(*"/xgre/v1/endpoints/blue/~" < *under.end());
        assert!(*under.end() <= *"/xgre/v1/endpoints/blue2/a/tap7");
        let one = Range::one(&Path::Host("a".to_owned()));
        assert!(one.holds("/xgre/v1/hosts/a") && !one.holds("/xgre/v1/hosts/ab"));
    }
}
