//! Rules for packets in transit.

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::{Syntax, is_false};
use crate::{
    state::{name, tenant::describe_key},
    value::Key,
};

/// A rule: what `xgre transit add` takes, and `[[transit]]` in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Transit {
    /// What it is for.
    pub packets: Packets,
    /// What becomes of them.
    pub action: Action,
}

/// Packets in one direction, in the words of the host that receives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Packets {
    /// Interface that they come in by.
    pub iface: String,
    /// Their key; `None`: they carry none.
    pub key: Option<Key>,
    /// Where the tunnel comes from: their outer source address. `None`: any.
    pub remote: Option<IpAddr>,
    /// Where the tunnel ends: their outer destination address. `None`: any.
    pub local: Option<IpAddr>,
}

/// What becomes of packets.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// They go on.
    Count,
    /// They are discarded.
    Drop,
    /// They leave by this interface, unchanged.
    Redirect(String),
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    iface: String,
    key: Option<Key>,
    #[serde(default, skip_serializing_if = "is_false")]
    no_key: bool,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "is_false")]
    count: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    drop: bool,
    redirect: Option<String>,
}

impl Transit {
    pub(super) fn interfaces(&self) -> Vec<&str> {
        let mut names = vec![self.packets.iface.as_str()];
        if let Action::Redirect(target) = &self.action {
            names.push(target);
        }
        names
    }

    /// Whether there can be such packets, and such a way out.
    ///
    /// # Errors
    /// There cannot: cause and remedy.
    pub fn check(&self, syntax: Syntax) -> anyhow::Result<()> {
        self.packets.check(syntax)?;
        if let Action::Redirect(target) = &self.action {
            name::parse_interface(target)?;
            ensure!(
                *target != self.packets.iface,
                "{} {target} is the interface that the packets come in by; they would go back to their sender: give \
                 another one",
                syntax.option("redirect")
            );
        }
        Ok(())
    }
}

impl Packets {
    /// Whether there can be such packets.
    ///
    /// # Errors
    /// There cannot: cause and remedy.
    pub fn check(&self, syntax: Syntax) -> anyhow::Result<()> {
        name::parse_interface(&self.iface)?;
        let [a, b] = ["local", "remote"].map(|end| syntax.option(end));
        if let (Some(local), Some(remote)) = (self.local, self.remote) {
            ensure!(
                local.is_ipv4() == remote.is_ipv4(),
                "{a} {local} and {b} {remote} are of different versions; no packet has both: give two IPv4 \
                 addresses, two IPv6 addresses, or one"
            );
        }
        check_end(&a, self.local)?;
        check_end(&b, self.remote)
    }
}

fn check_end(option: &str, address: Option<IpAddr>) -> anyhow::Result<()> {
    let Some(address) = address else { return Ok(()) };
    ensure!(
        !address.is_unspecified(),
        "{option} {address} is the address of no packet; leave {option} out for any"
    );
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    ensure!(
        !is_mapped,
        "{option} {address} is an IPv4 address in the form of IPv6; give {}",
        address.to_canonical()
    );
    Ok(())
}

/// "key 10 from any to 192.0.2.1 on eth0"
impl Display for Packets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [remote, local] = [self.remote, self.local]
            .map(|end| end.map_or_else(|| "any".to_owned(), |address| address.to_string()));
        let key = describe_key(self.key.map(|key| key.0));
        write!(f, "{key} from {remote} to {local} on {}", self.iface)
    }
}

impl TryFrom<Written> for Transit {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { iface, key, no_key, remote, local, count, drop, redirect } = written;
        if key.is_some() == no_key {
            return Err("a rule is for packets with a key or without; give key or no-key = true");
        }
        let action = match (count, drop, redirect) {
            (true, false, None) => Action::Count,
            (false, true, None) => Action::Drop,
            (false, false, Some(target)) => Action::Redirect(target),
            _ => {
                return Err(
                    "a rule does one thing; give count = true, drop = true, or redirect and an interface",
                );
            }
        };
        Ok(Self { packets: Packets { iface, key, remote, local }, action })
    }
}

impl From<Transit> for Written {
    fn from(Transit { packets, action }: Transit) -> Self {
        let Packets { iface, key, remote, local } = packets;
        let redirect = match &action {
            Action::Redirect(target) => Some(target.clone()),
            Action::Count | Action::Drop => None,
        };
        Self {
            iface,
            key,
            no_key: key.is_none(),
            remote,
            local,
            count: action == Action::Count,
            drop: action == Action::Drop,
            redirect,
        }
    }
}
