//! Traffic at load, and operators at work: nothing is lost that was not concerned, nothing comes to others, nothing leaks.
//!
//! Two hosts are joined by two wires. Tenants on the first one must not notice what is done; the second one's link and neighbour
//! change, so that its tenant loses packets, but gets nobody else's. `cargo xtask test soak --soak SECONDS` takes longer.

use std::{
    fs,
    time::{Duration, Instant},
};

use testbed::{
    Background, Daemon, Host, Netns, Ping, Random,
    stream::{Stream, Tally},
    suite::Case,
    traffic::tcp,
    veth,
};

use crate::setup::{any_port, count, eventually, soak_time, total};

const TIME: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    vec![Case::new("soak: traffic and operators", soak)]
}

/// A tenant, and what is known of it.
struct Tenant {
    name: &'static str,
    options: &'static str,
    tunnel: &'static str,
    /// Whether what is done concerns it.
    concerned: bool,
}

/// Two with the same key in different tunnels, and all with the same addresses.
const TENANTS: [Tenant; 3] = [
    Tenant { name: "blue", options: "--key 10", tunnel: "calm", concerned: false },
    Tenant { name: "green", options: "--key 20 --service l2", tunnel: "calm", concerned: false },
    Tenant { name: "red", options: "--key 10 --service l2", tunnel: "rough", concerned: true },
];

const TUNNELS: [(&str, &str, &str); 2] =
    [("calm", "eth0", "192.0.2"), ("rough", "eth1", "198.51.100")];

/// A host with a station of each tenant.
struct Site {
    host: Host,
    stations: Vec<Netns>,
    number: u32,
}

impl Site {
    fn new(number: u32) -> Self {
        Self { host: Host::new(), stations: Vec::new(), number }
    }

    /// Adds everything once the wires are there.
    fn furnish(&mut self) -> Daemon {
        let Self { host, number, .. } = self;
        let (own, other) = (*number, 3 - *number);
        for (_, device, net) in TUNNELS {
            host.ns.ip(&format!("addr add {net}.{own}/24 dev {device}"));
        }
        let daemon = self.run();
        for (name, _, net) in TUNNELS {
            let ends = format!("--local {net}.{own} --remote {net}.{other}");
            self.host.xgre(&format!("tunnel add {name} {ends}")).ok();
        }
        for tenant in &TENANTS {
            let station = self.add(tenant);
            self.stations.push(station);
        }
        daemon
    }

    fn add(&self, Tenant { name, options, tunnel, .. }: &Tenant) -> Netns {
        let station = Netns::new();
        let port = format!("p-{name}");
        veth((&self.host.ns, &port), (&station, "c0"));
        for (ns, device) in [(&self.host.ns, port.as_str()), (&station, "c0")] {
            ns.sysctl(&format!("ipv6/conf/{device}/disable_ipv6"), "1");
        }
        station.ip("link set c0 mtu 1400");
        // A packet that is to be cut on the way would count once where it is sent, and often where it is received.
        station.offload("c0", "tso off gso off");
        if !options.contains("l2") {
            station.ip("link set c0 arp off");
        }
        station.ip(&format!("addr add 10.9.0.{}/24 dev c0", self.number));
        self.host.xgre(&format!("tenant add {name} {options} --tunnel {tunnel}")).ok();
        self.host.xgre(&format!("port add {name} {port}")).ok();
        station
    }

    fn run(&self) -> Daemon {
        self.host.start("--iface eth0 --iface eth1 --mode native --keep")
    }

    /// Files below its state: each is something pinned.
    fn pins(&self) -> usize {
        let folders = ["maps", "programs", "links"].map(|folder| self.host.state().join(folder));
        folders.iter().map(|folder| fs::read_dir(folder).expect("a state").count()).sum()
    }
}

/// What a process has, to be compared with later.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    /// Kibibytes in memory.
    resident: u64,
}

impl Holdings {
    fn of(daemon: &Daemon) -> Self {
        let pid = daemon.pid();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let word = line.and_then(|line| line.split_whitespace().next());
        let resident = word.and_then(|word| word.parse().ok()).expect("a size");
        Self { descriptors, resident }
    }
}

/// What an operator does, or what happens to him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    AddAndDelete,
    Apply,
    Kill,
    Restart,
    Link,
    Neighbour,
    Capture,
    Read,
    ChangeKeys,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::AddAndDelete,
        Self::Apply,
        Self::Kill,
        Self::Restart,
        Self::Link,
        Self::Neighbour,
        Self::Capture,
        Self::Read,
        Self::ChangeKeys,
    ];
}

/// The first host's daemon comes and goes; the second one's stays.
struct Work<'a> {
    sites: [&'a Site; 2],
    daemon: Option<Daemon>,
    random: Random,
    done: [u32; Operation::ALL.len()],
}

impl Work<'_> {
    fn step(&mut self) {
        let operation = self.random.among(&Operation::ALL);
        let index = Operation::ALL.iter().position(|it| *it == operation);
        self.done[index.expect("one of all")] += 1;
        let [first, second] = self.sites;
        let host = &self.sites[self.random.below(2) as usize].host;
        match operation {
            Operation::AddAndDelete => add_and_delete(host),
            Operation::Apply => apply(host, 64 + self.random.below(9)),
            Operation::Kill => {
                self.daemon.take().expect("a daemon").kill();
                self.daemon = Some(first.run());
            }
            Operation::Restart => {
                self.daemon.take().expect("a daemon").stop();
                self.daemon = Some(first.run());
            }
            Operation::Link => {
                host.ns.ip("link set eth1 down");
                host.ns.ip("link set eth1 up");
            }
            Operation::Neighbour => {
                let mac = format!("02:00:00:00:00:{:02x}", 16 + self.random.below(200));
                second.host.ns.ip(&format!("link set eth1 address {mac}"));
                first.host.ns.ip("neigh flush dev eth1");
            }
            Operation::Capture => {
                let watching: Background = host.background("capture blue --count 20", "capturing");
                watching.wait();
            }
            Operation::Read => {
                host.json("stats");
                host.json("tenant list");
            }
            Operation::ChangeKeys => change_keys(self.sites.map(|site| &site.host)),
        }
    }
}

fn add_and_delete(host: &Host) {
    host.xgre("tenant add white --key 30 --tunnel calm rough --service l2").ok();
    host.xgre("port add white white0 --create").ok();
    host.xgre("port del white white0").ok();
    host.xgre("tenant del white").ok();
}

/// Another TTL for both tunnels.
fn apply(host: &Host, ttl: u32) {
    let text = host.xgre("export").ok();
    let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("ttl")).collect();
    let text = kept.join("\n").replace("[[tunnel]]", &format!("[[tunnel]]\nttl = {ttl}"));
    let file = host.file("soak.toml", &text);
    host.xgre(&format!("apply {}", file.display())).ok();
}

/// Blue goes over to key 11, and back.
fn change_keys(hosts: [&Host; 2]) {
    for change in [
        "--second-in-key 11",
        "--key 11 --second-in-key 10",
        "--key 10 --second-in-key 11",
        "--no-second-in-key",
    ] {
        for host in hosts {
            host.xgre(&format!("tenant set blue {change}")).ok();
        }
    }
}

/// A stream of each tenant, each way.
fn streams(sites: [&Site; 2]) -> Vec<(&'static Tenant, Stream)> {
    let mut streams = Vec::new();
    for (index, tenant) in TENANTS.iter().enumerate() {
        for (from, to) in [(sites[0], sites[1]), (sites[1], sites[0])] {
            let address = any_port(&format!("10.9.0.{}", to.number));
            let (sender, receiver) = (&from.stations[index], &to.stations[index]);
            let mark = 0x7867_7265_0000 + streams.len() as u64;
            let len = 100 + 400 * index;
            let pause = Duration::from_millis(1);
            streams.push((tenant, Stream::start(sender, (receiver, address), mark, len, pause)));
        }
    }
    streams
}

fn soak() {
    let time = soak_time().unwrap_or(TIME);
    let mut sites = [1, 2].map(Site::new);
    for (_, device, _) in TUNNELS {
        veth((&sites[0].host.ns, device), (&sites[1].host.ns, device));
    }
    let [first, second] = sites.each_mut().map(Site::furnish);
    let sites = sites.each_ref();
    for (index, tenant) in TENANTS.iter().enumerate() {
        let station = &sites[0].stations[index];
        eventually(tenant.name, || Ping::to("10.9.0.2").times(1, 10).run(station).received == 1);
    }
    // The device on which frames go to several stays once it is there.
    for site in sites {
        add_and_delete(&site.host);
    }
    let (pins, before) = (sites.map(Site::pins), Holdings::of(&second));
    let configured = sites.map(|site| site.host.configuration());

    let random = Random(7);
    let mut work = Work { sites, daemon: Some(first), random, done: Default::default() };
    let streams = streams(sites);
    let begin = Instant::now();
    while begin.elapsed() < time {
        work.step();
        let green = [&sites[0].stations[1], &sites[1].stations[1]];
        tcp(green[0], (green[1], any_port("10.9.0.2")), MIB);
    }
    let results: Vec<_> = streams.into_iter().map(|(it, stream)| (it, stream.stop())).collect();

    let after = Holdings::of(&second);
    for (operation, done) in Operation::ALL.iter().zip(work.done) {
        println!("  {operation:?}: {done}");
    }
    for (tenant, tally) in &results {
        println!("  {}: {tally:?}, lost {}", tenant.name, tally.lost());
    }
    println!("  daemon that stayed: {before:?}, then {after:?}; pins: {pins:?}");
    judge(&results);
    assert_eq!(sites.map(Site::pins), pins, "pins");
    assert!(after.descriptors <= before.descriptors + 2, "{before:?} {after:?}");
    assert!(after.resident <= before.resident + before.resident / 4 + 8192, "{before:?} {after:?}");
    let settled = sites.map(|site| site.host.configuration());
    let without_ttl =
        |[_, tenants, ports]: &[serde_json::Value; 3]| [tenants.clone(), ports.clone()];
    assert_eq!(settled.each_ref().map(without_ttl), configured.each_ref().map(without_ttl));
    balance(sites);
}

fn judge(results: &[(&Tenant, Tally)]) {
    for (tenant, tally) in results {
        assert_eq!((tally.foreign, tally.doubled), (0, 0), "{}: {tally:?}", tenant.name);
        assert!(tally.received > 0, "{}: {tally:?}", tenant.name);
        assert!(tenant.concerned || tally.lost() == 0, "{}: {tally:?}", tenant.name);
    }
}

/// What one host has sent the other has received.
fn balance(sites: [&Site; 2]) {
    for tenant in TENANTS.iter().filter(|tenant| !tenant.concerned) {
        for (from, to) in [(sites[0], sites[1]), (sites[1], sites[0])] {
            let [sent, received] = [from, to].map(|site| site.host.tenant_stats(tenant.name));
            assert_eq!(sent["tx"]["packets"], received["rx"]["packets"], "{sent} {received}");
            assert_eq!(total(&received["drops"]), 0, "{received}");
            assert!(count(&sent, "/tx/packets") > 0, "{sent}");
        }
    }
}
