//! Tenants' keys change while traffic flows: `xgre tenant set`.

use serde_json::{Value, json};
use testbed::{
    Host, Ping,
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
};

use crate::setup::{Mode, Pair, Service, Tunnel, add_tenant, count, eventually, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        for (over, tunnel) in [("IPv4", Tunnel::PLAIN), ("IPv6", Tunnel::v6("", 0))] {
            let name = format!("keys: both ends go over to another, {service} over {over}");
            cases.push(Case::new(name, move || rotated(service, tunnel)));
        }
    }
    cases.extend([
        Case::new("keys: packets are counted by the key they came with", counted),
        Case::new("keys: a second one is nobody else's", refused),
        Case::new("keys: a tenant with two goes, and both are free", deleted),
    ]);
    cases
}

/// What a tenant received, by key.
fn by_key(host: &Host, tenant: &str) -> Vec<(Value, u64)> {
    let shown = host.json(&format!("tenant show {tenant}"));
    let list = shown["tenants"][0]["received"].as_array().cloned().unwrap_or_default();
    list.iter().map(|it| (it["key"].clone(), count(it, "/packets"))).collect()
}

/// As the help of `tenant set` says, one end after the other.
fn rotated(service: Service, tunnel: Tunnel) {
    const TIMES: u16 = 400;
    let Pair { one, two, daemons: _daemons } = Pair::blue_over(tunnel, service, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let pings = Ping::to("10.9.0.2").times(TIMES, 5).start(&one.ns);
    let both = |change: &str| {
        for host in [&one, &two] {
            host.xgre(&format!("tenant set blue {change}")).ok();
        }
    };
    both("--second-in-key 11");
    both("--key 11 --second-in-key 10");
    let old = |host| by_key(host, "blue").iter().find(|(key, _)| *key == 10).map(|it| it.1);
    let before = [&one, &two].map(old);
    eventually("packets with the new key", || by_key(&one, "blue")[0].1 > 0);
    assert_eq!([&one, &two].map(old), before, "none with the old key any more");
    both("--no-second-in-key");
    let result = pings.wait();
    assert_eq!((result.sent, result.received), (TIMES.into(), TIMES.into()), "{}", result.log);

    for host in [&one, &two] {
        let blue = &host.json("tenant show blue")["tenants"][0];
        assert_eq!((&blue["in_key"], &blue["out_key"]), (&json!(11), &json!(11)), "{blue}");
        assert_eq!(blue.get("second_in_key"), None, "{blue}");
        let stats = host.tenant_stats("blue");
        assert!(count(&stats, "/rx/packets") > u64::from(TIMES), "counters go on: {stats}");
        assert_eq!(stats["drops"], json!({}), "{stats}");
    }
}

fn counted() {
    let (host, wire) = sensor();
    host.ns.sysctl("ipv6/conf/all/disable_ipv6", "1");
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10 --second-in-key 11");
    let inner = Udp::new("10.9.0.2", "10.9.0.77", b"payload").ip();
    let gre = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).to_mac(host.ns.mac("eth0"));
    for (key, times) in [(10, 3), (11, 5), (12, 7)] {
        for _ in 0..times {
            send_frame(&wire, "eth0", &gre.clone().key(key).build());
        }
    }
    eventually("all packets", || by_key(&host, "blue") == [(json!(10), 3), (json!(11), 5)]);
    assert_eq!(count(&host.tenant_stats("blue"), "/rx/packets"), 8);
    let text = host.xgre("tenant show blue").ok();
    assert!(text.contains("10, 11"), "{text}");

    let exported = host.xgre("export").ok();
    assert!(exported.contains("second-in-key = 11"), "{exported}");
    let file = host.file("toml", &exported);
    let applied = host.xgre(&format!("apply {}", file.display())).ok();
    assert_eq!(applied, "nothing to change");
    // What came with a key that goes is the tenant's still.
    host.xgre("tenant set blue --no-second-in-key").ok();
    assert_eq!(count(&host.tenant_stats("blue"), "/rx/packets"), 8);
}

fn refused() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10 --second-in-key 11");
    add_tenant(&host, "green", "--key 20");
    let before = (host.configuration(), host.xgre("export").ok());
    for (args, words) in [
        ("tenant set green --second-in-key 11", &["key 11", "blue"][..]),
        ("tenant set green --key 11", &["key 11", "blue"]),
        ("tenant set blue --second-in-key 20", &["key 20", "green"]),
        ("tenant set blue --second-in-key 10", &["key 10", "first"]),
        ("tenant set blue --key 11", &["key 11", "first"]),
        ("tenant set red --key 11", &["red"]),
        ("tenant set blue", &["--key"]),
        ("tenant set blue --in-key 5", &["--out-key"]),
        ("tenant add red --key 11 --tunnel t", &["key 11", "blue"]),
        ("tenant add red --key 30 --second-in-key 10 --tunnel t", &["key 10", "blue"]),
        ("tenant add red --key 30 --second-in-key 30 --tunnel t", &["key 30", "first"]),
    ] {
        let refused = host.xgre(args).err();
        assert!(words.iter().all(|word| refused.contains(word)), "{args}: {refused}");
        assert_eq!((host.configuration(), host.xgre("export").ok()), before, "{args}");
    }
}

fn deleted() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    for _ in 0..2 {
        host.xgre("tenant add blue --key 10 --second-in-key 11 --tunnel t").ok();
        host.xgre("tenant del blue").ok();
    }
    for key in [10, 11] {
        host.xgre(&format!("tenant add t{key} --key {key} --tunnel t")).ok();
    }
    let shown = host.json("tenant show t10");
    assert_eq!(shown["tenants"][0].get("second_in_key"), None, "{shown}");
}
