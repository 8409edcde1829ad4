//! Metrics say what `stats` says, whoever else asks, and how.

use std::{io::Write, net::TcpListener, time::Instant};

use serde_json::Value;
use testbed::{Daemon, Host, Ping, suite::Case, topology::sensor, two_hosts};

use super::scrape::{self, ADDRESS, Samples, connect, request};
use crate::setup::{add_tenant, count, eventually, inner_addresses, total, tunnel};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("metrics are what stats shows", agree),
        Case::new("metrics of few tenants, and sums of the rest", bounded),
        Case::new("metrics and tunnels that are not well", tunnels),
        Case::new("metrics: broken requests and slow clients disturb nobody", disturbers),
        Case::new("metrics: an address that is taken", taken),
    ]
}

const RUN: &str = "--iface eth0 --mode tc --metrics 9473";

/// Two hosts with these tenants on ports with addresses; the first one serves metrics.
pub fn hosts(options: &str, tenants: &[&str]) -> (Host, Host, [Daemon; 2]) {
    let (one, two) = two_hosts();
    let daemons = [one.start(&format!("{RUN} {options}")), two.start("--iface eth0 --mode tc")];
    for (host, local, remote, end) in
        [(&one, "192.0.2.1", "192.0.2.2", 1), (&two, "192.0.2.2", "192.0.2.1", 2)]
    {
        tunnel(host, local, remote);
        for (key, tenant) in (10..).zip(tenants) {
            add_tenant(host, tenant, &format!("--key {key}"));
            host.ns.ip(&format!("addr add 10.{key}.0.{end}/24 dev {tenant}0"));
        }
    }
    (one, two, daemons)
}

fn agree() {
    let (one, two, daemons) = hosts("", &["blue", "red"]);
    let url = format!("metrics at http://{ADDRESS}/metrics");
    assert!(daemons[0].greeting.contains(&url), "{:?}", daemons[0].greeting);
    Ping::to("10.10.0.2").all_answered(&one.ns);
    one.ns.ip("link set red0 arp on");
    // Of nobody's: an ARP request at an l3 port, and a key that the other end has not.
    Ping::to("10.11.0.99").unanswered(&one.ns);
    two.xgre("tenant add grey --key 99 --tunnel t").ok();
    two.xgre("port add grey grey0 --create").ok();
    inner_addresses(&two.ns, "grey0", 2);
    Ping::to("10.9.0.1").unanswered(&two.ns);

    // Between the two readings a packet more may come.
    let differs = || {
        let (stats, samples) = (one.json("stats"), Samples::of(&one.ns));
        difference(&stats, &samples)
    };
    eventually("metrics and stats agree", || differs().is_none());
    let samples = Samples::of(&one.ns);
    assert!(samples.get("xgre_tenant_rx_packets_total{tenant=\"blue\"}") >= 3);
    assert!(samples.sum("xgre_port_passed_total") > 0, "an ARP request at an l3 port");
    assert!(samples.sum("xgre_uplink_passed_total") > 0);
    assert_eq!(samples.get("xgre_uplink_info{uplink=\"eth0\",mode=\"tc\"}"), 1);
    assert_eq!(samples.get("xgre_map_entries{map=\"tenants\"}"), 2);
    assert_eq!(samples.get("xgre_map_entries{map=\"bindings\"}"), 2);
    assert_eq!(samples.get("xgre_map_max_entries{map=\"tenants\"}"), 16_384);
}

/// What metrics say otherwise than `stats`.
fn difference(stats: &Value, samples: &Samples) -> Option<String> {
    let mut pairs = Vec::new();
    for tenant in stats["tenants"].as_array().expect("tenants") {
        let name = tenant["name"].as_str().expect("a name");
        for (metric, path) in [
            ("rx_packets", "/rx/packets"),
            ("rx_bytes", "/rx/bytes"),
            ("tx_packets", "/tx/packets"),
            ("tx_bytes", "/tx/bytes"),
        ] {
            let sample = format!("xgre_tenant_{metric}_total{{tenant=\"{name}\"}}");
            pairs.push((samples.get(&sample), count(tenant, path), sample));
        }
    }
    let tenants = stats["tenants"].as_array().expect("tenants");
    let sum = |list: &str, of: &str| {
        let hooks = stats[list].as_array().expect("a list").iter();
        let hooks = hooks.flat_map(|it| it["hooks"].as_array().expect("hooks"));
        hooks.map(|hook| total(&hook[of])).sum::<u64>()
    };
    let drops = tenants.iter().map(|tenant| total(&tenant["drops"])).sum();
    let notices = tenants.iter().map(|tenant| total(&tenant["notices"])).sum();
    for (metric, expected) in [
        ("xgre_tenant_drops_total", drops),
        ("xgre_tenant_notices_total", notices),
        ("xgre_port_passed_total", sum("ports", "passed")),
        ("xgre_port_drops_total", sum("ports", "drops")),
        ("xgre_ports_passed_total", sum("ports", "passed")),
        ("xgre_uplink_passed_total", sum("uplinks", "passed")),
        ("xgre_uplink_drops_total", sum("uplinks", "drops")),
    ] {
        pairs.push((samples.sum(metric), expected, metric.to_owned()));
    }
    let differ = |(found, expected, what): (u64, u64, String)| {
        (found != expected).then(|| format!("{what}: {found}, stats: {expected}"))
    };
    pairs.into_iter().find_map(differ)
}

fn bounded() {
    let names = ["a", "b", "c", "d", "e"];
    let (one, _two, _daemons) = hosts("--metrics-tenants 2", &names);
    // All are there before sums begin to differ: who had no metrics of his own is in the rest.
    Samples::of(&one.ns);
    for _ in 0..3 {
        Ping::to("10.12.0.2").size(1000).times(8, 5).all_answered(&one.ns);
        Ping::to("10.14.0.2").size(500).times(4, 5).all_answered(&one.ns);
        Ping::to("10.10.0.2").all_answered(&one.ns);
        Samples::of(&one.ns);
    }
    let before = Samples::of(&one.ns);
    let own = before.values_of("xgre_tenant_rx_bytes_total", "tenant");
    assert_eq!(own, ["c", "e"], "those with the most traffic");

    for last in [10, 12, 14] {
        Ping::to(&format!("10.{last}.0.2")).all_answered(&one.ns);
    }
    let after = Samples::of(&one.ns);
    for direction in ["rx", "tx"] {
        let grown = |metric: &str| {
            let metric = format!("{metric}_{direction}_packets_total");
            after.sum(&metric) - before.sum(&metric)
        };
        let (own, others, all) =
            (grown("xgre_tenant"), grown("xgre_tenants_other"), grown("xgre_tenants"));
        assert!(own >= 6 && others >= 3, "{direction}: {own} and {others}");
        assert_eq!(own + others, all, "{direction}");
    }

    // A tenant that is deleted takes nothing out of the sums.
    let all = || Samples::of(&one.ns).get("xgre_tenants_rx_bytes_total");
    let before = all();
    one.xgre("port del c c0").ok();
    one.xgre("tenant del c").ok();
    assert!(all() >= before && before > 0);
}

fn tunnels() {
    let (host, _wire) = sensor();
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    host.ns.ip("neigh add 192.0.2.3 lladdr 02:00:00:00:00:ef dev eth0");
    let _daemon = host.start(RUN);
    for (name, remote, options) in [
        ("well", "192.0.2.2", ""),
        ("silent", "192.0.2.3", "--keepalive 1,2"),
        ("nowhere", "198.51.100.1", ""),
    ] {
        host.xgre(&format!("tunnel add {name} --local 192.0.2.1 --remote {remote} {options}")).ok();
    }
    let in_state =
        |samples: &Samples, state: &str| samples.get(&format!("xgre_tunnels{{state=\"{state}\"}}"));
    // A keepalive is asked for a tenant.
    host.xgre("tenant add blue --key 10 --tunnel silent").ok();
    eventually("a tunnel that is down", || in_state(&Samples::of(&host.ns), "down") == 1);
    let samples = Samples::of(&host.ns);
    assert_eq!((in_state(&samples, "up"), in_state(&samples, "no_route")), (1, 1));
    for (metric, well, silent, nowhere) in [
        ("xgre_tunnel_up", 1, 0, 0),
        ("xgre_tunnel_next_hop_resolved", 1, 1, 0),
        ("xgre_tunnel_tenants", 0, 1, 0),
    ] {
        for (tunnel, expected) in [("well", well), ("silent", silent), ("nowhere", nowhere)] {
            let sample = format!("{metric}{{tunnel=\"{tunnel}\"}}");
            assert_eq!(samples.get(&sample), expected, "{sample}");
        }
    }
    assert_eq!(samples.values_of("xgre_tunnel_keepalive_up", "tunnel"), ["silent"]);

    // An uplink that goes is still known by name.
    host.ns.ip("link del eth0");
    eventually("an uplink that is gone", || {
        Samples::of(&host.ns).0["xgre_uplink_up{uplink=\"eth0\"}"] == "0"
    });
}

fn disturbers() {
    let (host, _wire) = sensor();
    let daemon = host.start(RUN);
    for (asked, status) in [
        ("GET /metrics HTTP/1.0\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = request(&host.ns, ADDRESS, asked).expect("an answer");
        assert_eq!(answer.head.split(' ').nth(1), Some(status), "{asked}: {answer:?}");
    }
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));
    let refused = request(&host.ns, ADDRESS, &endless);
    assert!(refused.is_err() || refused.is_ok_and(|it| it.head.contains(" 431 ")));
    let open = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";
    let answer = request(&host.ns, ADDRESS, open).expect("an answer");
    assert!(answer.head.contains("application/openmetrics-text"), "{answer:?}");
    assert!(answer.body.ends_with("# EOF\n"), "{answer:?}");

    // More clients than are served at a time, all of whom begin a request and do not end it.
    let slow: Vec<_> = (0..24)
        .map(|_| {
            let mut stream = connect(&host.ns, ADDRESS).expect("a server");
            stream.write_all(b"GET /metrics HT").expect("a part of a request");
            stream
        })
        .collect();
    // Commands work all the same.
    let begin = Instant::now();
    host.xgre("tunnel list").ok();
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    assert!(scrape::metrics(&host.ns).contains("xgre_build_info"), "after they were sent away");
    drop(slow);
    daemon.stop();
}

fn taken() {
    let (host, _wire) = sensor();
    let _taken = host.ns.run_in(|| TcpListener::bind(ADDRESS)).expect("a free port");
    let refused = host.xgre(&format!("run {RUN}")).err();
    assert!(refused.contains("cannot serve metrics at 127.0.0.1:9473"), "{refused}");
    assert!(refused.contains("--metrics"), "a remedy: {refused}");
    assert!(!host.state().exists(), "nothing is half done");
}
