//! l3 tenants with routes: several tunnels and ports, the same addresses, ways of equal worth; and whom their ports answer for.

use std::collections::BTreeSet;

use testbed::{Capture, Daemon, Host, Netns, Ping, suite::Case, veth};

use crate::setup::{count, eventually};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = ["native", "tc"]
        .map(|mode| {
            Case::new(format!("routes: over tunnels and ports, two tenants, {mode}"), move || {
                everywhere(mode);
            })
        })
        .into();
    cases.extend([
        Case::new("routes: flows share ways of equal worth", equal_ways),
        Case::new("routes: of a tenant with one tunnel and one port", point_to_point),
        Case::new("routes: ports go, and their routes with them", deleted),
        Case::new("routes: what it is like can be said by a file", by_file),
    ]);
    cases
}

/// Hosts around a router; each has a tunnel to each other.
struct Net {
    hosts: Vec<Host>,
    _daemons: Vec<Daemon>,
    _router: Netns,
}

impl Net {
    fn new(hosts: u8, mode: &str) -> Self {
        let router = Netns::new();
        router.sysctl("ipv4/ip_forward", "1");
        let mut daemons = Vec::new();
        let host = |number: u8| {
            let host = Host::new();
            let uplink = format!("h{number}");
            veth((&host.ns, "eth0"), (&router, &uplink));
            router.ip(&format!("addr add 192.0.2.254 peer 192.0.2.{number} dev {uplink}"));
            host.ns.ip(&format!("addr add 192.0.2.{number}/32 dev eth0"));
            host.ns.ip("route add 192.0.2.254 dev eth0");
            host.ns.ip("route add default via 192.0.2.254");
            daemons.push(host.start(&format!("--iface eth0 --mode {mode}")));
            for other in (1..=hosts).filter(|other| *other != number) {
                let ends = format!("--local 192.0.2.{number} --remote 192.0.2.{other}");
                host.xgre(&format!("tunnel add to{other} {ends}")).ok();
            }
            host
        };
        let hosts = (1..=hosts).map(host).collect();
        Self { hosts, _daemons: daemons, _router: router }
    }
}

/// A host behind a port, which is its gateway: `10.SUBNET.2` of `10.SUBNET.0/24`, and `fd00:SUBNET::2`.
struct Station {
    ns: Netns,
    subnet: &'static str,
}

impl Station {
    fn at(host: &Host, tenant: &str, port: &str, subnet: &'static str) -> Self {
        let this = Self { ns: Netns::new(), subnet };
        veth((&this.ns, "eth0"), (&host.ns, port));
        this.ns.ip("link set lo up");
        this.ns.ip("link set eth0 mtu 1400");
        let v6 = this.v6_subnet();
        this.ns.ip(&format!("addr add 10.{subnet}.2/24 dev eth0"));
        this.ns.ip(&format!("addr add {v6}::2/64 dev eth0 nodad"));
        let mac = this.ns.json("link show eth0")[0]["address"].as_str().expect("it").to_owned();
        host.xgre(&format!("port add {tenant} {port} --mac {mac}")).ok();
        for gateway in [format!("10.{subnet}.1"), format!("{v6}::1")] {
            host.xgre(&format!("neigh add {tenant} {gateway}")).ok();
            let family = if gateway.contains(':') { "-6 " } else { "" };
            this.ns.ip(&format!("{family}route add default via {gateway}"));
        }
        this
    }

    fn v6_subnet(&self) -> String {
        format!("fd00:{}", self.subnet.replace('.', ":"))
    }

    fn addresses(&self) -> [String; 2] {
        [format!("10.{}.2", self.subnet), format!("{}::2", self.v6_subnet())]
    }

    #[track_caller]
    fn reaches(&self, other: &Self) {
        for address in other.addresses() {
            Ping::to(&address).times(2, 10).all_answered(&self.ns);
        }
    }

    #[track_caller]
    fn reaches_not(&self, other: &Self) {
        for address in other.addresses() {
            Ping::to(&address).times(2, 10).unanswered(&self.ns);
        }
    }
}

fn route(host: &Host, tenant: &str, subnet: &str, via: &str) {
    let v6 = format!("fd00:{}::/64", subnet.replace('.', ":"));
    for prefix in [format!("10.{subnet}.0/24"), v6] {
        host.xgre(&format!("route add {tenant} {prefix} --via {via}")).ok();
    }
}

/// A hub with two stations and two others. `blue` has the same addresses as `red`, and each elsewhere.
fn everywhere(mode: &str) {
    let net = Net::new(3, mode);
    let [hub, two, three] = &net.hosts[..] else { panic!("three hosts") };
    let mut stations = Vec::new();
    for (tenant, key, far) in [("red", 10, [two, three]), ("blue", 20, [three, two])] {
        hub.xgre(&format!("tenant add {tenant} --key {key} --tunnel to2 to3")).ok();
        let near = ["1.1", "1.2"].map(|subnet| {
            let port = format!("{tenant}{}", subnet.replace('.', ""));
            let station = Station::at(hub, tenant, &port, subnet);
            route(hub, tenant, subnet, &port);
            station
        });
        let far = [("2.1", far[0]), ("3.1", far[1])].map(|(subnet, host)| {
            host.xgre(&format!("tenant add {tenant} --key {key} --tunnel to1")).ok();
            route(hub, tenant, subnet, if std::ptr::eq(host, two) { "to2" } else { "to3" });
            Station::at(host, tenant, &format!("{tenant}0"), subnet)
        });
        stations.push([near, far].concat_stations());
    }
    for all in &stations {
        let [first, second, far, further] = &all[..] else { panic!("four stations") };
        for (from, to) in
            [(first, second), (second, first), (first, far), (second, further), (far, first)]
        {
            from.reaches(to);
        }
        further.reaches(second);
        // The hub does not lead from one tunnel into another.
        far.reaches_not(further);
        first.ns.exec("ping -c 1 -W 1 10.77.0.1");
    }
    for tenant in ["red", "blue"] {
        let stats = hub.tenant_stats(tenant);
        assert!(count(&stats, "/drops/unreachable") >= 1, "{stats}");
        assert!(count(&stats, "/drops/split_horizon") >= 4, "{stats}");
        assert!(count(&stats, "/notices/switched") >= 8, "{stats}");
        assert!(count(&stats, "/notices/answered") >= 4, "{stats}");
        assert!(
            count(&stats, "/rx/packets") >= 16 && count(&stats, "/tx/packets") >= 16,
            "{stats}"
        );
    }
}

trait Concat {
    fn concat_stations(self) -> Vec<Station>;
}

impl Concat for [[Station; 2]; 2] {
    fn concat_stations(self) -> Vec<Station> {
        self.into_iter().flatten().collect()
    }
}

fn equal_ways() {
    let net = Net::new(3, "auto");
    let [hub, two, three] = &net.hosts[..] else { panic!("three hosts") };
    hub.xgre("tenant add red --key 10 --tunnel to2 to3").ok();
    let near = Station::at(hub, "red", "red0", "1.1");
    route(hub, "red", "1.1", "red0");
    route(hub, "red", "9.1", "to2 to3");
    let far = [two, three].map(|host| {
        host.xgre("tenant add red --key 10 --tunnel to1").ok();
        Station::at(host, "red", "red0", "9.1")
    });
    let captures = [0, 1].map(|it| Capture::start(&far[it].ns, "eth0"));
    for address in far[0].addresses() {
        near.ns.run_in(|| {
            for port in 5000..5050_u16 {
                let bind = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
                let socket = std::net::UdpSocket::bind(bind).expect("a socket");
                for _ in 0..2 {
                    socket.send_to(b"flow", (address.as_str(), port)).expect("sent");
                }
            }
        });
    }
    eventually("all packets", || {
        let stats = [two, three].map(|host| count(&host.tenant_stats("red"), "/rx/packets"));
        stats.iter().sum::<u64>() >= 200
    });
    // Source and destination port of IPv4 and IPv6, whose headers differ in length.
    let flows = captures.map(|capture| {
        let frames = capture.stop();
        let udp = frames.iter().filter(|it| !it.outgoing).filter_map(|it| {
            let (ip_len, protocol) = match it.bytes.get(14)? >> 4 {
                4 => (20, it.bytes[23]),
                _ => (40, it.bytes[20]),
            };
            (protocol == 17).then(|| (ip_len, it.bytes[14 + ip_len..18 + ip_len].to_vec()))
        });
        udp.collect::<BTreeSet<_>>()
    });
    let [first, second] = &flows;
    assert_eq!(first.len() + second.len(), 100, "a flow took two ways, or packets are missing");
    assert!(first.len() >= 20 && second.len() >= 20, "{} and {}", first.len(), second.len());
}

fn point_to_point() {
    let net = Net::new(2, "auto");
    let [one, two] = &net.hosts[..] else { panic!("two hosts") };
    for (host, to) in [(one, "to2"), (two, "to1")] {
        host.xgre(&format!("tenant add red --key 10 --tunnel {to}")).ok();
    }
    let (near, far) =
        (Station::at(one, "red", "red0", "1.1"), Station::at(two, "red", "red0", "2.1"));
    near.reaches(&far);
    // The first route has all the rest be unreachable.
    one.xgre("route add red 10.2.0.0/16 --via to2").ok();
    Ping::to("10.2.1.2").all_answered(&near.ns);
    Ping::to(&far.addresses()[1]).unanswered(&near.ns);
    assert!(count(&one.tenant_stats("red"), "/drops/unreachable") >= 3);
    one.xgre("route add red ::/0 --via to2").ok();
    near.reaches(&far);
    for prefix in ["10.2.0.0/16", "::/0"] {
        one.xgre(&format!("route del red {prefix}")).ok();
    }
    near.reaches(&far);
    let sum = count(&one.tenant_stats("red"), "/drops/unreachable");
    assert_eq!(one.json("route list")["routes"], serde_json::json!([]));
    assert_eq!(count(&one.tenant_stats("red"), "/drops/unreachable"), sum);
}

fn deleted() {
    let net = Net::new(2, "auto");
    let [one, two] = &net.hosts[..] else { panic!("two hosts") };
    one.xgre("tenant add red --key 10 --tunnel to2").ok();
    two.xgre("tenant add red --key 10 --tunnel to1").ok();
    let first = Station::at(one, "red", "red1", "1.1");
    let _second = Station::at(one, "red", "red2", "1.2");
    let far = Station::at(two, "red", "red0", "2.1");
    for (subnet, via) in [("1.1", "red1"), ("1.2", "red2"), ("2.1", "to2"), ("7.1", "red1 red2")] {
        route(one, "red", subnet, via);
    }
    first.reaches(&far);
    one.xgre("port del red red2").ok();
    let routes = one.json("route list red")["routes"].clone();
    let shown = |prefix: &str| {
        let all = routes.as_array().expect("a list").iter();
        all.clone().find(|it| it["prefix"] == prefix).map(|it| it["via"].clone())
    };
    assert_eq!(shown("10.1.2.0/24"), None);
    assert_eq!(shown("10.7.1.0/24"), Some(serde_json::json!(["red1"])));
    first.reaches(&far);
    one.xgre("port del red red1").ok();
    one.xgre("tenant del red").ok();
    for list in ["route", "neigh"] {
        assert!(!one.json(&format!("{list} list")).to_string().contains("10."), "{list}");
    }
    // The same place, and nothing of what was there.
    one.xgre("tenant add red --key 10 --tunnel to2").ok();
    let again = Station::at(one, "red", "red3", "1.1");
    again.reaches(&far);
}

fn by_file() {
    let net = Net::new(3, "auto");
    let [hub, two, _] = &net.hosts[..] else { panic!("three hosts") };
    hub.xgre("tenant add red --key 10 --tunnel to2 to3 --allow-source 10.0.0.0/8 fd00::/16 --rate 900mbit").ok();
    two.xgre("tenant add red --key 10 --tunnel to1").ok();
    let near = Station::at(hub, "red", "red0", "1.1");
    let far = Station::at(two, "red", "red0", "2.1");
    route(hub, "red", "1.1", "red0");
    route(hub, "red", "2.1", "to2");
    hub.xgre("route add red default --via to2 to3").ok();
    near.reaches(&far);
    let exported = hub.xgre("export").ok();
    for said in [
        "allow-source = [\"10.0.0.0/8\", \"fd00::/16\"]\nrate = \"900mbit\"\n",
        "[[route]]\ntenant = \"red\"\nprefix = \"0.0.0.0/0\"\ntunnels = [\"to2\", \"to3\"]\n",
        "[[route]]\ntenant = \"red\"\nprefix = \"10.1.1.0/24\"\nports = [\"red0\"]\n",
        "[[neigh]]\ntenant = \"red\"\nip = \"10.1.1.1\"\n",
    ] {
        assert!(exported.contains(said), "{said}\nis not in\n{exported}");
    }
    let path = hub.file("hub.toml", &exported);
    let nothing = hub.xgre(&format!("apply {}", path.display())).ok();
    assert!(nothing.contains("nothing to change"), "{nothing}");
    let empty = hub.file("empty.toml", "");
    hub.xgre(&format!("apply {}", empty.display())).ok();
    assert_eq!(hub.xgre("export").ok(), "");
    hub.xgre(&format!("apply {}", path.display())).ok();
    assert_eq!(hub.xgre("export").ok(), exported);
    near.reaches(&far);
}
