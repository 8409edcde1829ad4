//! Commands that give new devices what old ones have: `ip` with all its words.

use std::collections::BTreeMap;

use gre_common::tables::IfIndex;
use rtnetlink::packet_route::route::{RouteProtocol, RouteType};

use super::{Import, quoted};
use crate::{
    netlink::{
        holdings::{Address, Holdings, Hop, Route},
        link::Link,
    },
    value::Mac,
};

/// The scope of what is valid everywhere (`RT_SCOPE_UNIVERSE`).
const EVERYWHERE: u8 = 0;
/// The scope of what is valid on the link only (`RT_SCOPE_LINK`).
const LINK: u8 = 253;

/// The moves of an import.
pub struct Moves<'a> {
    holdings: &'a Holdings,
    links: &'a [Link],
    /// The names of the new devices by the indices of the old ones.
    moved: BTreeMap<IfIndex, String>,
}

impl<'a> Moves<'a> {
    pub fn new(holdings: &'a Holdings, links: &'a [Link]) -> Self {
        Self { holdings, links, moved: BTreeMap::new() }
    }

    /// A device of this name takes the place of an old one.
    pub fn add(&mut self, old: &Link, new: &str) {
        self.moved.insert(old.ifindex, new.to_owned());
    }

    /// Writes the steps down, and what does not come along. Addresses come before the routes that need them.
    pub fn write(&self, import: &mut Import) {
        let old = |ifindex| self.links.iter().find(|link| link.ifindex == ifindex);
        let pairs: Vec<_> = self
            .moved
            .iter()
            .filter_map(|(&ifindex, new)| Some((old(ifindex)?, new.as_str())))
            .collect();
        for (link, new) in &pairs {
            self.device(import, link, new);
        }
        self.routes(import);
        for (link, new) in pairs {
            if !link.up {
                import.steps.after.push(format!("ip link set {} down", quoted(new)));
            }
            self.what_is_above(import, link, new);
            self.rules(import, link, new);
        }
    }

    fn device(&self, import: &mut Import, link: &Link, new: &str) {
        let device = quoted(new);
        if let Some(mac) = link.mac {
            import.steps.after.push(format!("ip link set {device} address {}", Mac(mac)));
        }
        if let Some(master) = link.master {
            self.master(import, link, new, master);
        }
        let Holdings { addresses, neighbours, .. } = self.holdings;
        let addresses = addresses.iter().filter(|it| it.ifindex == link.ifindex);
        let addresses =
            addresses.map(|it| format!("ip address replace {} dev {device}", words(it)));
        import.steps.after.extend(addresses);
        // A device without Ethernet headers asks for no neighbours.
        let neighbours =
            neighbours.iter().filter(|it| it.ifindex == link.ifindex && link.mac.is_some());
        let neighbours = neighbours.map(|it| {
            format!("ip neighbour replace {} lladdr {} dev {device}", it.address, Mac(it.mac))
        });
        import.steps.after.extend(neighbours);
    }

    fn master(&self, import: &mut Import, link: &Link, new: &str, master: IfIndex) {
        let Some(master) = self.links.iter().find(|other| other.ifindex == master) else { return };
        if master.kind.as_deref() == Some("openvswitch") {
            let remedy = format!(
                "add {new} to the bridge with `ovs-vsctl`, where it is not there by its name"
            );
            return import.note(&link.name, "it is a port of an Open vSwitch bridge", remedy);
        }
        import.steps.after.push(format!(
            "ip link set {} master {}",
            quoted(new),
            quoted(&master.name)
        ));
        if master.kind.as_deref() == Some("bridge") {
            let what = format!(
                "it is a port of bridge {}; the port's own settings (VLANs, cost, isolation and the like) are not read",
                master.name
            );
            let remedy = format!(
                "look with `bridge -d link show dev {0}` and `bridge vlan show dev {0}` before, and set for {new} what \
                 you need",
                link.name
            );
            import.note(&link.name, what, remedy);
        }
    }

    /// Devices on top go with the old one.
    fn what_is_above(&self, import: &mut Import, link: &Link, new: &str) {
        for above in self.links.iter().filter(|other| other.below == Some(link.ifindex)) {
            let kind = above.kind.as_deref().unwrap_or("device");
            let what = format!("it is a {kind} device on {}, and is gone with it", link.name);
            let remedy = format!(
                "note what `ip -d link show {0}` and `ip address show {0}` say, and make it anew on {new}",
                above.name
            );
            import.note(&above.name, what, remedy);
        }
    }

    /// Rules go by names, and hold for a new device of the same one.
    fn rules(&self, import: &mut Import, link: &Link, new: &str) {
        let rules = self.holdings.rules.iter().filter(|rule| rule.device == link.name);
        for rule in rules.filter(|_| link.name != new) {
            let what = format!("the rule with priority {} names it", rule.priority);
            let remedy = format!("add the same rule for {new} (`ip rule`) before the last steps");
            import.note(&link.name, what, remedy);
        }
    }

    fn routes(&self, import: &mut Import) {
        let is_ours = |hop: &Hop| self.moved.contains_key(&hop.ifindex);
        let mut routes: Vec<_> = self
            .holdings
            .routes
            .iter()
            .filter(|route| route.hops.iter().any(is_ours) && is_users(route))
            .collect();
        // A router has to be within reach before a route names it.
        routes.sort_by_key(|route| route.hops.iter().any(|hop| hop.gateway.is_some()));
        for route in routes {
            let old = route.hops.iter().find(|hop| is_ours(hop)).map(|hop| self.old(hop.ifindex));
            let old = old.unwrap_or_default();
            let (address, bits) = route.destination;
            let mut refuse = |what: &str, remedy: &str| {
                import.note(&old, format!("the route to {address}/{bits} {what}"), remedy);
            };
            if is_anothers(route) {
                let number = u8::from(route.protocol);
                let what = format!("is another program's (proto {number} of `ip route`)");
                refuse(&what, "that program makes it again, by itself or when it is restarted");
            } else if let Some(id) = route.object {
                refuse(
                    &format!("goes by next hop object {id}, which is gone with the device"),
                    "make the object and the route anew with `ip nexthop` and `ip route`",
                );
            } else if route.encapsulates {
                refuse(
                    "puts other headers around its packets (encap)",
                    "make it anew with `ip route`",
                );
            } else {
                import.steps.after.push(format!("ip route replace {}", self.words(route)));
            }
        }
    }

    fn old(&self, ifindex: IfIndex) -> String {
        let link = self.links.iter().find(|link| link.ifindex == ifindex);
        link.map_or_else(|| ifindex.0.to_string(), |link| link.name.clone())
    }

    /// As `ip route` takes it.
    fn words(&self, route: &Route) -> String {
        let (address, bits) = route.destination;
        let mut words = vec![format!("{address}/{bits}")];
        let several = route.hops.len() > 1;
        if !several {
            words.extend(route.hops.iter().map(|hop| self.hop(hop)));
        }
        let table = (!route.is_in_main()).then_some(route.table);
        let protocol = match route.protocol {
            RouteProtocol::Boot | RouteProtocol::Unspec => None,
            protocol => Some(u8::from(protocol)),
        };
        // What `ip` supposes where it is not said (`iproute_modify`).
        let has_gateway = route.hops.iter().any(|hop| hop.gateway.is_some());
        let supposed = if has_gateway || several { EVERYWHERE } else { LINK };
        let scope = (address.is_ipv4() && route.scope != supposed).then_some(route.scope);
        let tos = (route.tos != 0).then_some(route.tos);
        let options = [
            ("tos", tos.map(|tos| format!("{tos:#x}"))),
            ("table", table.map(|it| it.to_string())),
            ("proto", protocol.map(|it| it.to_string())),
            ("scope", scope.map(|it| it.to_string())),
            ("metric", route.metric.map(|it| it.to_string())),
            ("src", route.source.map(|it| it.to_string())),
            ("mtu", route.mtu.map(|it| it.to_string())),
        ];
        words.extend(
            options.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))),
        );
        if several {
            let hop = |hop: &Hop| format!("nexthop {} weight {}", self.hop(hop), hop.weight);
            words.extend(route.hops.iter().map(hop));
        }
        words.join(" ")
    }

    fn hop(&self, hop: &Hop) -> String {
        let new = self.moved.get(&hop.ifindex).cloned();
        let device = new.unwrap_or_else(|| self.old(hop.ifindex));
        let via = hop.gateway.map_or_else(String::new, |gateway| {
            let family = if gateway.is_ipv6() { "inet6 " } else { "" };
            format!("via {family}{gateway} ")
        });
        let onlink = if hop.onlink { " onlink" } else { "" };
        format!("{via}dev {}{onlink}", quoted(&device))
    }
}

/// As `ip address` takes it.
fn words(address: &Address) -> String {
    let Address { local, prefix_len, .. } = address;
    let ends = match address.peer {
        Some(peer) => format!("{local} peer {peer}/{prefix_len}"),
        None => format!("{local}/{prefix_len}"),
    };
    let broadcast = address.broadcast.map(|it| format!("broadcast {it}"));
    let narrow = local.is_ipv4() && address.scope != EVERYWHERE;
    let scope = narrow.then(|| format!("scope {}", address.scope));
    let no_route = address.no_prefix_route.then(|| "noprefixroute".to_owned());
    // It was in use until now.
    let no_dad = local.is_ipv6().then(|| "nodad".to_owned());
    let words = [Some(ends), broadcast, scope, no_route, no_dad];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Whether somebody gave a route, other than the kernel.
fn is_users(route: &Route) -> bool {
    let by_kernel = [RouteProtocol::Kernel, RouteProtocol::IcmpRedirect, RouteProtocol::Ra];
    route.kind == RouteType::Unicast && !by_kernel.contains(&route.protocol)
}

/// Whether a program looks after a route.
fn is_anothers(route: &Route) -> bool {
    let by_hand = [RouteProtocol::Unspec, RouteProtocol::Boot, RouteProtocol::Static];
    !by_hand.contains(&route.protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u32, name: &str) -> Link {
        Link {
            ifindex: IfIndex(number),
            name: name.to_owned(),
            mtu: 1500,
            mtu6: None,
            mac: None,
            kind: None,
            peer: None,
            below: None,
            master: None,
            xdp_program: None,
            up: true,
            arp: false,
        }
    }

    fn hop(number: u32, gateway: Option<&str>) -> Hop {
        let gateway = gateway.map(|text| text.parse().expect("an address"));
        Hop { ifindex: IfIndex(number), gateway, onlink: false, weight: 1 }
    }

    fn route(destination: &str, hops: &[Hop]) -> Route {
        Route {
            kind: RouteType::Unicast,
            destination: (destination.parse().expect("an address"), 16),
            tos: 0,
            table: 254,
            protocol: RouteProtocol::Boot,
            scope: if hops[0].gateway.is_some() { EVERYWHERE } else { LINK },
            metric: None,
            source: None,
            mtu: None,
            hops: hops.to_vec(),
            object: None,
            encapsulates: false,
        }
    }

    /// What becomes of routes when the devices 1 and 2, of four, become other ones.
    fn moved(routes: Vec<Route>) -> Import {
        let links = [(1, "gre1"), (2, "gre2"), (3, "eth0"), (4, "a b")];
        let links = links.map(|(number, name)| link(number, name));
        let holdings = Holdings { routes, ..Holdings::default() };
        let mut moves = Moves::new(&holdings, &links);
        moves.add(&links[0], "new1");
        moves.add(&links[1], "new2");
        let mut import = Import::default();
        moves.write(&mut import);
        import
    }

    #[test]
    fn routes_have_all_their_words() {
        let two = [hop(1, Some("10.0.0.1")), Hop { weight: 3, ..hop(3, None) }];
        let odd = Hop { onlink: true, ..hop(1, Some("fe80::1")) };
        let rich = Route {
            tos: 16,
            table: 77,
            protocol: RouteProtocol::Static,
            scope: 200,
            metric: Some(9),
            source: Some([10, 0, 0, 2].into()),
            mtu: Some(1300),
            ..route("10.3.0.0", &[odd])
        };
        let import = moved(vec![
            rich,
            Route { scope: EVERYWHERE, ..route("10.2.0.0", &two) },
            Route { metric: Some(1024), scope: EVERYWHERE, ..route("fd01::", &[hop(2, None)]) },
            route("10.1.0.0", &[hop(2, None)]),
            route("10.9.0.0", &[hop(3, None)]),
        ]);
        let expected = [
            "fd01::/16 dev new2 metric 1024",
            "10.1.0.0/16 dev new2",
            "10.3.0.0/16 via inet6 fe80::1 dev new1 onlink tos 0x10 table 77 proto 4 scope 200 metric 9 src 10.0.0.2 mtu 1300",
            "10.2.0.0/16 nexthop via 10.0.0.1 dev new1 weight 1 nexthop dev eth0 weight 3",
        ];
        assert_eq!(import.steps.after, expected.map(|words| format!("ip route replace {words}")));
        assert_eq!(import.notes, []);
    }

    #[test]
    fn routes_of_others_stay_theirs() {
        let plain = || route("10.1.0.0", &[hop(1, None)]);
        let import = moved(vec![
            Route { protocol: RouteProtocol::Kernel, ..plain() },
            Route { kind: RouteType::Local, ..plain() },
            Route { protocol: RouteProtocol::Bgp, ..plain() },
            Route { object: Some(7), ..plain() },
            Route { encapsulates: true, ..plain() },
        ]);
        assert_eq!(import.steps.after, Vec::<String>::new());
        let notes: Vec<_> = import.notes.iter().map(ToString::to_string).collect();
        let [bgp, object, encap] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(bgp.starts_with("gre1: the route to 10.1.0.0/16 is another program's (proto 186"));
        assert!(object.contains("goes by next hop object 7"), "{object}");
        assert!(encap.contains("puts other headers around its packets"), "{encap}");
    }
}
