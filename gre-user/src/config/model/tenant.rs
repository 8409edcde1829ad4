//! Tenants.

use std::collections::BTreeSet;

use anyhow::bail;
use gre_common::wire::gre::GreKey;
use serde::{Deserialize, Serialize};

use super::{Claim, is_false};
use crate::{
    state::{Error, name, source, tenant::describe_key},
    value::{Key, Rate, Service, Source},
};

/// A tenant: what `xgre tenant add` takes, and `[[tenant]]` in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The key in packets received; `None`: they carry none.
    pub in_key: Option<Key>,
    /// Another one that packets received may have, while keys are changed.
    pub second_in_key: Option<Key>,
    /// The key in packets sent.
    pub out_key: Option<Key>,
    /// Its tunnels.
    pub tunnels: Vec<String>,
    /// What its packets are.
    pub service: Service,
    /// From whom its packets may come; none: from anyone.
    pub sources: Vec<Source>,
    /// How much it may send, and how much it may receive.
    pub rate: Option<Rate>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: String,
    key: Option<Key>,
    in_key: Option<Key>,
    out_key: Option<Key>,
    second_in_key: Option<Key>,
    #[serde(default, skip_serializing_if = "is_false")]
    no_key: bool,
    tunnels: Vec<String>,
    #[serde(default)]
    service: Service,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow_source: Vec<Source>,
    rate: Option<Rate>,
}

impl Tenant {
    /// Whether it can be, with tunnels that there are.
    ///
    /// # Errors
    /// It cannot: cause and remedy.
    pub fn check(&self) -> anyhow::Result<()> {
        name::parse(&self.name)?;
        check_second_key(self.in_key.map(|key| key.0), self.second_in_key.map(|key| key.0))?;
        let of_station = |Source(source): &&Source| matches!(source, source::Source::Mac(_));
        if let Some(mac) =
            self.sources.iter().find(of_station).filter(|_| self.service == Service::L3)
        {
            bail!(
                "an l3 tenant's packets have no MAC address of their own; give prefixes in place of {mac}, or make it l2"
            );
        }
        let is_twice = |(index, name): &(usize, &String)| self.tunnels[..*index].contains(*name);
        if let Some((_, name)) = self.tunnels.iter().enumerate().find(is_twice) {
            return Err(Error::TunnelTwice(name.clone()).into());
        }
        Ok(())
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        // What is named twice is an error of its own.
        let tunnels: BTreeSet<_> = self.tunnels.iter().collect();
        let keys = [self.in_key].into_iter().chain(self.second_in_key.map(Some));
        let keys: BTreeSet<_> = keys.map(|key| describe_key(key.map(|key| key.0))).collect();
        let claims = keys.iter().flat_map(|key| {
            tunnels.iter().map(move |tunnel| Claim {
                what: format!("receives {key} on tunnel {tunnel}"),
                remedy: "choose another key, or another tunnel",
            })
        });
        claims.collect()
    }
}

/// Whether a tenant can receive by both.
///
/// # Errors
/// They are the same.
pub fn check_second_key(first: Option<GreKey>, second: Option<GreKey>) -> anyhow::Result<()> {
    match second {
        Some(GreKey(key)) if first == second => {
            bail!("the key {key} is the first one already; give another as the second, or none")
        }
        _ => Ok(()),
    }
}

impl TryFrom<Written> for Tenant {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written {
            name,
            key,
            in_key,
            out_key,
            second_in_key,
            no_key,
            tunnels,
            service,
            mut allow_source,
            rate,
        } = written;
        allow_source.sort();
        allow_source.dedup();
        let (in_key, out_key) = match (key, in_key, out_key, no_key) {
            (Some(key), None, None, false) => (Some(key), Some(key)),
            (None, Some(in_key), Some(out_key), false) => (Some(in_key), Some(out_key)),
            (None, None, None, true) => (None, None),
            (None, None, None, false) => {
                return Err(
                    "a tenant needs a key; give it key, both in-key and out-key, or no-key = true",
                );
            }
            (None, _, _, false) => return Err("in-key and out-key go together; give both"),
            _ => {
                return Err(
                    "key, in-key with out-key, and no-key exclude each other; keep one of them",
                );
            }
        };
        let sources = allow_source;
        Ok(Self { name, in_key, second_in_key, out_key, tunnels, service, sources, rate })
    }
}

impl From<Tenant> for Written {
    fn from(tenant: Tenant) -> Self {
        let Tenant { name, in_key, second_in_key, out_key, tunnels, service, sources, rate } =
            tenant;
        let none = Self {
            name,
            key: None,
            in_key: None,
            out_key: None,
            second_in_key,
            no_key: false,
            tunnels,
            service,
            allow_source: sources,
            rate,
        };
        match (in_key, out_key) {
            (None, None) => Self { no_key: true, ..none },
            (in_key, out_key) if in_key == out_key => Self { key: in_key, ..none },
            (in_key, out_key) => Self { in_key, out_key, ..none },
        }
    }
}
