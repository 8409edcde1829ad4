//! Many hosts that follow one etcd.
//!
//! - [`faults`]: the store is away, its leader is killed, entries are bad; [`mixed`]: a host with Open vSwitch among them; [`tls`]: who proves who he is.

mod faults;
mod mixed;
mod tls;

use std::time::Instant;

use testbed::{
    Daemon, Etcd, Host, Outcome, Ping,
    suite::{Case, Need},
    veth,
};

use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    let mut cases = faults::cases();
    cases.extend(mixed::cases());
    cases.extend([
        case("fleet: endpoints appear, move and vanish", appear_move_vanish),
        case("fleet: two on one host, and a tenant of one host", on_one_host),
        case("fleet: what is configured locally goes first", local_first),
        case("fleet: a host follows what its own tenants need", only_its_own),
        case("fleet: keys are given once", keys),
        case("fleet: by TLS, and as a file says", tls::both_know_each_other),
    ]);
    cases
}

fn case(name: &str, run: impl FnOnce() + Send + 'static) -> Case {
    let needs = [Need::Program("etcd"), Need::Program("etcdctl")];
    needs.into_iter().fold(Case::new(name, run), Case::needs)
}

/// Hosts around a router with etcd.
struct Fleet {
    etcd: Etcd,
    hosts: Vec<Member>,
}

struct Member {
    name: String,
    number: usize,
    host: Host,
    daemon: Option<Daemon>,
}

impl Fleet {
    fn new(members: usize, hosts: usize) -> Self {
        let etcd = Etcd::start(members);
        let mut fleet = Self { etcd, hosts: Vec::new() };
        for number in 1..=hosts {
            fleet.join(number, "");
        }
        fleet
    }

    /// One host more.
    fn join(&mut self, number: usize, options: &str) {
        let host = Host::new();
        let (router, uplink) = (self.etcd.router(), format!("h{number}"));
        veth((&host.ns, "eth0"), (router, &uplink));
        router.ip(&format!("addr add 192.0.2.254 peer 192.0.2.{number} dev {uplink}"));
        host.ns.ip(&format!("addr add 192.0.2.{number}/32 dev eth0"));
        host.ns.ip("route add 192.0.2.254 dev eth0");
        host.ns.ip("route add default via 192.0.2.254");
        let mut member = Member { name: format!("h{number}"), number, host, daemon: None };
        member.start(&self.etcd, options);
        self.hosts.push(member);
    }

    /// `xgre fleet ARGS`.
    fn say(&self, args: &str) -> Outcome {
        self.hosts[0].host.xgre(&format!("fleet --fleet {} {args}", self.etcd.endpoints()))
    }

    /// What a host makes of it.
    fn status(&self, name: &str) -> serde_json::Value {
        let text = self.say(&format!("host show {name} --json")).ok();
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        document["hosts"][0]["status"].clone()
    }

    /// A port of a tenant at each host, with the host's number in its address.
    fn plug_all(&self, tenant: &str, subnet: &str) {
        for member in &self.hosts {
            self.plug(member, tenant, &format!("{subnet}.{}", member.number));
        }
    }

    fn plug(&self, member: &Member, tenant: &str, address: &str) {
        let Member { name, host, .. } = member;
        let add =
            format!("endpoint add {tenant} {tenant}0 --host {name} --create --address {address}");
        self.say(&add).ok();
        member.has_port(tenant);
        host.ns.ip(&format!("addr add {address}/24 dev {tenant}0"));
        host.ns.ip(&format!("link set {tenant}0 up"));
    }
}

impl Member {
    fn start(&mut self, etcd: &Etcd, options: &str) {
        let Self { name, host, .. } = self;
        let store = format!("--fleet {} --host {name} --hold 2", etcd.endpoints());
        self.daemon = Some(host.start(&format!("--iface eth0 --max-tenants 64 {store} {options}")));
    }

    fn has_port(&self, tenant: &str) {
        let show = format!("ip link show {tenant}0");
        eventually(&format!("{tenant}0 at {}", self.name), || {
            self.host.ns.exec(&show).status.success()
        });
    }

    fn reaches(&self, address: &str) -> bool {
        let ping = format!("ping -c 1 -W 1 {address}");
        self.host.ns.exec(&ping).status.success()
    }
}

/// Each reaches each.
#[track_caller]
fn all_pairs(hosts: &[Member], subnet: &str) {
    for from in hosts {
        for to in hosts.iter().filter(|to| to.number != from.number) {
            let address = format!("{subnet}.{}", to.number);
            eventually(&format!("{} to {address}", from.name), || from.reaches(&address));
        }
    }
}

fn appear_move_vanish() {
    let fleet = Fleet::new(3, 6);
    fleet.say("tenant add blue --service l3").ok();
    fleet.say("tenant add green --service l2 --prefixes 10.8.0.0/24").ok();
    fleet.plug_all("blue", "10.9.0");
    fleet.plug_all("green", "10.8.0");
    all_pairs(&fleet.hosts, "10.9.0");
    all_pairs(&fleet.hosts, "10.8.0");
    let [first, second, third, ..] = &fleet.hosts[..] else { unreachable!("six hosts") };
    let shown = fleet.say("endpoint show blue0 --host h2").ok();
    assert!(shown.contains("10.9.0.2") && !shown.contains("10.9.0.1 "), "{shown}");
    let none = fleet.say("endpoint show red0 --host h2").err();
    assert!(none.contains("host h2 has no endpoint red0"), "{none}");
    // Nobody else's: the same addresses, another tenant.
    fleet.say("tenant add red").ok();
    let at = |member: &Member| {
        format!(
            "endpoint add red red0 --host {} --create --address 10.9.0.{}",
            member.name,
            member.number + 100
        )
    };
    fleet.say(&at(first)).ok();
    first.has_port("red");
    first.host.ns.ip("link set red0 up");
    first.host.ns.ip("addr add 10.7.0.1/24 dev red0");
    assert!(!first.reaches("10.7.0.2"));

    // 10.9.0.1 moves from the first host to the second.
    fleet.say("endpoint del blue0 --host h1").ok();
    fleet.say("endpoint del blue0 --host h2").ok();
    eventually("the ports are gone", || {
        let gone = |it: &Member| !it.host.ns.exec("ip link show blue0").status.success();
        gone(first) && gone(second)
    });
    Ping::to("10.9.0.1").times(1, 10).unanswered(&third.host.ns);
    let begin = Instant::now();
    fleet.plug(second, "blue", "10.9.0.1");
    eventually("it answers at its new place", || third.reaches("10.9.0.1"));
    println!("from the command to the answer: {:?}", begin.elapsed());
    let routes = third.host.xgre("route list").ok();
    let route = routes.lines().find(|line| line.contains("10.9.0.1/32"));
    assert!(route.is_some_and(|line| line.contains("fleet.h2")), "{routes}");
    // The other tenant has not noticed.
    all_pairs(&fleet.hosts, "10.8.0");
    let refused = fleet.say("tenant del green").err();
    assert!(refused.contains("has endpoints"), "{refused}");
    for member in &fleet.hosts {
        fleet.say(&format!("endpoint del green0 --host {}", member.name)).ok();
    }
    eventually("nobody has it", || fleet.say("tenant del green").status.success());
    eventually("nothing of it is left", || {
        !fleet.hosts.iter().any(|it| it.host.xgre("tenant list").ok().contains("green"))
    });
}

fn on_one_host() {
    let fleet = Fleet::new(1, 2);
    let [first, second] = &fleet.hosts[..] else { unreachable!("two hosts") };
    fleet.say("tenant add blue --service l2").ok();
    let machines = [testbed::Netns::new(), testbed::Netns::new()];
    for (number, machine) in (1..).zip(&machines) {
        // The interface comes later than the port.
        let mac = format!("02:00:00:00:00:0{number}");
        let port = format!(
            "endpoint add blue tap{number} --host h1 --mac {mac} --address 10.8.0.{number}"
        );
        fleet.say(&port).ok();
        eventually("it is missed", || {
            fleet
                .status("h1")
                .to_string()
                .contains(&format!("there is no interface tap{number} yet"))
        });
        veth((machine, "eth0"), (&first.host.ns, &format!("tap{number}")));
        machine.ip(&format!("link set eth0 address {mac}"));
        machine.ip(&format!("addr add 10.8.0.{number}/24 dev eth0"));
        machine.ip("link set eth0 mtu 1400");
    }
    let [one, two] = &machines;
    // Of which nobody says who is behind it.
    fleet.say("endpoint add blue tap3 --host h1").ok();
    let third = testbed::Netns::new();
    veth((&third, "eth0"), (&first.host.ns, "tap3"));
    third.ip("link set eth0 address 02:00:00:00:00:33");
    third.ip("addr add 10.8.0.33/24 dev eth0");
    third.ip("link set eth0 mtu 1400");
    eventually("the third reaches the first", || {
        third.exec("ping -c 1 -W 1 10.8.0.1").status.success()
    });
    eventually("it is learned", || {
        fleet.say("endpoint list blue").ok().contains("02:00:00:00:00:33")
    });
    eventually("they reach each other", || one.exec("ping -c 1 -W 1 10.8.0.2").status.success());
    fleet.plug(second, "blue", "10.8.0.3");
    eventually("and another host", || two.exec("ping -c 1 -W 1 10.8.0.3").status.success());
    fleet.say("endpoint del blue0 --host h2").ok();
    eventually("the tunnel is gone", || !first.host.xgre("tunnel list").ok().contains("fleet.h2"));
    Ping::to("10.8.0.2").all_answered(one);
}

fn local_first() {
    let mut fleet = Fleet::new(1, 1);
    fleet.say("tenant add blue --key 10").ok();
    fleet.say("tenant add red --key 20").ok();
    let text = "[[tunnel]]\nname = \"mine\"\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.1\"\n\n\
                [[tenant]]\nname = \"blue\"\nkey = 99\ntunnels = [\"mine\"]\n";
    let path = fleet.hosts[0].host.file("local.toml", text);
    fleet.join(2, &format!("--config {}", path.display()));
    fleet.plug_all("red", "10.9.0");
    fleet.say("endpoint add blue blue0 --host h2 --create").ok();
    all_pairs(&fleet.hosts, "10.9.0");
    eventually("it is told", || {
        fleet.status("h2").to_string().contains("tenant blue is configured on this host")
    });
    let second = &fleet.hosts[1].host;
    let exported = second.xgre("export").ok();
    assert!(exported.starts_with(text), "{exported}");
    assert!(!exported.contains("fleet.h1"), "the local tunnel is as good: {exported}");
    assert!(!second.ns.exec("ip link show blue0").status.success());
}

/// What is written about other tenants does not reach it.
fn only_its_own() {
    const OTHERS: usize = 300;
    let fleet = Fleet::new(1, 2);
    let [first, second] = &fleet.hosts[..] else { unreachable!("two hosts") };
    for number in 0..OTHERS {
        fleet.etcd.put(
            &format!("/xgre/v1/endpoints/other{number}/elsewhere/tap"),
            r#"{"addresses": ["10.0.0.1"]}"#,
        );
    }
    fleet.say("tenant add blue").ok();
    fleet.plug(first, "blue", "10.9.0.1");
    fleet.plug(second, "blue", "10.9.0.2");
    all_pairs(&fleet.hosts, "10.9.0");
    let metrics = fleet.etcd.metrics();
    let number = |name: &str| -> u32 {
        let line = metrics.lines().find(|line| line.starts_with(name)).expect("such a metric");
        line.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("a number")
    };
    // Of each host: its ports, its claims, the tenant, its endpoints, the other host.
    assert_eq!(number("etcd_debugging_mvcc_watcher_total "), 10);
}

fn keys() {
    let fleet = Fleet::new(1, 1);
    fleet.say("tenant add a --key 2").ok();
    let all: Vec<_> =
        ["b", "c", "d"].map(|name| fleet.say(&format!("tenant add {name}")).ok()).into();
    assert_eq!(all, ["tenant b has key 1", "tenant c has key 3", "tenant d has key 4"]);
    let refused = fleet.say("tenant add e --key 3").err();
    assert!(refused.contains("the key 3 is that of tenant \"c\""), "{refused}");
    let refused = fleet.say("tenant add a").err();
    assert!(refused.contains("tenant a exists already"), "{refused}");
    fleet.say("tenant del c").ok();
    fleet.say("tenant add e --key 3").ok();
    let refused = fleet.say("endpoint add nobody x --host h1").err();
    assert!(refused.contains("there is no tenant nobody in the fleet"), "{refused}");
    let list = fleet.say("tenant list --json").ok();
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["tenants"].as_array().map(Vec::len), Some(4));
    assert_eq!(list["tenants"][0], serde_json::json!({"name": "a", "key": 2, "service": "l3"}));
}
