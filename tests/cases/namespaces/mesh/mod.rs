//! Networks over many hosts: l2 tenants with a tunnel to every other host, and several ports.
//!
//! - [`neutron`]: hosts with Open vSwitch among them.

mod neutron;

use testbed::{Capture, Daemon, Host, Netns, Ping, suite::Case, veth};

use crate::setup::{count, eventually};

pub fn cases() -> Vec<Case> {
    let mut cases = neutron::cases();
    cases.extend([
        Case::new("mesh: every pair of a tenant, and nobody else's", pairs),
        Case::new("mesh: a flood arrives once everywhere", floods),
        Case::new("mesh: a station moves", moves),
        Case::new("mesh: stations that someone said", said),
        Case::new("mesh: what it is like can be said by a file", by_file),
        Case::new("mesh: apply of a changed file during traffic", applied_during_traffic),
        Case::new("mesh: ports and tenants go, and nothing of them stays", deleted),
        Case::new("mesh: a host's daemon dies, and nobody notices", daemon_killed),
        Case::new("mesh: the device for what goes to several is deleted", flood_device_deleted),
    ]);
    cases
}

/// Their names and keys.
const TENANTS: [(&str, u32); 3] = [("blue", 10), ("red", 20), ("green", 0)];

/// Hosts around a router, each with a tunnel to each other and two stations of every tenant.
struct Mesh {
    hosts: Vec<Member>,
    router: Netns,
}

struct Member {
    host: Host,
    stations: Vec<Station>,
    daemon: Daemon,
}

/// A virtual machine: a namespace with one device.
struct Station {
    tenant: &'static str,
    ns: Netns,
    address: String,
    port: String,
}

impl Mesh {
    fn new(hosts: u8, mode: &str) -> Self {
        Self::part(hosts, hosts, mode)
    }

    /// The first `own` hosts of so many.
    fn part(own: u8, hosts: u8, mode: &str) -> Self {
        let router = Netns::new();
        router.sysctl("ipv4/ip_forward", "1");
        let hosts = (1..=own).map(|number| Member::new(&router, number, hosts, mode)).collect();
        Self { hosts, router }
    }

    fn stations(&self, tenant: &str) -> Vec<&Station> {
        let all = self.hosts.iter().flat_map(|host| &host.stations);
        all.filter(|station| station.tenant == tenant).collect()
    }
}

impl Member {
    fn new(router: &Netns, number: u8, hosts: u8, mode: &str) -> Self {
        let host = Host::new();
        wire(router, &host.ns, number);
        address(&host.ns, "eth0", number);
        let daemon = host.start(&format!("--iface eth0 --mode {mode}"));
        let others: Vec<u8> = (1..=hosts).filter(|other| *other != number).collect();
        for other in &others {
            host.xgre(&format!(
                "tunnel add to{other} --local 192.0.2.{number} --remote 192.0.2.{other}"
            ))
            .ok();
        }
        let tunnels: Vec<String> = others.iter().map(|other| format!("to{other}")).collect();
        for (tenant, key) in TENANTS {
            let tunnels = tunnels.join(" ");
            host.xgre(&format!("tenant add {tenant} --key {key} --service l2 --tunnel {tunnels}"))
                .ok();
        }
        let stations = TENANTS
            .iter()
            .flat_map(|(tenant, _)| places(number).map(|place| Station::at(&host, tenant, place)));
        let stations = stations.collect();
        Self { host, stations, daemon }
    }
}

/// Joins a host to the router.
fn wire(router: &Netns, ns: &Netns, number: u8) {
    let uplink = format!("h{number}");
    veth((ns, "eth0"), (router, &uplink));
    router.ip(&format!("addr add 192.0.2.254 peer 192.0.2.{number} dev {uplink}"));
}

/// Gives a host its address, and the way to all others.
fn address(ns: &Netns, device: &str, number: u8) {
    ns.ip(&format!("addr add 192.0.2.{number}/32 dev {device}"));
    ns.ip(&format!("route add 192.0.2.254 dev {device}"));
    ns.ip("route add default via 192.0.2.254");
}

/// The numbers of a host's stations.
fn places(host: u8) -> [u8; 2] {
    [host * 10 + 1, host * 10 + 2]
}

impl Station {
    /// At a port of the host.
    fn at(host: &Host, tenant: &'static str, number: u8) -> Self {
        let this = Self::new(tenant, number);
        this.plug(host);
        this
    }

    /// Tenants have the same addresses, and stations of one number the same MAC address.
    fn new(tenant: &'static str, number: u8) -> Self {
        Self {
            tenant,
            ns: Netns::new(),
            address: format!("10.9.0.{number}"),
            port: format!("{tenant}{number}"),
        }
    }

    fn plug(&self, host: &Host) {
        self.wire(&host.ns);
        host.xgre(&format!("port add {} {}", self.tenant, self.port)).ok();
    }

    /// Joins it to a host by a device named [`Station::port`] there.
    fn wire(&self, host: &Netns) {
        let number = self.port.trim_start_matches(self.tenant);
        veth((&self.ns, "eth0"), (host, &self.port));
        self.ns.ip(&format!("link set eth0 address 02:00:00:00:00:{number}"));
        self.ns.ip(&format!("addr add {}/24 dev eth0", self.address));
        self.ns.ip("link set eth0 mtu 1400");
    }
}

/// Each reaches each.
#[track_caller]
fn all_pairs(stations: &[&Station]) {
    for (from, to) in stations.iter().flat_map(|from| stations.iter().map(move |to| (from, to))) {
        if from.address != to.address {
            Ping::to(&to.address).times(1, 10).all_answered(&from.ns);
        }
    }
}

/// Somebody whom nobody has heard of.
const UNKNOWN: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// A flood from one station of a tenant arrives once at every other one, and at nobody else's.
#[track_caller]
fn arrives_once(from: &Station, all: &[&Station]) {
    const SENT: usize = 5;
    let captures: Vec<_> = all.iter().map(|it| Capture::start(&it.ns, "eth0")).collect();
    from.ns.ip("neigh replace 10.9.0.99 lladdr 02:00:00:00:00:99 dev eth0");
    Ping::to("10.9.0.99").times(SENT as u16, 20).unanswered(&from.ns);
    for (station, capture) in all.iter().zip(captures) {
        let frames = capture.stop();
        let copies = frames.iter().filter(|it| !it.outgoing && it.bytes[..6] == UNKNOWN).count();
        let is_other = station.tenant == from.tenant && station.address != from.address;
        let expected = if is_other { SENT } else { 0 };
        assert_eq!(copies, expected, "at {} of {}", station.address, station.tenant);
    }
}

fn pairs() {
    let mesh = Mesh::new(3, "auto");
    for (tenant, _) in TENANTS {
        all_pairs(&mesh.stations(tenant));
    }
    for member in &mesh.hosts {
        for (tenant, _) in TENANTS {
            let stats = member.host.tenant_stats(tenant);
            assert!(
                count(&stats, "/rx/packets") > 0 && count(&stats, "/tx/packets") > 0,
                "{stats}"
            );
        }
    }
}

fn floods() {
    let mesh = Mesh::new(3, "tc");
    let all: Vec<_> = TENANTS.iter().flat_map(|(tenant, _)| mesh.stations(tenant)).collect();
    arrives_once(all[0], &all);
}

fn daemon_killed() {
    let mut mesh = Mesh::new(3, "auto");
    let dying = mesh.hosts.remove(0);
    dying.daemon.kill();
    for (tenant, _) in TENANTS {
        let mut stations = mesh.stations(tenant);
        stations.extend(dying.stations.iter().filter(|station| station.tenant == tenant));
        all_pairs(&stations);
    }
    let stations: Vec<_> = dying.stations.iter().chain(mesh.stations("blue")).collect();
    arrives_once(stations[0], &stations);
    // And one comes back.
    let _daemon = dying.host.start("--iface eth0");
    all_pairs(&[stations[0], mesh.stations("blue")[0]]);
}

fn moves() {
    let mut mesh = Mesh::new(3, "auto");
    let mover = mesh.hosts[0].stations.remove(0);
    let peers = mesh.stations(mover.tenant);
    for peer in &peers {
        Ping::to(&mover.address).all_answered(&peer.ns);
    }
    mover.ns.ip("link del eth0");
    eventually("a port that is gone", || {
        let ports = mesh.hosts[0].host.json("port list");
        !ports["ports"].to_string().contains(&mover.port)
    });
    mover.plug(&mesh.hosts[1].host);
    // Its first packet tells everybody.
    Ping::to(&peers[0].address).times(1, 10).all_answered(&mover.ns);
    for peer in &peers {
        Ping::to(&mover.address).all_answered(&peer.ns);
    }
}

fn said() {
    let mesh = Mesh::new(2, "auto");
    let [one, two] = &mesh.hosts[..] else { panic!("two hosts") };
    let (here, there) = (&one.stations[0], &two.stations[0]);
    Ping::to(&there.address).all_answered(&here.ns);
    let mac = "02:00:00:00:00:21";
    let shown = || one.host.json(&format!("fdb show blue {mac}"))["fdb"][0].clone();
    assert_eq!((shown()["via"].as_str(), shown()["static"].as_bool()), (Some("to2"), Some(false)));
    // Not where it is heard.
    one.host.xgre(&format!("fdb add blue {mac} --via {}", one.stations[1].port)).ok();
    Ping::to(&there.address).unanswered(&here.ns);
    assert_eq!(shown()["static"], true);
    one.host.xgre(&format!("fdb del blue {mac}")).ok();
    Ping::to(&there.address).all_answered(&here.ns);
    assert_eq!(shown()["static"], false);
}

fn by_file() {
    let mesh = Mesh::new(3, "auto");
    let host = &mesh.hosts[0].host;
    let port = &mesh.hosts[0].stations[1].port;
    host.xgre("fdb add blue 02:00:00:00:00:99 --via to3").ok();
    host.xgre(&format!("fdb add blue 02:00:00:00:00:98 --via {port}")).ok();
    let exported = host.xgre("export").ok();
    let said =
        format!("[[fdb]]\ntenant = \"blue\"\nmac = \"02:00:00:00:00:98\"\nport = \"{port}\"\n");
    assert!(exported.contains(&said) && exported.contains("tunnel = \"to3\""), "{exported}");
    let path = host.file("mesh.toml", &exported);
    let nothing = host.xgre(&format!("apply {}", path.display())).ok();
    assert!(nothing.contains("nothing to change"), "{nothing}");
    // Blue without its second host.
    let fewer = exported.replacen(r#"["to2", "to3"]"#, r#"["to3"]"#, 1);
    assert_ne!(fewer, exported);
    let path = host.file("fewer.toml", &fewer);
    host.xgre(&format!("apply {}", path.display())).ok();
    assert_eq!(host.xgre("export").ok(), fewer);
    let [blue, red] = ["blue", "red"].map(|tenant| mesh.stations(tenant));
    Ping::to(&blue[2].address).unanswered(&blue[0].ns);
    for other in [1, 4] {
        Ping::to(&blue[other].address).all_answered(&blue[0].ns);
    }
    Ping::to(&red[2].address).all_answered(&red[0].ns);
}

/// Every host gets to know a fourth one, another tenant and another port, and nobody notices who was there.
fn applied_during_traffic() {
    const PINGS: u16 = 800;
    let mesh = Mesh::new(3, "auto");
    let own: Vec<_> = TENANTS.iter().map(|(tenant, _)| mesh.stations(tenant)).collect();
    let pairs = || own.iter().flat_map(|of| [(of[0], of[2]), (of[3], of[5]), (of[4], of[1])]);
    for (from, to) in pairs() {
        Ping::to(&to.address).all_answered(&from.ns);
    }
    let pings: Vec<_> =
        pairs().map(|(from, to)| Ping::to(&to.address).times(PINGS, 10).start(&from.ns)).collect();
    let mut more = Vec::new();
    for (member, number) in mesh.hosts.iter().zip(1..) {
        let station = Station::new("blue", number * 10 + 3);
        station.wire(&member.host.ns);
        let text = member.host.xgre("export").ok();
        let text = text.replace("\"]\nservice", "\", \"to4\"]\nservice");
        let added = format!(
            "\n[[tunnel]]\nname = \"to4\"\nlocal = \"192.0.2.{number}\"\nremote = \"192.0.2.4\"\n\
             [[tenant]]\nname = \"white\"\nkey = 30\ntunnels = [\"to4\"]\n\
             [[port]]\ntenant = \"white\"\nname = \"white0\"\ncreate = true\n\
             [[port]]\ntenant = \"blue\"\nname = \"{}\"\n",
            station.port
        );
        let path = member.host.file("more.toml", &(text + &added));
        member.host.xgre(&format!("apply {}", path.display())).ok();
        more.push(station);
    }
    let fourth = Member::new(&mesh.router, 4, 4, "auto");
    for pings in pings {
        let result = pings.wait();
        assert_eq!(result.received, usize::from(PINGS), "{}", result.log);
    }
    let mut blue: Vec<_> = mesh.stations("blue").into_iter().chain(&more).collect();
    blue.extend(fourth.stations.iter().filter(|station| station.tenant == "blue"));
    all_pairs(&blue);
    arrives_once(&more[0], &blue);
}

fn deleted() {
    let mesh = Mesh::new(2, "auto");
    let [one, two] = &mesh.hosts[..] else { panic!("two hosts") };
    let (here, there) = (&one.stations[0], &two.stations[0]);
    Ping::to(&there.address).all_answered(&here.ns);
    let known = || one.host.json("fdb list blue")["fdb"].as_array().map_or(0, Vec::len);
    assert!(known() >= 2);
    // One port is left, and then none; it goes on point to point.
    one.host.xgre(&format!("port del blue {}", one.stations[1].port)).ok();
    Ping::to(&there.address).all_answered(&here.ns);
    one.host.xgre(&format!("port del blue {}", here.port)).ok();
    one.host.xgre("tenant del blue").ok();
    assert!(!one.host.json("fdb list").to_string().contains("blue"));
    // The same place, and somebody else's.
    one.host.xgre("tenant add white --key 10 --service l2 --tunnel to2").ok();
    assert_eq!(one.host.json("fdb list white")["fdb"], serde_json::json!([]));
    one.host.xgre(&format!("port add white {}", here.port)).ok();
    Ping::to(&there.address).all_answered(&here.ns);
    let stats = one.host.tenant_stats("white");
    assert!(
        count(&stats, "/rx/packets") >= 3 && stats["notices"] == serde_json::json!({}),
        "{stats}"
    );
}

fn flood_device_deleted() {
    let mut mesh = Mesh::new(2, "auto");
    let first = mesh.hosts.remove(0);
    let here = &first.stations[0];
    let all: Vec<_> = first.stations.iter().chain(mesh.stations("blue")).collect();
    arrives_once(here, &all);
    first.host.ns.ip("link del xgre-flood");
    let failed = || count(&first.host.tenant_stats("blue"), "/drops/redirect_failed");
    eventually("another one", || {
        let before = failed();
        Ping::to("10.9.0.99").times(1, 10).run(&here.ns);
        failed() == before
    });
    arrives_once(here, &all);
    first.daemon.kill();
    first.host.xgre("detach").ok();
    assert!(!first.host.ns.ip("link").contains("xgre"));
}
