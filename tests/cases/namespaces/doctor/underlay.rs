//! Interfaces and routes.

use std::thread::available_parallelism;

use testbed::{
    Host, Tap, bridge,
    suite::{Case, Need},
    veth,
};

use super::{Good, findings, ids, neighbour, underlay};
use crate::setup::{eventually, tunnel};

pub fn cases() -> Vec<Case> {
    let cpus = available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    vec![
        Case::new("doctor: GRO is off", || {
            Good::new().breaks_and_mends("ethtool -K eth0 gro off", "gro");
        }),
        Case::new("doctor: one queue for several CPUs", one_queue)
            .needs(Need::That(cpus, "needs several CPUs"))
            .needs(Need::Linux(5, 17)),
        Case::new("doctor: the uplink is down", uplink_down),
        Case::new("doctor: no interface for an uplink", no_interface),
        Case::new("doctor: an uplink without XDP", bridge_as_uplink).needs(Need::Linux(6, 3)),
        Case::new("doctor: frames too long for a driver's XDP", long_frames)
            .needs(Need::Linux(6, 3)),
        Case::new("doctor: native XDP on a veth uplink", veth_native),
        Case::new("doctor: no route to a tunnel's end", no_route),
        Case::new("doctor: a route by another device", other_device),
        Case::new("doctor: a tunnel in itself", recursive),
        Case::new("doctor: a neighbour that does not answer", no_neighbour),
        Case::new("doctor: a strict uplink", strict),
    ]
}

fn one_queue() {
    Good::new().breaks_and_mends("ethtool -L eth0 rx 1", "one_queue");
}

fn uplink_down() {
    let good = Good::new();
    good.types("ip link set eth0 down");
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["uplink_down", "no_route"]);
    good.types(&found[0].remedy);
    neighbour(&good.host);
    eventually("a good host", || findings(&good.host, "").is_empty());
}

fn no_interface() {
    let host = Host::new();
    let found = findings(&host, "");
    assert_eq!(ids(&found), ["no_uplink"]);
    assert_eq!(ids(&findings(&host, "--iface eth7")), ["uplink_missing"]);
    host.ns.ip("tuntap add tun0 mode tun");
    host.ns.ip("link set tun0 up");
    assert!(ids(&findings(&host, "--iface tun0")).contains(&"uplink_not_ethernet"));
}

fn bridge_as_uplink() {
    let (host, _wire) = underlay();
    bridge(&host.ns, "br0", &["eth0"]);
    let found = findings(&host, "--iface br0");
    assert_eq!(ids(&found), ["native_xdp"]);
    assert_eq!(found[0].remedy, "xgre run --iface eth0");
}

/// A tap takes XDP, and no frames in fragments.
fn long_frames() {
    let host = Host::new();
    let _tap = Tap::new(&host.ns, "tap0");
    host.ns.offload("tap0", "gro on");
    assert_eq!(ids(&findings(&host, "--iface tap0")), [""; 0]);
    host.ns.ip("link set tap0 mtu 9000");
    let found = findings(&host, "--iface tap0");
    assert_eq!(ids(&found), ["xdp_frags"]);
    host.ns.exec(&found[0].remedy).ok();
    assert_eq!(ids(&findings(&host, "--iface tap0")), [""; 0]);
}

fn veth_native() {
    let good = Good::with("--mode native");
    assert_eq!(ids(&findings(&good.host, "")), ["veth_native"]);
    drop(good.daemon);
    let _steering = good.host.start("--iface eth0 --steer inner");
    assert_eq!(ids(&findings(&good.host, "")), ["veth_native", "steered_veth"]);
}

fn no_route() {
    let good = Good::new();
    let add = "xgre tunnel add u --local 192.0.2.1 --remote 198.51.100.2";
    let found = good.breaks(add, "no_route");
    assert_eq!(found.subject, "u");
    let gateway = found.remedy.replace("GATEWAY", "192.0.2.2");
    good.types(&gateway);
    eventually("a good host", || findings(&good.host, "").is_empty());
    good.types("xgre tunnel del u");
    good.breaks("ip addr del 192.0.2.1/24 dev eth0", "local_address");
}

fn other_device() {
    let good = Good::new();
    veth((&good.host.ns, "eth1"), (&good.wire, "eth1"));
    good.types("ip addr add 203.0.113.1/24 dev eth1");
    good.types("ip neigh add 203.0.113.2 lladdr 02:00:00:00:00:ee dev eth1");
    let add = "xgre tunnel add u --local 192.0.2.1 --remote 203.0.113.2";
    let found = good.breaks(add, "no_uplink_there");
    assert_eq!(found.remedy, "xgre run --iface eth0 eth1");
}

fn recursive() {
    let good = Good::new();
    good.types("ip route add 198.51.100.2 dev blue0");
    let add = "xgre tunnel add u --local 192.0.2.1 --remote 198.51.100.2";
    let found = good.breaks(add, "recursive_route");
    assert!(found.cause.contains("blue0"), "{found:?}");
}

fn no_neighbour() {
    let good = Good::new();
    let add = "xgre tunnel add u --local 192.0.2.1 --remote 192.0.2.9";
    good.breaks(add, "neighbour");
    good.types("ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0");
    eventually("a good host", || findings(&good.host, "").is_empty());
}

/// The tunnel's address is on one uplink, and its packets leave by another.
fn strict() {
    let (host, wire) = underlay();
    veth((&host.ns, "eth1"), (&wire, "eth1"));
    host.ns.offload("eth1", "gro on");
    host.ns.exec("ethtool --set-channels eth1 rx 2");
    host.ns.ip("addr add 203.0.113.1/24 dev eth1");
    host.ns.ip("neigh add 203.0.113.2 lladdr 02:00:00:00:00:ee dev eth1");
    let _daemon = host.start("--iface eth0 eth1 --mode tc");
    tunnel(&host, "192.0.2.1", "203.0.113.2");
    assert_eq!(ids(&findings(&host, "")), [""; 0]);
    host.ns.sysctl("ipv4/conf/eth0/rp_filter", "1");
    let found = findings(&host, "");
    assert_eq!(ids(&found), ["uplink_rp_filter"]);
    assert!(found[0].remedy.contains("net.ipv4.conf.eth0.rp_filter=2"), "{found:?}");
    host.ns.sysctl("ipv4/conf/eth0/rp_filter", "2");
    assert_eq!(ids(&findings(&host, "")), [""; 0]);
}
