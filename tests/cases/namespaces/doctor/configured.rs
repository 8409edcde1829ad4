//! Tunnels, tenants and ports.

use std::{thread, time::Duration};

use testbed::{
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::{Case, Need},
    veth,
};

use super::{Good, findings, ids, underlay};
use crate::setup::{count, eventually};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("doctor: a port's MTU does not fit the tunnel", || {
            Good::new().breaks_and_mends("ip link set blue0 mtu 1500", "port_mtu");
        }),
        Case::new("doctor: --mtu does not fit the path", tunnel_mtu),
        Case::new("doctor: a port is down", || {
            Good::new().breaks_and_mends("ip link set blue0 down", "port_down");
        }),
        Case::new("doctor: a tenant without port", || {
            let good = Good::new();
            good.breaks_and_mends("xgre tenant add red --key 20 --tunnel t", "no_port");
        }),
        Case::new("doctor: a strict port", strict_port),
        Case::new("doctor: a local sender behind native XDP", native_veth).needs(Need::Linux(6, 3)),
        Case::new("doctor: the other end of a tunnel is silent", silent),
        Case::new("doctor: packets are dropped", drops),
        Case::new("doctor: a file before the first run", before_first_run),
        Case::new("doctor: a file that is wrong", bad_file),
    ]
}

fn tunnel_mtu() {
    let good = Good::new();
    good.types("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0");
    good.types("xgre tunnel add u --local 192.0.2.1 --remote 192.0.2.9 --mtu 1500");
    good.types("xgre tenant add red --key 20 --tunnel u");
    let found = good.breaks("xgre port add red red0 --create", "tunnel_mtu");
    good.types(found.remedy.split("  # ").next().unwrap_or_default());
    eventually("a good host", || findings(&good.host, "").is_empty());
}

fn strict_port() {
    let good = Good::new();
    good.types("ip route prepend 10.9.0.0/24 dev eth0");
    good.is_good("a route that wins");
    good.host.ns.sysctl("ipv4/conf/blue0/rp_filter", "1");
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["port_rp_filter"]);
    assert!(found[0].remedy.starts_with("sysctl -w net.ipv4.conf.blue0.rp_filter=2"), "{found:?}");
    good.host.ns.sysctl("ipv4/conf/blue0/rp_filter", "2");
    good.is_good("a loose filter");
}

/// Whoever sends by the other end of a veth port leaves checksums to it; and the uplink transmits no frames of XDP.
fn native_veth() {
    let good = Good::new();
    veth((&good.host.ns, "p0"), (&good.host.ns, "p1"));
    for device in ["p0", "p1"] {
        good.types(&format!("ip link set {device} mtu 1400"));
    }
    good.types("xgre tenant add red --key 20 --tunnel t");
    good.types("xgre port add red p0 --mode native");
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["xdp_transmit", "port_native_veth"]);
    let (command, _) = found[1].remedy.split_once("  # ").expect("a comment");
    good.types(command);
    // A veth device transmits frames of XDP while its other end has GRO on.
    good.wire.offload("eth0", "gro on");
    good.is_good(command);
}

fn silent() {
    let good = Good::new();
    good.types("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0");
    good.types("xgre tunnel add u --local 192.0.2.1 --remote 192.0.2.9 --keepalive 1,1");
    good.types("xgre tenant add red --key 20 --tunnel u");
    good.types("xgre port add red red0 --create");
    eventually("a tunnel that is down", || ids(&findings(&good.host, "")) == ["tunnel_down"]);
}

/// From a wrong remote address: told while it happens, and afterwards.
fn drops() {
    let good = Good::new();
    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip();
    let mac = good.host.ns.mac("eth0");
    let frame = Gre::new("192.0.2.9", "192.0.2.1", IPV4, inner).key(10).to_mac(mac).build();
    let found = thread::scope(|scope| {
        let looks = scope.spawn(|| findings(&good.host, ""));
        while !looks.is_finished() {
            send_frame(&good.wire, "eth0", &frame);
            thread::sleep(Duration::from_millis(50));
        }
        looks.join().expect("findings")
    });
    assert_eq!(ids(&found), ["drops_now"]);
    assert_eq!(found[0].subject, "tenant blue");
    assert!(found[0].cause.contains("wrong_remote"), "{found:?}");
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["drops"]);
    let drops = count(&good.host.tenant_stats("blue"), "/drops/wrong_remote");
    assert!(found[0].cause.starts_with(&format!("{drops} of {drops} dropped")), "{found:?}");
}

const FILE: &str = "\
[[tunnel]]
name = \"t\"
local = \"192.0.2.1\"
remote = \"REMOTE\"

[[tenant]]
name = \"blue\"
key = 10
tunnels = [\"t\"]

[[port]]
tenant = \"blue\"
name = \"PORT\"
";

fn before_first_run() {
    let (host, wire) = underlay();
    veth((&host.ns, "eth1"), (&wire, "eth1"));
    host.ns.ip("link set eth1 mtu 1472");
    let judge = |name: &str, remote: &str, port: &str| {
        let text = FILE.replace("REMOTE", remote).replace("PORT", port);
        let path = host.file(name, &text);
        findings(&host, &format!("--iface eth0 --config {}", path.display()))
    };
    // XDP on a veth uplink: whoever runs it is told.
    assert_eq!(ids(&judge("good.toml", "192.0.2.2", "eth1")), ["veth_native"]);
    assert_eq!(
        ids(&judge("bad.toml", "198.51.100.2", "eth7")),
        ["veth_native", "no_route", "port_missing"]
    );
    host.ns.ip("link set eth1 mtu 1500");
    let found = judge("long.toml", "192.0.2.2", "eth1");
    assert_eq!(ids(&found), ["veth_native", "port_mtu"]);
    host.ns.ip("neigh replace 192.0.2.2 dev eth0 nud failed");
    let found = judge("silent.toml", "192.0.2.2", "eth1");
    assert_eq!(ids(&found), ["veth_native", "neighbour", "port_mtu"]);
    assert!(found[1].cause.contains("does not answer"), "{found:?}");
    assert!(!host.state().exists(), "nothing was made");
}

fn bad_file() {
    let (host, _wire) = underlay();
    let path = host.file(
        "twice.toml",
        &FILE
            .replace(
                "[[port]]",
                "[[tenant]]\nname = \"red\"\nkey = 10\ntunnels = [\"t\"]\n\n[[port]]",
            )
            .replace("REMOTE", "192.0.2.2"),
    );
    let found = findings(&host, &format!("--config {}", path.display()));
    assert_eq!(ids(&found), ["config", "no_uplink"]);
    let expected = "tenant red: tenant blue already receives key 10 on tunnel t";
    assert!(found[0].cause.starts_with(expected), "{found:?}");
    assert!(found[0].subject.ends_with("twice.toml:11:1"), "{found:?}");
    let found = findings(&host, "--config /nowhere.toml");
    assert_eq!(ids(&found), ["config", "no_uplink"]);
}
