//! What a file holds. The command line's options are the same types.
//!
//! - [`tunnel`], [`tenant`], [`port`], [`route`], [`fdb`], [`neigh`], [`transit`]: one kind each, with what must hold for an item alone.
//! - [`Item`]: one of any kind, by its [`Id`]. [`Model`]: all of them.

pub mod fdb;
pub mod neigh;
pub mod port;
pub mod route;
pub mod tenant;
pub mod transit;
pub mod tunnel;

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use serde::{Deserialize as _, Deserializer};
use toml::Table;

pub use self::{
    fdb::Fdb,
    neigh::Neigh,
    port::Port,
    route::Route,
    tenant::{Tenant, check_second_key},
    transit::Transit,
    tunnel::Tunnel,
};

/// All items, those that others need first.
pub type Model = BTreeMap<Id, Item>;

/// A kind of item. None needs a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `[[tunnel]]`
    Tunnel,
    /// `[[tenant]]`
    Tenant,
    /// `[[port]]`
    Port,
    /// `[[route]]`
    Route,
    /// `[[fdb]]`
    Fdb,
    /// `[[neigh]]`
    Neigh,
    /// `[[transit]]`
    Transit,
}

/// An item of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A pair of addresses.
    Tunnel(Tunnel),
    /// An isolated network.
    Tenant(Tenant),
    /// An interface of a tenant.
    Port(Port),
    /// Where destinations are.
    Route(Route),
    /// Where a station is.
    Fdb(Fdb),
    /// Who has an address.
    Neigh(Neigh),
    /// A rule for packets that pass through.
    Transit(Transit),
}

/// What tells an item from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its kind.
    pub kind: Kind,
    /// Its name; of a transit rule its packets, in words.
    pub name: String,
}

/// What no two items may be or do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// In words: "receives key 10 on tunnel to-b".
    pub what: String,
    /// What to do where another does.
    pub remedy: &'static str,
}

/// Where an option was written, which decides what it looks like in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The command line: `--local`.
    Command,
    /// A file: `local`.
    File,
}

impl Syntax {
    /// An option as it is written.
    pub fn option(self, name: &str) -> String {
        match self {
            Self::Command => format!("--{name}"),
            Self::File => name.to_owned(),
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Tunnel,
        Self::Tenant,
        Self::Port,
        Self::Route,
        Self::Fdb,
        Self::Neigh,
        Self::Transit,
    ];

    /// Its table in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Tenant => "tenant",
            Self::Port => "port",
            Self::Route => "route",
            Self::Fdb => "fdb",
            Self::Neigh => "neigh",
            Self::Transit => "transit",
        }
    }

    /// Fields without a default: [`Item::brief`] keeps them.
    const fn own_fields(self) -> &'static [&'static str] {
        match self {
            Self::Tunnel => &["name", "local", "remote"],
            Self::Tenant => &["name", "key", "in-key", "out-key", "no-key", "tunnels"],
            Self::Port => &["tenant", "name"],
            Self::Route => &["tenant", "prefix"],
            Self::Fdb => &["tenant", "mac"],
            Self::Neigh => &["tenant", "ip"],
            Self::Transit => &["iface", "key", "no-key", "count", "drop", "redirect"],
        }
    }

    /// What to do about an item that is there twice.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Route | Self::Fdb | Self::Neigh | Self::Transit => "delete one of them",
            _ => "delete one of them, or give it another name",
        }
    }

    /// Reads an item.
    ///
    /// # Errors
    /// A field is unknown, is missing, or has a value that cannot be.
    pub fn read<'de, D: Deserializer<'de>>(self, from: D) -> Result<Item, D::Error> {
        match self {
            Self::Tunnel => Tunnel::deserialize(from).map(Item::Tunnel),
            Self::Tenant => Tenant::deserialize(from).map(Item::Tenant),
            Self::Port => Port::deserialize(from).map(Item::Port),
            Self::Route => Route::deserialize(from).map(Item::Route),
            Self::Fdb => Fdb::deserialize(from).map(Item::Fdb),
            Self::Neigh => Neigh::deserialize(from).map(Item::Neigh),
            Self::Transit => Transit::deserialize(from).map(Item::Transit),
        }
    }
}

impl Item {
    /// What tells it from all others.
    pub fn id(&self) -> Id {
        match self {
            Self::Tunnel(tunnel) => Kind::Tunnel.id(&tunnel.name),
            Self::Tenant(tenant) => Kind::Tenant.id(&tenant.name),
            Self::Port(port) => Kind::Port.id(&port.device()),
            Self::Route(route) => Kind::Route.id(&route.name()),
            Self::Fdb(fdb) => Kind::Fdb.id(&fdb.name()),
            Self::Neigh(neigh) => Kind::Neigh.id(&neigh.name()),
            Self::Transit(rule) => Kind::Transit.id(&rule.packets.to_string()),
        }
    }

    /// The items that must be there for this one.
    pub fn needs(&self) -> Vec<Id> {
        match self {
            Self::Tenant(tenant) => {
                tenant.tunnels.iter().map(|tunnel| Kind::Tunnel.id(tunnel)).collect()
            }
            Self::Port(port) => vec![Kind::Tenant.id(&port.tenant)],
            Self::Fdb(fdb) => {
                let port = fdb.port.iter().map(|port| Kind::Port.id(port));
                let tunnel = fdb.tunnel.iter().map(|tunnel| Kind::Tunnel.id(tunnel));
                [Kind::Tenant.id(&fdb.tenant)].into_iter().chain(tunnel).chain(port).collect()
            }
            Self::Route(route) => {
                let ports = route.ports.iter().map(|port| Kind::Port.id(port));
                let tunnels = route.tunnels.iter().map(|tunnel| Kind::Tunnel.id(tunnel));
                [Kind::Tenant.id(&route.tenant)].into_iter().chain(tunnels).chain(ports).collect()
            }
            Self::Neigh(neigh) => vec![Kind::Tenant.id(&neigh.tenant)],
            Self::Tunnel(_) | Self::Transit(_) => Vec::new(),
        }
    }

    /// The interfaces that must be there for it.
    pub fn interfaces(&self) -> Vec<&str> {
        match self {
            Self::Port(port) if !port.create => vec![&port.name],
            Self::Transit(rule) => rule.interfaces(),
            _ => Vec::new(),
        }
    }

    /// What no other item may be or do.
    pub fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Tunnel(tunnel) => vec![tunnel.claim()],
            Self::Tenant(tenant) => tenant.claims(),
            _ => Vec::new(),
        }
    }

    /// Whether it can be, alone.
    ///
    /// # Errors
    /// It cannot: cause and remedy.
    pub fn check(&self, syntax: Syntax) -> anyhow::Result<()> {
        match self {
            Self::Tunnel(tunnel) => tunnel.check(syntax),
            Self::Tenant(tenant) => tenant.check(),
            Self::Port(port) => port.check(syntax),
            Self::Route(route) => route.check(),
            Self::Fdb(fdb) => fdb.check(),
            Self::Neigh(neigh) => neigh.check(),
            Self::Transit(rule) => rule.check(syntax),
        }
    }

    /// Whether it can become `other`, of the same id, and is counted on. Of another service a tenant is another; a device that
    /// xgre makes is another than one that was there.
    pub fn can_become(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tenant(tenant), Self::Tenant(other)) => tenant.service == other.service,
            (Self::Port(port), Self::Port(other)) => port.create == other.create,
            _ => true,
        }
    }

    /// All its fields that have a value, also where that is the default.
    ///
    /// # Errors
    /// A value has no form in TOML.
    pub fn fields(&self) -> Result<Table, toml::ser::Error> {
        match self {
            Self::Tunnel(tunnel) => Table::try_from(tunnel),
            Self::Tenant(tenant) => Table::try_from(tenant),
            Self::Port(port) => Table::try_from(port),
            Self::Route(route) => Table::try_from(route),
            Self::Fdb(fdb) => Table::try_from(fdb),
            Self::Neigh(neigh) => Table::try_from(neigh),
            Self::Transit(rule) => Table::try_from(rule),
        }
    }

    /// Its fields that differ from the default.
    ///
    /// # Errors
    /// A value has no form in TOML.
    pub fn brief(&self) -> anyhow::Result<Table> {
        let kind = self.id().kind;
        let is_own = |field: &str| kind.own_fields().contains(&field);
        let mut fields = self.fields()?;
        let mut least = fields.clone();
        least.retain(|field, _| is_own(field));
        let defaults = kind.read(least)?.fields()?;
        fields.retain(|field, value| is_own(field) || defaults.get(field) != Some(value));
        Ok(fields)
    }
}

impl Kind {
    fn id(self, name: &str) -> Id {
        Id { kind: self, name: name.to_owned() }
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Transit => "transit rule for",
            Kind::Route => "route to",
            Kind::Fdb => "station",
            Kind::Neigh => "neighbour",
            kind => kind.name(),
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: Kind, text: &str) -> Item {
        kind.read(text.parse::<Table>().expect("TOML")).expect("an item")
    }

    /// What an item of all fields looks like, and that it comes back.
    #[test]
    fn items_are_written_as_they_are_read() {
        for (kind, text) in [
            (
                Kind::Tunnel,
                "name = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\nttl = \"inherit\"\n\
                 tos = 16\necn = \"compatibility\"\ndf = \"copy\"\ncsum = true\nseq = true\nmtu = 1400\n\
                 mss-clamp = false\npmtudisc = false\nkeepalive = \"10,3\"\n",
            ),
            (Kind::Tunnel, "name = \"t\"\nlocal = \"2001:db8::1\"\nremote = \"2001:db8::2\"\n"),
            (Kind::Tenant, "name = \"a\"\nkey = 10\ntunnels = [\"t\"]\nservice = \"l2\"\n"),
            (Kind::Tenant, "name = \"a\"\nin-key = 7\nout-key = 8\ntunnels = [\"t\"]\n"),
            (Kind::Tenant, "name = \"a\"\nno-key = true\ntunnels = [\"t\"]\n"),
            (Kind::Port, "tenant = \"a\"\nname = \"a0\"\ncreate = true\n"),
            (
                Kind::Port,
                "tenant = \"a\"\nname = \"a0\"\nmac = \"02:00:00:00:00:01\"\nmode = \"native\"\n",
            ),
            (
                Kind::Tenant,
                "name = \"a\"\nkey = 10\ntunnels = [\"t\"]\nallow-source = [\"10.0.0.0/8\"]\nrate = \"5mbit\"\n",
            ),
            (Kind::Port, "tenant = \"a\"\nname = \"eth1\"\nvlan = 10\n"),
            (Kind::Route, "tenant = \"a\"\nprefix = \"10.0.0.0/8\"\ntunnels = [\"t\"]\n"),
            (Kind::Neigh, "tenant = \"a\"\nip = \"10.0.0.1\"\nmac = \"02:00:00:00:00:01\"\n"),
            (Kind::Fdb, "tenant = \"a\"\nmac = \"02:00:00:00:00:01\"\ntunnel = \"t\"\n"),
            (Kind::Transit, "iface = \"eth0\"\nkey = 10\nredirect = \"eth1\"\n"),
            (
                Kind::Transit,
                "iface = \"eth0\"\nno-key = true\nlocal = \"192.0.2.1\"\ndrop = true\n",
            ),
        ] {
            assert_eq!(item(kind, text).brief().expect("TOML").to_string(), text);
        }
    }

    #[test]
    fn keys_are_numbers_in_any_form() {
        let text = |key| format!("name = \"a\"\nkey = {key}\ntunnels = [\"t\"]\n");
        for key in ["0xa", "\"0xa\"", "\"0.0.0.10\""] {
            assert_eq!(item(Kind::Tenant, &text(key)), item(Kind::Tenant, &text("10")));
        }
        let both = "name = \"a\"\nin-key = 10\nout-key = 10\ntunnels = [\"t\"]\n";
        assert_eq!(item(Kind::Tenant, both), item(Kind::Tenant, &text("10")));
    }
}
