//! What a host is to be configured like, by what it knows of the fleet and what it is told locally.
//!
//! What is wrong with an entry leaves that entry out, and is told. Of two that claim one address the one written later has it. What is
//! configured locally wins over the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    entry::{Endpoint, Path, Port, Range, Tenant},
    mirror::{Known, Mirror},
};
use crate::{
    config::model::{self, Claim, Fdb, Id, Item, Kind, Model, Neigh, Route, Syntax, Tunnel},
    value::{Mac, PortMode, Prefix, Service},
};

/// What the tunnel to a host of the fleet is called.
pub fn tunnel_to(host: &str) -> String {
    format!("fleet.{host}")
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Me {
    /// This host's name.
    pub name: String,
    /// Its addresses of the underlay.
    pub addresses: Vec<IpAddr>,
}

/// What a host is to be like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// All its configuration, the local one with it.
    pub model: Model,
    /// Its ports of the fleet's tenants, by their interfaces.
    pub ports: BTreeMap<String, Port>,
    /// Hosts that it has tunnels to.
    pub peers: usize,
    /// What is left out, and why.
    pub problems: BTreeSet<String>,
}

impl Wanted {
    /// Leaves an interface out, with all that leads to it. Returns what was left out.
    pub fn leave_out(&mut self, interface: &str) -> Model {
        self.ports.remove(interface);
        let port = Id { kind: Kind::Port, name: interface.to_owned() };
        let is_of = |(id, item): &(Id, Item)| {
            *id == port || item.needs().contains(&port) || item.interfaces().contains(&interface)
        };
        let (left_out, stays) = mem::take(&mut self.model).into_iter().partition(is_of);
        self.model = stays;
        left_out
    }
}

/// What a host follows, by what it knows so far: its ports; their tenants with all endpoints; the hosts of those.
pub fn followed(mirror: &Mirror, me: &str) -> BTreeSet<Range> {
    let mut ranges = BTreeSet::from([Range::under("ports", &[me]), Range::under("claims", &[me])]);
    let ports = mirror.ports(me).map(|(_, port)| port.tenant.as_str());
    // What was claimed is to be let go, so it is asked about.
    let tenants: BTreeSet<&str> =
        ports.chain(mirror.claims(me).map(|(tenant, _)| tenant)).collect();
    for tenant in tenants {
        ranges.insert(Range::one(&Path::Tenant(tenant.to_owned())));
        ranges.insert(Range::under("endpoints", &[tenant]));
        let hosts = mirror.endpoints(tenant).map(|(host, ..)| host).filter(|host| *host != me);
        ranges.extend(hosts.map(|host| Range::one(&Path::Host(host.to_owned()))));
    }
    ranges
}

/// What a host is to be like.
pub fn wanted(mirror: &Mirror, me: &Me, local: &Model) -> Wanted {
    let mut making = Making::new(mirror, me, local);
    let mut tenants: BTreeMap<&str, Vec<(&str, &Port)>> = BTreeMap::new();
    for (iface, port) in mirror.ports(&me.name) {
        tenants.entry(&port.tenant).or_default().push((iface, port));
    }
    // Who had a key first keeps it.
    let mut defined: Vec<_> = Vec::new();
    for (name, ports) in tenants {
        match mirror.tenant(name) {
            Some(tenant) => defined.push((tenant.revision, name, tenant.value, ports)),
            None => making.problem(&format!("tenant {name} has ports here, and is not defined")),
        }
    }
    defined.sort_by_key(|(revision, name, ..)| (*revision, *name));
    for (_, name, tenant, ports) in defined {
        making.tenant(name, tenant, &ports);
    }
    making.wanted.problems.extend(mirror.unreadable());
    making.wanted.peers = making.peers.values().flatten().count();
    making.wanted
}

/// What is made so far.
struct Making<'a> {
    mirror: &'a Mirror,
    me: &'a Me,
    wanted: Wanted,
    claims: BTreeMap<Claim, Id>,
    /// The tunnel to each host that was asked for; `None`: there can be none.
    peers: BTreeMap<String, Option<String>>,
}

/// What a tenant's endpoints come to.
#[derive(Default)]
struct Stations<'a> {
    /// Where each address is: host and interface.
    macs: BTreeMap<[u8; 6], At<'a>>,
    addresses: BTreeMap<IpAddr, (At<'a>, Option<Mac>)>,
    hosts: BTreeSet<&'a str>,
}

/// Host, interface.
type At<'a> = (&'a str, &'a str);

impl<'a> Making<'a> {
    fn new(mirror: &'a Mirror, me: &'a Me, local: &Model) -> Self {
        let mut making = Self {
            mirror,
            me,
            wanted: Wanted::default(),
            claims: BTreeMap::new(),
            peers: BTreeMap::new(),
        };
        for item in local.values() {
            // They were checked, and nothing is there yet that they could clash with.
            let _ = making.add(item.clone());
        }
        making
    }

    fn problem(&mut self, problem: &str) {
        self.wanted.problems.insert(problem.replace(char::is_control, "?"));
    }

    /// Adds an item, if it can be.
    fn add(&mut self, item: Item) -> Result<(), String> {
        let id = item.id();
        item.check(Syntax::File).map_err(|error| format!("{id}: {error:#}"))?;
        if self.wanted.model.contains_key(&id) {
            return Err(format!("{id} is configured on this host, which goes before the fleet"));
        }
        let claims = item.claims();
        for claim in &claims {
            if let Some(other) = self.claims.get(claim) {
                return Err(format!("{id}: {other} already {}; {}", claim.what, claim.remedy));
            }
        }
        self.claims.extend(claims.into_iter().map(|claim| (claim, id.clone())));
        self.wanted.model.insert(id, item);
        Ok(())
    }

    /// Adds an item, or tells why not.
    fn try_add(&mut self, item: Item) -> bool {
        let added = self.add(item);
        let is_added = added.is_ok();
        added.unwrap_or_else(|problem| self.problem(&problem));
        is_added
    }

    fn tenant(&mut self, name: &'a str, tenant: &'a Tenant, ports: &[(&'a str, &'a Port)]) {
        let stations = self.stations(name, tenant);
        let hosts = stations.hosts.iter().filter(|host| **host != self.me.name);
        let hosts: Vec<_> = hosts.map(|host| (*host).to_owned()).collect();
        let tunnels: Vec<_> = hosts.iter().filter_map(|host| self.tunnel(host)).collect();
        let key = Some(tenant.key);
        let item = Item::Tenant(model::Tenant {
            name: name.to_owned(),
            in_key: key,
            second_in_key: None,
            out_key: key,
            tunnels,
            service: tenant.service,
            sources: Vec::new(),
            rate: None,
        });
        if !self.try_add(item) {
            return;
        }
        for (iface, port) in ports {
            let item = Item::Port(model::Port {
                tenant: name.to_owned(),
                name: (*iface).to_owned(),
                create: port.create,
                vlan: None,
                mac: if tenant.service == Service::L3 && !port.create {
                    port.endpoint.mac
                } else {
                    None
                },
                mode: PortMode::Auto,
            });
            if self.try_add(item) {
                self.wanted.ports.insert((*iface).to_owned(), (*port).clone());
            }
        }
        match tenant.service {
            Service::L2 => self.l2(name, &stations),
            Service::L3 => self.l3(name, &stations),
        }
    }

    /// Where the addresses of a tenant are.
    fn stations(&mut self, name: &'a str, tenant: &'a Tenant) -> Stations<'a> {
        let mut stations = Stations::default();
        let mut endpoints: Vec<_> = self.mirror.endpoints(name).collect();
        // The newer move wins.
        endpoints.sort_by_key(|(.., known)| known.revision);
        for (host, iface, Known { value, .. }) in endpoints {
            if !tenant.may_be_at(host) {
                self.problem(&format!(
                    "host {host} may have no endpoints of tenant {name}: {iface}"
                ));
                continue;
            }
            stations.hosts.insert(host);
            self.station(&mut stations, (name, tenant), (host, iface), value);
        }
        stations
    }

    fn station(
        &mut self,
        stations: &mut Stations<'a>,
        (name, tenant): (&str, &Tenant),
        at: At<'a>,
        endpoint: &Endpoint,
    ) {
        let (host, iface) = at;
        let told = |what: String, (there, on): At<'_>| {
            format!(
                "{what} of tenant {name} is at {iface} of host {host} now, and {there} says at its {on}"
            )
        };
        if let Some(mac) = endpoint.mac
            && let Some(before) = stations.macs.insert(mac.0, at)
        {
            self.problem(&told(mac.to_string(), before));
        }
        for &address in &endpoint.addresses {
            if !tenant.may_have(address) {
                self.problem(&format!(
                    "{address} at {iface} of host {host} is not tenant {name}'s"
                ));
                continue;
            }
            if let Some((before, _)) = stations.addresses.insert(address, (at, endpoint.mac)) {
                self.problem(&told(address.to_string(), before));
            }
        }
    }

    /// The tunnel to a host, which is made if there is none.
    fn tunnel(&mut self, host: &str) -> Option<String> {
        if let Some(known) = self.peers.get(host) {
            return known.clone();
        }
        let made = self.make_tunnel(host);
        let made = made.inspect_err(|problem| self.problem(problem)).ok();
        self.peers.insert(host.to_owned(), made.clone());
        made
    }

    fn make_tunnel(&mut self, host: &str) -> Result<String, String> {
        let there =
            self.mirror.host(host).ok_or_else(|| format!("where host {host} is, nobody says"))?;
        let both = self.me.addresses.iter().find_map(|local| {
            let same = |remote: &&IpAddr| remote.is_ipv4() == local.is_ipv4();
            Some((*local, *there.addresses.iter().find(same)?))
        });
        let (local, remote) = both.ok_or_else(|| {
            format!("host {host} and this one have no addresses of the same version of IP")
        })?;
        let name = tunnel_to(host);
        let tunnel = Item::Tunnel(Tunnel::between(name.clone(), local, remote));
        // One that is configured locally between the same ends is as good.
        if let Some(there) = tunnel.claims().iter().find_map(|claim| self.claims.get(claim)) {
            return Ok(there.name.clone());
        }
        self.add(tunnel).map(|()| name)
    }

    /// The tunnel behind which an address is; `None`: it is here, or cannot be reached.
    fn way(&self, (host, _): At<'_>) -> Option<String> {
        self.peers.get(host).cloned().flatten()
    }

    fn l2(&mut self, name: &str, stations: &Stations<'_>) {
        for (mac, at) in &stations.macs {
            let Some(tunnel) = self.way(*at) else { continue };
            let (tenant, mac) = (name.to_owned(), Mac(*mac));
            self.try_add(Item::Fdb(Fdb { tenant, mac, tunnel: Some(tunnel), port: None }));
        }
        for (&ip, (at, mac)) in &stations.addresses {
            if mac.is_some() && self.way(*at).is_some() {
                self.try_add(Item::Neigh(Neigh { tenant: name.to_owned(), ip, mac: *mac }));
            }
        }
    }

    fn l3(&mut self, name: &str, stations: &Stations<'_>) {
        for (&address, (at, _)) in &stations.addresses {
            let (host, iface) = *at;
            let here = host == self.me.name && self.wanted.ports.contains_key(iface);
            let tunnels: Vec<_> = self.way(*at).into_iter().collect();
            let ports = if here { vec![iface.to_owned()] } else { Vec::new() };
            if tunnels.is_empty() && ports.is_empty() {
                continue;
            }
            let prefix = Prefix(IpNet::from(address));
            self.try_add(Item::Route(Route { tenant: name.to_owned(), prefix, tunnels, ports }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{export, file};

    /// What host `a` at 192.0.2.1 knows.
    fn known(entries: &[(&str, &str)]) -> (Mirror, Me) {
        let mut mirror = Mirror::new(Duration::ZERO);
        for (revision, (path, text)) in (1..).zip(entries) {
            assert!(mirror.put(&format!("/xgre/v1/{path}"), text.as_bytes(), revision), "{path}");
        }
        let addresses = vec!["192.0.2.1".parse().expect("an address")];
        (mirror, Me { name: "a".to_owned(), addresses })
    }

    #[track_caller]
    fn text(entries: &[(&str, &str)], local: &str) -> (String, Vec<String>) {
        let (mirror, me) = known(entries);
        let local = file::parse("local", local).expect("a file").model;
        let wanted = wanted(&mirror, &me, &local);
        (export::text(&wanted.model).expect("TOML"), wanted.problems.into_iter().collect())
    }

    const BLUE: [(&str, &str); 4] = [
        ("tenants/blue", r#"{"key": 10}"#),
        ("ports/a/tap7", r#"{"tenant": "blue", "addresses": ["10.9.0.1"]}"#),
        ("endpoints/blue/b/tap8", r#"{"addresses": ["10.9.0.2"]}"#),
        ("hosts/b", r#"{"addresses": ["2001:db8::2", "192.0.2.2"]}"#),
    ];

    #[test]
    fn a_tunnel_and_a_route_for_each_other() {
        let (text, problems) = text(&BLUE, "");
        let expected = "[[tunnel]]\nname = \"fleet.b\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\n\n\
            [[tenant]]\nname = \"blue\"\nkey = 10\ntunnels = [\"fleet.b\"]\n\n\
            [[port]]\ntenant = \"blue\"\nname = \"tap7\"\n\n\
            [[route]]\ntenant = \"blue\"\nprefix = \"10.9.0.2/32\"\ntunnels = [\"fleet.b\"]\n";
        assert_eq!((text.as_str(), problems), (expected, vec![]));
    }

    #[test]
    fn what_is_followed_grows_with_what_is_known() {
        let (mirror, me) = known(&BLUE[..1]);
        let paths = |mirror: &Mirror| {
            let ranges = followed(mirror, &me.name).into_iter();
            ranges.map(|it| it.path.replace("/xgre/v1/", "")).collect::<Vec<_>>()
        };
        assert_eq!(paths(&mirror), ["claims/a/", "ports/a/"]);
        let (mirror, _) = known(&BLUE);
        let all = ["claims/a/", "endpoints/blue/", "hosts/b", "ports/a/", "tenants/blue"];
        assert_eq!(paths(&mirror), all);
    }

    #[test]
    fn the_newer_claim_has_an_address() {
        let claim = ("endpoints/blue/c/tap9", r#"{"addresses": ["10.9.0.2"]}"#);
        let host = ("hosts/c", r#"{"addresses": ["192.0.2.3"]}"#);
        let (text, problems) = text(&[&BLUE[..], &[host, claim]].concat(), "");
        assert!(text.contains("prefix = \"10.9.0.2/32\"\ntunnels = [\"fleet.c\"]"), "{text}");
        let told = "10.9.0.2 of tenant blue is at tap9 of host c now, and b says at its tap8";
        assert_eq!(problems, [told]);
    }

    #[test]
    fn what_is_configured_here_goes_first() {
        let local = "[[tunnel]]\nname = \"mine\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\n\n\
            [[tenant]]\nname = \"own\"\nkey = 10\ntunnels = [\"mine\"]\n";
        let (text, problems) = text(&BLUE, local);
        assert_eq!(text, local);
        let told = "tenant blue: tenant own already receives key 10 on tunnel mine";
        assert!(problems.iter().any(|it| it.starts_with(told)), "{problems:?}");
    }

    #[test]
    fn nobody_without_a_place() {
        let (text, problems) = text(&BLUE[..3], "");
        assert!(text.contains("tunnels = []") && !text.contains("route"), "{text}");
        assert_eq!(problems, ["where host b is, nobody says"]);
    }
}
