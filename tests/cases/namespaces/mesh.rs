//! Networks over many hosts: l2 tenants with a tunnel to every other host, and several ports.

use testbed::{Capture, Daemon, Host, Netns, Ping, suite::Case, veth};

use crate::setup::{count, eventually};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mesh: every pair of a tenant, and nobody else's", pairs),
        Case::new("mesh: a flood arrives once everywhere", floods),
        Case::new("mesh: a station moves", moves),
        Case::new("mesh: stations that someone said", said),
        Case::new("mesh: what it is like can be said by a file", by_file),
        Case::new("mesh: ports and tenants go, and nothing of them stays", deleted),
    ]
}

const TENANTS: [(&str, u32); 2] = [("blue", 10), ("red", 20)];

/// Hosts around a router, each with a tunnel to each other and two stations of every tenant.
struct Mesh {
    hosts: Vec<Member>,
    _router: Netns,
}

struct Member {
    host: Host,
    stations: Vec<Station>,
    _daemon: Daemon,
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
        let router = Netns::new();
        router.sysctl("ipv4/ip_forward", "1");
        let hosts = (1..=hosts).map(|number| Member::new(&router, number, hosts, mode)).collect();
        Self { hosts, _router: router }
    }

    fn stations(&self, tenant: &str) -> Vec<&Station> {
        let all = self.hosts.iter().flat_map(|host| &host.stations);
        all.filter(|station| station.tenant == tenant).collect()
    }
}

impl Member {
    fn new(router: &Netns, number: u8, hosts: u8, mode: &str) -> Self {
        let host = Host::new();
        let uplink = format!("h{number}");
        veth((&host.ns, "eth0"), (router, &uplink));
        host.ns.ip(&format!("addr add 192.0.2.{number}/32 dev eth0"));
        host.ns.ip("route add 192.0.2.254 dev eth0");
        host.ns.ip("route add default via 192.0.2.254");
        router.ip(&format!("addr add 192.0.2.254 peer 192.0.2.{number} dev {uplink}"));
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
        let stations = TENANTS.iter().flat_map(|(tenant, _)| {
            (1..=2)
                .map(|place| Station::new(&host, tenant, number * 10 + place))
                .collect::<Vec<_>>()
        });
        let stations = stations.collect();
        Self { host, stations, _daemon: daemon }
    }
}

impl Station {
    /// At a port of the host. Tenants have the same addresses, and stations of one number the same MAC address.
    fn new(host: &Host, tenant: &'static str, number: u8) -> Self {
        let this = Self {
            tenant,
            ns: Netns::new(),
            address: format!("10.9.0.{number}"),
            port: format!("{tenant}{number}"),
        };
        this.plug(host);
        this
    }

    fn plug(&self, host: &Host) {
        let number = self.port.trim_start_matches(self.tenant);
        veth((&self.ns, "eth0"), (&host.ns, &self.port));
        self.ns.ip(&format!("link set eth0 address 02:00:00:00:00:{number}"));
        self.ns.ip(&format!("addr add {}/24 dev eth0", self.address));
        self.ns.ip("link set eth0 mtu 1400");
        host.xgre(&format!("port add {} {}", self.tenant, self.port)).ok();
    }
}

fn pairs() {
    let mesh = Mesh::new(3, "auto");
    for (tenant, _) in TENANTS {
        let stations = mesh.stations(tenant);
        for (from, to) in stations.iter().flat_map(|from| stations.iter().map(move |to| (from, to)))
        {
            if from.address != to.address {
                Ping::to(&to.address).all_answered(&from.ns);
            }
        }
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
    let stations = mesh.stations("blue");
    let strangers = mesh.stations("red");
    let all: Vec<_> = stations.iter().chain(&strangers).collect();
    let captures: Vec<_> = all.iter().map(|it| Capture::start(&it.ns, "eth0")).collect();
    let unknown = "02:00:00:00:00:99";
    let from = stations[0];
    from.ns.ip(&format!("neigh add 10.9.0.99 lladdr {unknown} dev eth0"));
    Ping::to("10.9.0.99").times(5, 20).unanswered(&from.ns);
    let wanted = [2, 0, 0, 0, 0, 0x99];
    for (station, capture) in all.iter().zip(captures) {
        let frames = capture.stop();
        let copies = frames.iter().filter(|it| !it.outgoing && it.bytes[..6] == wanted).count();
        let expected =
            if station.tenant == "red" || station.address == from.address { 0 } else { 5 };
        assert_eq!(copies, expected, "at {} of {}", station.address, station.tenant);
    }
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
    let exported = host.xgre("export").ok();
    let path = host.file("mesh.toml", &exported);
    let nothing = host.xgre(&format!("apply {}", path.display())).ok();
    assert!(nothing.contains("nothing to change"), "{nothing}");
    // Blue without its second host.
    let fewer = exported.replacen(r#"["to2", "to3"]"#, r#"["to3"]"#, 1);
    assert_ne!(fewer, exported);
    let path = host.file("fewer.toml", &fewer);
    host.xgre(&format!("apply {}", path.display())).ok();
    assert_eq!(host.xgre("export").ok(), fewer);
    let [blue, red] = TENANTS.map(|(tenant, _)| mesh.stations(tenant));
    Ping::to(&blue[2].address).unanswered(&blue[0].ns);
    for other in [1, 4] {
        Ping::to(&blue[other].address).all_answered(&blue[0].ns);
    }
    Ping::to(&red[2].address).all_answered(&red[0].ns);
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
    one.host.xgre("tenant add green --key 10 --service l2 --tunnel to2").ok();
    assert_eq!(one.host.json("fdb list green")["fdb"], serde_json::json!([]));
    one.host.xgre(&format!("port add green {}", here.port)).ok();
    Ping::to(&there.address).all_answered(&here.ns);
    let stats = one.host.tenant_stats("green");
    assert!(
        count(&stats, "/rx/packets") >= 3 && stats["notices"] == serde_json::json!({}),
        "{stats}"
    );
}
