//! The JSON that scripts rely on, whole.

use serde_json::{Value, json};
use testbed::{Ping, suite::Case, topology::sensor};

use crate::setup::{Mode, Pair, Service, eventually};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("JSON of what is configured", configuration),
        Case::new("JSON of the counters", counters),
        Case::new("JSON of the transit rules", transit),
    ]
}

#[track_caller]
fn assert_document(found: &Value, expected: &Value) {
    let pretty = |value| serde_json::to_string_pretty(value).expect("JSON");
    assert!(found == expected, "found {}\nexpected {}", pretty(found), pretty(expected));
}

fn mac(address: [u8; 6]) -> String {
    address.map(|octet| format!("{octet:02x}")).join(":")
}

fn configuration() {
    let (host, _wire) = sensor();
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    host.ns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    host.ns.ip("neigh add 2001:db8::2 lladdr 02:00:00:00:00:e6 dev eth0");
    let _daemon = host.start("--iface eth0");
    let uplink = host.ns.ifindex("eth0");
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    let options = "--ttl inherit --tos 16 --df copy --mtu 1400 --ecn compatibility";
    host.xgre(&format!("tunnel add u --local 192.0.2.1 --remote 198.51.100.2 {options}")).ok();
    let options = "--csum --seq --mss-clamp off --pmtudisc off --keepalive 60,3";
    host.xgre(&format!("tunnel add v --local 2001:db8::1 --remote 2001:db8::2 {options}")).ok();
    host.xgre("tenant add blue --key 10 --tunnel t --service l2").ok();
    host.xgre("tenant add red --no-key --tunnel t").ok();
    host.xgre("port add red red0 --create").ok();
    let red = host.xgre("tenant show red --json").ok();

    let resolved = json!({
        "state": "resolved", "ifindex": uplink, "address": "192.0.2.2",
        "mac": "02:00:00:00:00:ee", "mtu": 1500,
    });
    let resolved6 = json!({
        "state": "resolved", "ifindex": uplink, "address": "2001:db8::2",
        "mac": "02:00:00:00:00:e6", "mtu": 1500,
    });
    let no_route =
        json!({"state": "no_route", "ifindex": null, "address": null, "mac": null, "mtu": null});
    assert_document(
        &host.json("tunnel list"),
        &json!({"version": 1, "tunnels": [
            {"name": "t", "local": "192.0.2.1", "remote": "192.0.2.2", "ttl": 64, "tos": 0,
             "ecn": "normal", "df": "set", "csum": false, "seq": false, "mtu": null,
             "mss_clamp": true, "pmtudisc": true, "path_mtu": null, "keepalive": null,
             "state": null, "tenants": 2, "next_hop": resolved},
            {"name": "u", "local": "192.0.2.1", "remote": "198.51.100.2", "ttl": "inherit",
             "tos": 16, "ecn": "compatibility", "df": "copy", "csum": false, "seq": false,
             "mtu": 1400, "mss_clamp": true, "pmtudisc": true, "path_mtu": null,
             "keepalive": null, "state": null, "tenants": 0, "next_hop": no_route},
            {"name": "v", "local": "2001:db8::1", "remote": "2001:db8::2", "ttl": 64, "tos": 0,
             "ecn": "normal", "df": null, "csum": true, "seq": true, "mtu": null,
             "mss_clamp": false, "pmtudisc": false, "path_mtu": null,
             "keepalive": {"period": 60, "retries": 3}, "state": "up", "tenants": 0,
             "next_hop": resolved6},
        ]}),
    );
    let table = host.xgre("tunnel list").ok();
    for (tunnel, options) in [
        ("t ", " - "),
        ("u ", "  ecn compatibility  "),
        ("v ", "  csum, seq, mss-clamp off, pmtudisc off, keepalive 60,3 up  "),
    ] {
        let row = table.lines().find(|line| line.starts_with(tunnel));
        assert!(row.is_some_and(|row| row.contains(options)), "{tunnel}{options} in {table}");
    }
    let red_row = json!({"name": "red", "service": "l3", "in_key": null, "out_key": null,
        "tunnels": ["t"], "ports": ["red0"]});
    assert_document(
        &host.json("tenant list"),
        &json!({"version": 1, "tenants": [
            {"name": "blue", "service": "l2", "in_key": 10, "out_key": 10,
             "tunnels": ["t"], "ports": []},
            red_row.clone(),
        ]}),
    );
    let mut shown = red_row;
    shown["received"] = json!([{"key": null, "packets": 0, "bytes": 0}]);
    assert_eq!(
        serde_json::from_str::<Value>(&red).expect("JSON"),
        json!({"version": 1, "tenants": [shown]})
    );
    let found = host.json("port list");
    let port = json!({"name": "red0", "tenant": "red", "ifindex": found["ports"][0]["ifindex"],
        "created": true, "mode": "tc", "delivery": "pass", "station": mac(host.ns.mac("red0"))});
    assert_document(&found, &json!({"version": 1, "ports": [port]}));
}

fn counters() {
    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    one.ns.ip("link set blue0 arp on");
    Ping::to("10.9.0.99").unanswered(&one.ns);
    let stats = || one.json("stats");
    eventually("an ARP request on an l3 port", || {
        stats().pointer("/ports/0/passed/not_ip").is_some()
    });
    let found = stats();
    let uplink = &found["uplinks"][0];
    let traffic = |direction: &str| {
        let counted = &found["tenants"][0][direction];
        json!({"packets": counted["packets"], "bytes": counted["bytes"]})
    };
    let passed = json!({"not_ip": found["ports"][0]["passed"]["not_ip"]});
    let expected = json!({
        "version": 1,
        "tenants": [{"name": "blue", "rx": traffic("rx"), "tx": traffic("tx"),
            "drops": {}, "notices": {}}],
        "ports": [{"name": "blue0", "tenant": "blue", "passed": passed, "drops": {},
            "hooks": [{"hook": "port_tc", "passed": passed, "drops": {}}]}],
        "uplinks": [{"name": "eth0", "mode": "tc", "passed": uplink["passed"], "drops": {},
            "hooks": [{"hook": "uplink_tc", "passed": uplink["hooks"][0]["passed"], "drops": {}}]}],
    });
    assert_document(&found, &expected);
    assert!(found["tenants"][0]["tx"]["packets"].is_u64(), "{found}");
    let only = one.xgre("stats blue --json").ok();
    let only: Value = serde_json::from_str(&only).expect("JSON");
    assert!(only.get("uplinks").is_none() && only["tenants"][0]["name"] == "blue", "{only}");
}

fn transit() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    host.ns.ip("link add eth1 type veth peer name eth2");
    let addresses = "--remote 198.51.100.1 --local 203.0.113.1";
    host.xgre(&format!("transit add --iface eth1 --key 0xa {addresses} --redirect eth2")).ok();
    host.xgre("transit add --iface eth1 --no-key --remote 2001:db8::1 --drop").ok();
    let [eth1, eth2] = ["eth1", "eth2"].map(|name| json!({"name": name, "present": true}));
    assert_document(
        &host.json("transit list"),
        &json!({"version": 1, "rules": [
            {"iface": eth1, "key": null, "remote": "2001:db8::1", "local": null,
             "action": "drop", "redirect": null, "packets": 0, "bytes": 0},
            {"iface": eth1, "key": 10, "remote": "198.51.100.1", "local": "203.0.113.1",
             "action": "redirect", "redirect": eth2, "packets": 0, "bytes": 0},
        ]}),
    );
    assert_document(
        &host.json("stats")["transit"],
        &json!([{"name": "eth1", "passed": {}, "drops": {}}]),
    );
}
