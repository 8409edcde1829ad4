//! What can go wrong: packets go on as they were, and all converges when it is right again.

use testbed::{Ping, suite::Case};

use super::{Fleet, all_pairs, case};
use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    vec![
        case("fleet: the leader is killed, and the store cut off, during traffic", store_away),
        case("fleet: daemons end and come back while the store is away", restarted),
        case("fleet: what was watched is compacted", compacted),
        case("fleet: bad entries concern only themselves", bad_entries),
        case("fleet: the newer of two claims", two_claims),
        case("fleet: a host that is gone", host_gone),
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
    std::thread::sleep(std::time::Duration::from_secs(3));
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
    std::thread::sleep(std::time::Duration::from_secs(1));
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
