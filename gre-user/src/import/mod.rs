//! Taking over: what other GRE endpoints on this host do, as a configuration of ours. Nothing is changed.
//!
//! - [`ip`]: the kernel's GRE devices. [`ovs`]: Open vSwitch's GRE ports.
//! - [`Import`]: what came of it: items, the steps to go there, and what could not be carried over.
//! - [`moves`]: the commands that give a new device what an old one has.

pub mod ip;
mod moves;
pub mod ovs;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use serde::Serialize;

use crate::{
    config::model::{Claim, Id, Item, Kind, Model, Port, Syntax, Tenant, Tunnel},
    netlink::{self, Netlink},
    value::{Mtu, PortMode},
};

/// Longest name of a tunnel or tenant, in bytes.
const MAX_NAME: usize = 31;

/// A configuration, and what goes with it.
#[derive(Debug, Default)]
pub struct Import {
    /// The items.
    pub model: Model,
    /// What to do to go over to it.
    pub steps: Steps,
    /// What is not like before.
    pub notes: Vec<Note>,
    uplinks: BTreeSet<String>,
    /// Tunnels by their ends.
    tunnels: BTreeMap<(IpAddr, IpAddr), String>,
    /// What tenants claim, and which.
    claims: BTreeMap<Claim, String>,
}

/// Commands for a shell, in three parts.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Those that take down what is there.
    pub before: Vec<String>,
    /// The one that starts xgre; FILE is the configuration.
    pub run: String,
    /// Those that give the new devices what the old ones had.
    pub after: Vec<String>,
}

/// Something that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The device, port or the like.
    pub about: String,
    /// What, and why.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { about, what, remedy } = self;
        write!(f, "{about}: {what}; {remedy}")
    }
}

impl Import {
    /// Tells something that could not be carried over.
    fn note(&mut self, about: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let note = Note { about: about.to_owned(), what: what.into(), remedy: remedy.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds a tunnel, or finds the one between the same ends. Gives its name; `None`: it cannot be, and a note says why.
    fn tunnel(&mut self, about: &str, wanted: &Tunnel) -> Option<String> {
        let ends = (wanted.local, wanted.remote);
        if let Some(name) = self.tunnels.get(&ends).cloned() {
            return self.share(about, &name, wanted).then_some(name);
        }
        let name = self.free_name(Kind::Tunnel, &wanted.name);
        let tunnel = Tunnel { name: name.clone(), ..wanted.clone() };
        if let Err(error) = tunnel.check(Syntax::File) {
            self.note(about, format!("{error:#}"), "it is left out");
            return None;
        }
        self.tunnels.insert(ends, name.clone());
        self.add(Item::Tunnel(tunnel));
        Some(name)
    }

    /// Whether somebody who wants a tunnel like this can have the one there is, between the same ends.
    fn share(&mut self, about: &str, name: &str, wanted: &Tunnel) -> bool {
        let id = Id { kind: Kind::Tunnel, name: name.to_owned() };
        let Some(Item::Tunnel(tunnel)) = self.model.get_mut(&id) else { return false };
        if (tunnel.csum, tunnel.seq) != (wanted.csum, wanted.seq) {
            let what = format!(
                "its packets have checksums or sequence numbers where those of tunnel {name}, between the same addresses, have \
                 none, or the other way round"
            );
            let remedy = "it is left out and keeps working beside xgre; give both ends the options of the tunnel to carry it over";
            self.note(about, what, remedy);
            return false;
        }
        tunnel.mtu = match (tunnel.mtu, wanted.mtu) {
            (Some(one), Some(other)) => Some(Mtu(one.0.min(other.0))),
            (one, other) => one.or(other),
        };
        let [has, wants] = [&*tunnel, wanted].map(|tunnel| Item::Tunnel(tunnel.clone()).fields());
        let (Ok(has), Ok(wants)) = (has, wants) else { return false };
        let differs = |field: &str| field != "name" && field != "mtu";
        let differences: Vec<_> = wants
            .iter()
            .filter(|(field, value)| differs(field) && has.get(*field) != Some(value))
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        if !differences.is_empty() {
            let what = format!(
                "it has {}; tunnel {name}, between the same addresses, has other options, which are for all its tenants",
                differences.join(", ")
            );
            self.note(about, what, "choose, and change the tunnel in the file if need be");
        }
        true
    }

    /// Adds a tenant, and gives its name. `None`: another one has its key, and a note says so.
    fn tenant(&mut self, about: &str, wanted: Tenant) -> Option<String> {
        let name = self.free_name(Kind::Tenant, &wanted.name);
        let item = Item::Tenant(Tenant { name: name.clone(), ..wanted });
        let claims = item.claims();
        let taken = claims.iter().find_map(|claim| Some((claim, self.claims.get(claim)?)));
        if let Some((claim, other)) = taken {
            let what = format!("tenant {other} already {}, and one key is one tenant", claim.what);
            self.note(about, what, "it is left out; give one of the two another key at both ends");
            return None;
        }
        self.claims.extend(claims.into_iter().map(|claim| (claim, name.clone())));
        self.add(item);
        Some(name)
    }

    /// Adds a port.
    fn port(&mut self, tenant: &str, name: &str, create: bool) {
        let [tenant, name] = [tenant, name].map(str::to_owned);
        self.add(Item::Port(Port {
            tenant,
            name,
            create,
            vlan: None,
            mac: None,
            mode: PortMode::default(),
        }));
    }

    fn add(&mut self, item: Item) {
        self.model.insert(item.id(), item);
    }

    /// Finds out which interface the packets of a tunnel leave by, and gives the address that they come from.
    async fn way(
        &mut self,
        netlink: &Netlink,
        local: Option<IpAddr>,
        remote: IpAddr,
    ) -> Result<Option<Underlay>, netlink::Error> {
        let Some(way) = netlink.way(local, remote).await? else { return Ok(None) };
        let Some(link) = netlink.link_by_index(way.ifindex).await? else { return Ok(None) };
        Ok(Some(Underlay { link, source: local.or(way.source) }))
    }

    /// An interface that has to be an uplink.
    fn uplink(&mut self, link: &netlink::link::Link) {
        if link.mac.is_none() {
            let what = "the tunnels' packets leave by it, and it has no Ethernet header";
            self.note(&link.name, what, "lead them by an Ethernet device: xgre needs one");
        }
        self.uplinks.insert(link.name.clone());
    }

    /// Writes down how to start.
    fn finish(mut self) -> Self {
        let names: Vec<_> = self.uplinks.iter().map(|name| quoted(name)).collect();
        let uplinks = if names.is_empty() { "IFACE".to_owned() } else { names.join(" ") };
        self.steps.run = format!("xgre run --iface {uplinks} --config FILE");
        self
    }

    /// A name like the one that is wanted which nobody has, and which xgre takes.
    fn free_name(&self, kind: Kind, wanted: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let plain: String =
            wanted.chars().map(|c| if is_plain(c) { c } else { '-' }).take(MAX_NAME).collect();
        let plain = if plain.is_empty() { kind.name().to_owned() } else { plain };
        let is_free = |name: &String| !self.model.contains_key(&Id { kind, name: name.clone() });
        let numbered = |number: u32| {
            let end = format!("-{number}");
            format!("{}{end}", &plain[..plain.len().min(MAX_NAME - end.len())])
        };
        let names = std::iter::once(plain.clone()).chain((2..).map(numbered));
        names.into_iter().find(is_free).unwrap_or_default()
    }
}

/// The way to the other end of a tunnel.
struct Underlay {
    link: netlink::link::Link,
    source: Option<IpAddr>,
}

/// A name as a shell takes it, and as a comment does, which ends with the line.
fn quoted(name: &str) -> String {
    let name = name.replace(char::is_control, "?");
    shlex::try_quote(&name).map(Cow::into_owned).unwrap_or_default()
}

/// A tunnel without options.
fn plain_tunnel(local: IpAddr, remote: IpAddr) -> Tunnel {
    Tunnel::between(format!("to-{remote}"), local, remote)
}

#[cfg(test)]
mod tests {
    use gre_common::{tables::FieldPolicy, wire::gre::GreKey};

    use super::*;
    use crate::value::{Key, Service, Ttl};

    fn tunnel(remote: u8) -> Tunnel {
        plain_tunnel([192, 0, 2, 1].into(), [192, 0, 2, remote].into())
    }

    fn tenant(name: &str, key: u32, tunnel: &str) -> Tenant {
        let key = Some(Key(GreKey(key)));
        let tunnels = vec![tunnel.to_owned()];
        Tenant {
            name: name.to_owned(),
            in_key: key,
            second_in_key: None,
            out_key: key,
            tunnels,
            service: Service::L3,
            sources: Vec::new(),
            rate: None,
        }
    }

    #[test]
    fn names_become_such_that_xgre_takes() {
        let mut import = Import::default();
        let long = "x".repeat(40);
        let names = ["a b", "a/b", "a\u{e9}b", "", &long, &long];
        let taken = names
            .iter()
            .zip(1..)
            .map(|(name, key)| import.tenant("", tenant(name, key, "t")).expect("a name"));
        let taken: Vec<_> = taken.collect();
        let long = "x".repeat(31);
        let second = format!("{}-2", "x".repeat(29));
        assert_eq!(taken, ["a-b", "a-b-2", "a-b-3", "tenant", &long, &second]);
        assert_eq!((import.notes.len(), import.model.len()), (0, 6));
    }

    #[test]
    fn tunnels_between_the_same_ends_are_one() {
        let mut import = Import::default();
        let small = Tunnel { mtu: Some(Mtu(1300)), ..tunnel(2) };
        let smaller = Tunnel { mtu: Some(Mtu(1200)), ttl: Ttl(FieldPolicy::fixed(7)), ..tunnel(2) };
        let sums = Tunnel { csum: true, ..tunnel(2) };
        let names = [&tunnel(2), &small, &smaller, &sums].map(|it| import.tunnel("a", it));
        assert_eq!(names.map(|name| name.is_some()), [true, true, true, false]);
        let tunnels: Vec<_> = import.model.values().collect();
        assert_eq!(tunnels, [&Item::Tunnel(Tunnel { mtu: Some(Mtu(1200)), ..tunnel(2) })]);
        let notes: Vec<_> = import.notes.iter().map(|note| note.what.as_str()).collect();
        let [ttl, sums] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(ttl.starts_with("it has ttl 7; tunnel to-192.0.2.2"), "{ttl}");
        assert!(sums.starts_with("its packets have checksums"), "{sums}");
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let mut import = Import::default();
        assert_eq!(import.tunnel("a", &tunnel(1)), None);
        assert_eq!(import.tenant("b", tenant("b", 1, "t")).as_deref(), Some("b"));
        assert_eq!(import.tenant("c", tenant("c", 1, "t")), None);
        let about: Vec<_> = import.notes.iter().map(|note| note.about.as_str()).collect();
        assert_eq!(about, ["a", "c"]);
    }

    #[test]
    fn names_do_no_harm_in_a_shell_or_a_comment() {
        assert_eq!(quoted("eth0.100"), "eth0.100");
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
        assert_eq!(quoted("a\n[[port]]"), "'a?[[port]]'");
    }
}
