//! What can go wrong: packets go on as they were, and all converges when it is right again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use testbed::{Ping, Random, suite::Case};

use super::{Fleet, all_pairs, case};
use crate::setup::{eventually, is_eventually, soak_time};

pub fn cases() -> Vec<Case> {
    vec![
        case("fleet: the leader is killed, and the store cut off, during traffic", store_away),
        case("fleet: daemons end and come back while the store is away", restarted),
        case("fleet: what was watched is compacted", compacted),
        case("fleet: bad entries concern only themselves", bad_entries),
        case("fleet: the newer of two claims", two_claims),
        case("fleet: a host that is gone", host_gone),
        case("fleet: a host that may write only what is its own", role),
        case("fleet: faults by chance, seed 1", || by_chance(1)),
    ]
}

fn store_away() {
    let mut fleet = Fleet::new(3, 3);
    fleet.say("tenant add blue").ok();
    fleet.say("tenant add green --service l2").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    let pings: Vec<_> = fleet
        .hosts
        .iter()
        .map(|it| {
            Ping::to(&format!("10.9.0.{}", it.number % 3 + 1)).times(1500, 10).start(&it.host.ns)
        })
        .collect();
    let leader = fleet.etcd.leader();
    fleet.etcd.kill(leader);
    fleet.etcd.leader();
    fleet.plug_all("green", "10.8.0");
    all_pairs(&fleet.hosts, "10.8.0");
    fleet.etcd.run(leader);
    fleet.etcd.wait();
    fleet.etcd.cut_off(true);
    std::thread::sleep(Duration::from_secs(3));
    all_pairs(&fleet.hosts, "10.8.0");
    fleet.etcd.cut_off(false);
    fleet.etcd.wait();
    for ping in pings {
        let result = ping.wait();
        assert_eq!((result.sent, result.received), (1500, 1500), "{}", result.log);
    }
    fleet.say("endpoint del green0 --host h3").ok();
    eventually("what comes afterwards is followed", || {
        !fleet.hosts[0].host.xgre("export").ok().contains("10.8.0.3")
    });
}

fn restarted() {
    let mut fleet = Fleet::new(1, 2);
    fleet.say("tenant add blue").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    let before = fleet.hosts[0].host.xgre("export").ok();
    let ping = Ping::to("10.9.0.2").times(600, 10).start(&fleet.hosts[0].host.ns);
    fleet.etcd.kill(0);
    let Fleet { etcd, hosts } = &mut fleet;
    for member in &mut *hosts {
        member.daemon.take().expect("a daemon").kill();
        member.start(etcd, "");
    }
    assert_eq!(hosts[0].host.xgre("export").ok(), before);
    let result = ping.wait();
    assert_eq!((result.sent, result.received), (600, 600), "{}", result.log);
    etcd.run(0);
    etcd.wait();
    fleet.say("tenant add green --service l2").ok();
    fleet.plug_all("green", "10.8.0");
    all_pairs(&fleet.hosts, "10.8.0");
}

fn compacted() {
    let fleet = Fleet::new(1, 2);
    fleet.say("tenant add blue").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    fleet.etcd.cut_off(true);
    // What the hosts do not hear of, and cannot ask for any more.
    std::thread::sleep(Duration::from_secs(1));
    let inside = |args: &str| fleet.etcd.inside(0, args);
    inside("put /xgre/v1/endpoints/blue/h9/tap {\"addresses\":[\"10.9.0.9\"]}");
    inside("put /xgre/v1/hosts/h9 {\"addresses\":[\"192.0.2.9\"]}");
    let revision = fleet.etcd.revision(0);
    inside(&format!("compact {revision}"));
    fleet.etcd.cut_off(false);
    eventually("it is known in the end", || {
        fleet.hosts[0].host.xgre("export").ok().contains("192.0.2.9")
    });
    all_pairs(&fleet.hosts, "10.9.0");
}

fn bad_entries() {
    let fleet = Fleet::new(1, 2);
    fleet.say("tenant add blue --hosts h1 h2 h4 --prefixes 10.9.0.0/24").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    for (path, text) in [
        // Of a host that may not; elsewhere; not to be read; a host of no name, and one nowhere.
        ("endpoints/blue/h3/tap", r#"{"addresses": ["10.9.0.2"]}"#),
        ("endpoints/blue/h4/tap", r#"{"addresses": ["10.7.0.2", "10.9.0.40"]}"#),
        ("hosts/h4", r#"{"addresses": ["192.0.2.4"]}"#),
        ("endpoints/blue/h4/tap2", "junk"),
        ("tenants/blue", r#"{"key": "no key"}"#),
        ("ports/h1/lo", r#"{"tenant": "nobody"}"#),
        ("ports/h2/lo", r#"{"tenant": "blue", "addresses": ["10.9.0.41"]}"#),
        ("ports/h1/much/more", "{}"),
    ] {
        fleet.etcd.put(&format!("/xgre/v1/{path}"), text);
    }
    eventually("what is right is followed", || {
        fleet.hosts[0].host.xgre("route list").ok().contains("10.9.0.40/32")
    });
    all_pairs(&fleet.hosts, "10.9.0");
    let routes = fleet.hosts[0].host.xgre("route list").ok();
    assert!(!routes.contains("10.7.0.2"), "{routes}");
    assert!(!fleet.hosts[0].host.xgre("tunnel list").ok().contains("fleet.h3"));
    let expected = [
        "host h3 may have no endpoints of tenant blue",
        "10.7.0.2 at tap of host h4 is not tenant blue's",
        "endpoints/blue/h4/tap2: expected value",
        "tenants/blue: ",
        "tenant nobody has ports here, and is not defined",
    ];
    eventually("and what cannot be a port", || {
        fleet.status("h2").to_string().contains("lo has no")
    });
    eventually("each is told", || {
        let status = fleet.status("h1").to_string();
        expected.iter().all(|it| status.contains(it))
    });
}

fn two_claims() {
    let fleet = Fleet::new(1, 3);
    fleet.say("tenant add blue").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    let way = |to: &str| {
        let routes = fleet.hosts[2].host.xgre("route list").ok();
        routes.lines().any(|line| line.contains("10.9.0.77/32") && line.contains(to))
    };
    let claim = |host: &str| {
        let add = format!("endpoint add blue new0 --host {host} --create --address 10.9.0.77");
        fleet.say(&add).ok();
    };
    claim("h1");
    eventually("the first", || way("fleet.h1"));
    claim("h2");
    eventually("the newer", || way("fleet.h2"));
    eventually("it is told", || {
        fleet
            .status("h3")
            .to_string()
            .contains("10.9.0.77 of tenant blue is at new0 of host h2 now")
    });
    fleet.say("endpoint del new0 --host h2").ok();
    eventually("the first again", || way("fleet.h1"));
    eventually("nothing to tell", || fleet.status("h3")["problems"] == serde_json::json!([]));
}

fn host_gone() {
    let mut fleet = Fleet::new(1, 3);
    fleet.say("tenant add blue").ok();
    fleet.plug_all("blue", "10.9.0");
    all_pairs(&fleet.hosts, "10.9.0");
    let gone = fleet.hosts.pop().expect("three hosts");
    let has_tunnel =
        |fleet: &Fleet| fleet.hosts[0].host.xgre("tunnel list").ok().contains("fleet.h3");
    gone.daemon.expect("a daemon").stop();
    assert!(has_tunnel(&fleet), "it may only have lost the store");
    eventually("it is let go", || !has_tunnel(&fleet));
    all_pairs(&fleet.hosts, "10.9.0");
    fleet.say("host del h3").ok();
    let list = fleet.say("endpoint list blue").ok();
    assert!(!list.contains("h3"), "{list}");
}

/// The role of the book, and what it refuses.
fn role() {
    let mut fleet = Fleet::new(1, 1);
    fleet.say("tenant add blue").ok();
    fleet.say("tenant add red").ok();
    let prefix = "/xgre/v1";
    for grant in [
        format!("read --prefix=true {prefix}/tenants/"),
        format!("read --prefix=true {prefix}/hosts/"),
        format!("read --prefix=true {prefix}/endpoints/"),
        format!("read --prefix=true {prefix}/ports/h2/"),
        format!("readwrite --prefix=true {prefix}/claims/h2/"),
        format!("readwrite {prefix}/hosts/h2"),
        format!("readwrite {prefix}/status/h2"),
        format!("readwrite --prefix=true {prefix}/endpoints/blue/h2/"),
    ] {
        let [kind, rest] = grant.split_once(' ').map(<[_; 2]>::from).expect("two words");
        let _ = fleet.etcd.ask("role add h2");
        fleet.etcd.ctl(&format!("role grant-permission h2 {kind} {rest}"));
    }
    for command in [
        "user add root:secret",
        "user add h2:own",
        "user grant-role h2 h2",
        "role add root",
        "user grant-role root root",
    ] {
        fleet.etcd.ctl(command);
    }
    let Fleet { hosts, .. } = &fleet;
    let [own, admin] =
        [("own", "own\n"), ("root", "secret\n")].map(|(name, text)| hosts[0].host.file(name, text));
    let as_root = format!("--fleet-user root --fleet-password {}", admin.display());
    fleet.etcd.ctl("auth enable");
    fleet.join(2, &format!("--fleet-user h2 --fleet-password {}", own.display()));
    for port in ["blue blue0", "red red0"] {
        fleet.say(&format!("{as_root} endpoint add {port} --host h2 --create")).ok();
    }
    eventually("its endpoint is there", || {
        fleet
            .say(&format!("{as_root} endpoint list --json"))
            .ok()
            .contains("\"tenant\":\"blue\",\"host\":\"h2\"")
    });
    let all = fleet.say(&format!("{as_root} endpoint list")).ok();
    assert!(!all.contains("red"), "{all}");
    let told = "h2: the store does not let this host write /xgre/v1/endpoints/red/h2/red0";
    eventually("what it may not is told", || {
        fleet.say(&format!("{as_root} status")).ok().contains(told)
    });
    let as_host = format!("--fleet-user h2 --fleet-password {}", own.display());
    let refused = fleet.say(&format!("{as_host} tenant add mine")).err();
    assert!(refused.contains("permission denied"), "{refused}");
}

/// Whatever happens, and in whatever order: in the end each host is what the store says.
fn by_chance(seed: u32) {
    const STEPS: u32 = 60;
    let until = Instant::now() + soak_time().unwrap_or_default();
    let mut random = Random(seed);
    let mut fleet = Fleet::new(3, 4);
    for (tenant, service) in TENANTS {
        fleet.say(&format!("tenant add {tenant} --service {service}")).ok();
    }
    // Host, tenant, last byte of the address.
    let mut ports: BTreeSet<(usize, usize, u32)> = BTreeSet::new();
    let mut away = None;
    for step in (0..).take_while(|&step| step < STEPS || Instant::now() < until) {
        let host = random.below(fleet.hosts.len() as u32) as usize;
        let what = random.below(10);
        println!("{step}: {what} at {}", fleet.hosts[host].name);
        match what {
            0..=4 => {
                let (tenant, end) = (random.below(2) as usize, random.below(20) + 1);
                let is_there = ports.iter().any(|&(at, whose, _)| (at, whose) == (host, tenant));
                let name = &fleet.hosts[host].name;
                let (tenant_name, _) = TENANTS[tenant];
                let said = if is_there {
                    ports.retain(|&(at, whose, _)| (at, whose) != (host, tenant));
                    format!("endpoint del {tenant_name}0 --host {name}")
                } else {
                    ports.insert((host, tenant, end));
                    format!(
                        "endpoint add {tenant_name} {tenant_name}0 --host {name} --create --address 10.9.0.{end}"
                    )
                };
                // While they elect nobody can say anything.
                eventually(&said, || {
                    let outcome = fleet.say(&said);
                    let has_leader = !outcome.stderr.contains("cannot reach the fleet's store");
                    assert!(outcome.status.success() || !has_leader, "{outcome}");
                    has_leader
                });
            }
            5 => {
                fleet.hosts[host].daemon.take().expect("a daemon").kill();
                let Fleet { etcd, hosts } = &mut fleet;
                hosts[host].start(etcd, "");
            }
            6 => {
                let bad = format!("/xgre/v1/endpoints/{}/strange{step}/tap", TENANTS[0].0);
                fleet.etcd.put(&bad, "{\"addresses\": 7}");
            }
            7 => fleet.etcd.cut_off_for(Duration::from_millis(u64::from(random.below(3000)))),
            _ => {
                if let Some(member) = away.take() {
                    fleet.etcd.run(member);
                }
                let member = random.below(3) as usize;
                fleet.etcd.kill(member);
                away = Some(member);
                fleet.etcd.leader();
            }
        }
    }
    if let Some(member) = away {
        fleet.etcd.run(member);
    }
    fleet.etcd.wait();
    for (number, member) in fleet.hosts.iter().enumerate() {
        let mut exported = String::new();
        let is_right = is_eventually(|| {
            exported = member.host.xgre("export").ok();
            is_as_said(&exported, number, &ports)
        });
        assert!(is_right, "{} is not what the store says: {ports:?}\n{exported}", member.name);
    }
}

const TENANTS: [(&str, &str); 2] = [("blue", "l3"), ("green", "l2")];

/// Whether a host has its own ports, a tunnel to each host that has one of the same tenant, and the way to each address.
fn is_as_said(exported: &str, host: usize, ports: &BTreeSet<(usize, usize, u32)>) -> bool {
    let mut peers = BTreeSet::new();
    let mut right = true;
    for (tenant, (name, service)) in TENANTS.iter().enumerate() {
        let own = ports.iter().any(|&(at, whose, _)| (at, whose) == (host, tenant));
        right &= exported.contains(&format!("[[port]]\ntenant = \"{name}\"\n")) == own;
        let of_tenant: Vec<_> =
            ports.iter().filter(|(_, whose, _)| own && *whose == tenant).collect();
        peers.extend(of_tenant.iter().map(|(at, ..)| *at).filter(|&at| at != host));
        for &&(_, _, end) in &of_tenant {
            // Where two claim one address, whoever came later has it; who that is is another case's.
            let mut claimed = of_tenant.iter().filter(|it| it.2 == end).map(|it| it.0);
            right &= claimed.any(|at| leads((name, service), host, at, end, exported));
        }
        let is_l3 = *service == "l3";
        let entry = if is_l3 { "route" } else { "neigh" };
        let head = format!("[[{entry}]]\ntenant = \"{name}\"\n");
        // Nobody answers for a neighbour that is here.
        let away = of_tenant.iter().filter(|(at, ..)| is_l3 || *at != host);
        let ends: BTreeSet<_> = away.map(|it| it.2).collect();
        right &= exported.matches(&head).count() <= ends.len();
    }
    right && exported.matches("[[tunnel]]").count() == peers.len()
}

/// Whether a host has the way to an address of a tenant that is at another, or at itself.
fn leads(
    (tenant, service): (&str, &str),
    host: usize,
    at: usize,
    end: u32,
    exported: &str,
) -> bool {
    let way = match (service, at == host) {
        ("l3", true) => {
            format!(
                "[[route]]\ntenant = \"{tenant}\"\nprefix = \"10.9.0.{end}/32\"\nports = [\"{tenant}0\"]"
            )
        }
        ("l3", false) => format!(
            "[[route]]\ntenant = \"{tenant}\"\nprefix = \"10.9.0.{end}/32\"\ntunnels = [\"fleet.h{}\"]",
            at + 1
        ),
        // It answers for itself.
        (_, true) => return true,
        _ => format!("[[neigh]]\ntenant = \"{tenant}\"\nip = \"10.9.0.{end}\""),
    };
    exported.contains(&way)
}
