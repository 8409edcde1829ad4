//! The kernel's GRE devices.

use serde_json::json;
use testbed::{
    Host, Netns, Ping,
    suite::{Case, Need},
    topology::wired,
};

use super::{Old, reached, text};
use crate::setup::count;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("import: what Linux cannot give", left_in_kernel)
            .needs(Need::Device("gre"))
            .needs(Need::Device("ip6gretap")),
    ];
    for suffix in ["", "-x"] {
        let what = if suffix.is_empty() { "" } else { ", both for a while" };
        let case = Case::new(format!("import: Linux devices{what}"), move || devices(suffix));
        cases.push(case.needs(Need::Device("gretap")).needs(Need::Device("ip6gre")));
    }
    cases
}

const V4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

/// Gives a host devices of all kinds, and those addresses.
fn furnish(host: &Host, end: u8) {
    host.ns.ip(&format!("addr add 2001:db8::{end}/64 dev eth0 nodad"));
    host.ns.offload("eth0", "tx off");
    let (mut v4, mut v6) = (V4, V6);
    if end == 2 {
        (v4, v6) = ([V4[1], V4[0]], [V6[1], V6[0]]);
    }
    let [local4, remote4] = v4;
    let [local6, remote6] = v6;
    let keys = if end == 1 { "ikey 7 okey 8" } else { "ikey 8 okey 7" };
    let v4 = format!("local {local4} remote {remote4}");
    let v6 = format!("local {local6} remote {remote6}");
    for device in [
        format!("gre1 type gre {v4} key 10 csum ttl 32"),
        format!("tap1 type gretap {v4} {keys} csum ttl 32"),
        format!("left type gre {v4} key 40 ttl 32"),
        format!("six1 type ip6gre {v6} key 30"),
        format!("six2 type ip6gretap {v6} key 31"),
    ] {
        host.ns.ip(&format!("link add {device}"));
    }
    host.ns.ip("link add br0 type bridge forward_delay 0");
    host.ns.ip("link set tap1 master br0");
    for device in ["gre1", "tap1", "left", "six1", "six2", "br0"] {
        host.ns.ip(&format!("link set {device} up"));
    }
    host.ns.ip(&format!("addr add 10.9.1.{end} peer 10.9.1.{} dev gre1", 3 - end));
    host.ns.ip(&format!("addr add fd09:1::{end}/64 dev gre1 nodad"));
    host.ns.ip(&format!("addr add 10.9.2.{end}/24 dev br0"));
    host.ns.ip(&format!("addr add 10.9.3.{end}/24 dev six1"));
    host.ns.ip(&format!("addr add 10.9.4.{end}/24 broadcast 10.9.4.255 dev six2"));
    host.ns.ip(&format!("addr add 10.9.5.{end}/24 dev left"));
}

/// Two hosts with kernel GRE devices of all kinds, one of which is taken over.
fn devices(suffix: &str) {
    let (old, peer) = wired(["192.0.2.1/24", "192.0.2.2/24"]);
    for (host, end) in [(&old, 1), (&peer, 2)] {
        furnish(host, end);
    }
    peer.ns.ip("addr add 10.50.0.1/32 dev lo");
    peer.ns.ip("addr add fd50::1/128 dev lo");
    old.ns.ip("route add 10.50.0.0/16 via 10.9.1.2 dev gre1 src 10.9.1.1 metric 9 mtu 1300");
    old.ns.ip("-6 route add fd50::/16 via fd09:1::2 dev gre1");
    let several = "nexthop via 10.9.1.2 dev gre1 weight 3 nexthop dev six1 weight 1";
    old.ns.ip(&format!("route add 10.52.0.0/16 {several}"));
    old.ns.ip("route add 10.51.0.0/16 dev six1 table 77");
    let link = &peer.ns.json("link show six2")[0];
    let mac = text(&link["address"]);
    old.ns.ip(&format!("neigh add 10.9.4.2 lladdr {mac} dev six2"));
    old.ns.ip("rule add iif gre1 table 77 priority 500");
    let all = |from: &Netns| {
        for address in [
            "10.9.1.2",
            "fd09:1::2",
            "10.9.2.2",
            "10.9.3.2",
            "10.9.4.2",
            "10.9.5.2",
            "10.50.0.1",
            "fd50::1",
        ] {
            reached(Ping::to(address), from);
        }
    };
    all(&old.ns);

    let taken = Old::new(&old);
    let option = if suffix.is_empty() { String::new() } else { format!("--suffix={suffix}") };
    let imported = taken.import(&format!("ip {option}"));
    imported.assert_items(
        "tunnel",
        &json!([
            {"name": "to-192.0.2.2", "local": V4[0], "remote": V4[1], "ttl": 32, "csum": true},
            {"name": "to-2001-db8--2", "local": V6[0], "remote": V6[1]},
        ]),
    );
    imported.assert_items(
        "tenant",
        &json!([
            {"name": "gre1", "key": 10, "tunnels": ["to-192.0.2.2"]},
            {"name": "six1", "key": 30, "tunnels": ["to-2001-db8--2"]},
            {"name": "six2", "key": 31, "tunnels": ["to-2001-db8--2"], "service": "l2"},
            {"name": "tap1", "in-key": 7, "out-key": 8, "tunnels": ["to-192.0.2.2"], "service": "l2"},
        ]),
    );
    imported.assert_steps_in_file();
    imported.tells("left", "its packets have checksums or sequence numbers");
    imported.tells("tap1", "it is a port of bridge br0");
    if !suffix.is_empty() {
        imported.tells("gre1", "the rule with priority 500 names it");
    }
    let on = Ping::to("10.50.0.1").times(100, 50).start(&old.ns);
    let _daemon = taken.go_over(&imported);
    let result = on.wait();
    println!("while going over with the suffix {suffix:?}: {} of {}", result.received, result.sent);
    assert!(result.received > 0, "{}", result.log);
    all(&old.ns);
    all_back(&old, &peer);
    assert!(!old.ns.exec("ip link show type gre dev gre1").stdout.contains("gre1"), "it is gone");
    let routes = old.ns.ip("route show 10.50.0.0/16");
    let expected =
        format!("10.50.0.0/16 via 10.9.1.2 dev gre1{suffix} src 10.9.1.1 metric 9 mtu 1300");
    assert_eq!(routes, expected);
    let hops = old.ns.json("route show 10.52.0.0/16")[0]["nexthops"].to_string();
    let is_moved = |device| hops.contains(&format!("\"dev\":\"{device}{suffix}\""));
    assert!(is_moved("gre1") && is_moved("six1"), "{hops}");
    assert_eq!(
        old.ns.ip("route show table 77"),
        format!("10.51.0.0/16 dev six1{suffix} scope link")
    );
}

/// The tenants of xgre had the packets, and none went by the kernel's devices.
fn all_back(old: &Host, peer: &Host) {
    for address in ["10.9.1.1", "10.9.2.1", "10.9.3.1", "10.9.4.1"] {
        reached(Ping::to(address), &peer.ns);
    }
    for tenant in ["gre1", "six1", "six2", "tap1"] {
        let stats = old.tenant_stats(tenant);
        for direction in ["rx", "tx"] {
            let packets = count(&stats, &format!("/{direction}/packets"));
            assert!(packets > 0, "{stats}");
        }
    }
}

fn left_in_kernel() {
    let host = Host::new();
    host.ns.ip("link add eth0 type veth peer name wire");
    host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    host.ns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    host.ns.ip("link set wire up");
    host.ns.ip("link set eth0 up");
    let ends = "local 192.0.2.1 remote 192.0.2.2";
    for device in [
        format!("good type gre {ends} key 1"),
        format!("tos type gre {ends} key 2 tos 0x10 ttl 7 nopmtudisc"),
        format!("same type gretap {ends} key 1"),
        format!("one type gre {ends} ikey 3"),
        format!("seq type gre {ends} key 4 oseq"),
        "many type gre local 192.0.2.1 key 5".to_owned(),
        "ext type gretap external".to_owned(),
        "nolocal type gretap remote 192.0.2.9 key 6".to_owned(),
        "noroute type gre remote 198.51.100.9 key 6".to_owned(),
        "bound type gre local 192.0.2.1 remote 192.0.2.10 dev wire".to_owned(),
        "small type gretap local 192.0.2.1 remote 192.0.2.11 ignore-df nopmtudisc".to_owned(),
        "icsum type gre local 192.0.2.1 remote 192.0.2.12 icsum".to_owned(),
        "six type ip6gretap local 2001:db8::1 remote 2001:db8::2 tclass inherit hoplimit 9"
            .to_owned(),
    ] {
        host.ns.ip(&format!("link add {device}"));
    }
    host.ns.ip("link set small mtu 1200 up");
    host.ns.ip("link add small.9 link small type vlan id 9");
    host.ns.ip("link set good up");
    host.ns.ip("route add 10.60.0.0/16 dev good proto 186");
    let imported = Old::new(&host).import("ip");
    for (about, what) in [
        ("tos", "it has ttl 7, tos 16, df \"copy\"; tunnel to-192.0.2.2"),
        ("same", "tenant good already receives key 1"),
        ("one", "a key in one direction only"),
        ("seq", "it sends sequence numbers and wants none"),
        ("many", "a tunnel to many"),
        ("ext", "chooses addresses and key with each packet"),
        ("noroute", "no local address, and there is no route"),
        ("bound", "bound to wire, and the route to 192.0.2.10 leaves by eth0"),
        ("small.9", "it is a vlan device on small"),
        ("icsum", "takes only packets with checksums"),
        ("good", "the route to 10.60.0.0/16 is another program's (proto 186"),
    ] {
        imported.tells(about, what);
    }
    let find = |name: &str| {
        let tunnels = imported.document["tunnel"].as_array().expect("a list");
        tunnels.iter().find(|tunnel| tunnel["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(
        find("to-192.0.2.11"),
        json!({"name": "to-192.0.2.11", "local": "192.0.2.1", "remote": "192.0.2.11", "ttl": "inherit", "df": "clear",
               "mtu": 1200})
    );
    assert_eq!(find("to-192.0.2.9")["local"], "192.0.2.1");
    assert_eq!(
        find("to-2001-db8--2"),
        json!({"name": "to-2001-db8--2", "local": "2001:db8::1", "remote": "2001:db8::2", "ttl": 9, "tos": "inherit"})
    );
    let steps = imported.document["steps"]["after"].to_string();
    assert!(steps.contains("ip link set tos down") && !steps.contains("ip link set good down"));
}
