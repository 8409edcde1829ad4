//! The way to a remote address, where IPv6 takes part: what `tunnel list` says of it.

use serde_json::{Value, json};
use testbed::{Daemon, Host, Netns, Ping, suite::Case, veth};

use crate::setup::{add_tenant, eventually, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("next hop over IPv6: a neighbour comes, moves and goes", neighbour),
        Case::new("next hop over IPv6: a route by a link-local gateway, and others", routes),
        Case::new("next hop over IPv6: the local address goes and comes", local_address),
        Case::new("next hop over IPv6: the MTU of link and route", mtus),
        Case::new("next hop over IPv6: none through the tunnel's own port", own_port),
        Case::new("next hop over IPv4 by an IPv6 gateway", ipv4_by_ipv6_gateway),
        Case::new("a path MTU that the kernel learned, believed or not", learned_mtu),
    ]
}

const LOCAL: &str = "2001:db8:1::1";
const NEIGHBOUR: &str = "2001:db8:1::fe";
const FAR: &str = "2001:db8:2::2";

/// A host and its neighbour, which is also a gateway: `eth0` and `gw0`.
fn wired() -> (Host, Netns, Daemon) {
    let (host, gateway) = (Host::new(), Netns::new());
    veth((&host.ns, "eth0"), (&gateway, "gw0"));
    // Neighbours are asked from a link-local address (RFC 4861 section 4.3).
    for address in [LOCAL, "fe80::1"] {
        host.ns.ip(&format!("addr add {address}/64 dev eth0 nodad"));
    }
    for address in [NEIGHBOUR, "fe80::fe"] {
        gateway.ip(&format!("addr add {address}/64 dev gw0 nodad"));
    }
    let daemon = host.start("--iface eth0 --mode tc");
    (host, gateway, daemon)
}

fn next_hop(host: &Host) -> Value {
    host.json("tunnel show t")["tunnels"][0]["next_hop"].clone()
}

#[track_caller]
fn becomes(host: &Host, expected: &Value) {
    let is_so = |found: &Value| {
        let mut fields = expected.as_object().expect("an object").iter();
        fields.all(|(name, value)| found[name] == *value)
    };
    eventually(&format!("{expected}, last {}", next_hop(host)), || is_so(&next_hop(host)));
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn neighbour() {
    let (host, gateway, _daemon) = wired();
    tunnel(&host, LOCAL, NEIGHBOUR);
    let resolved = |mac: &str| json!({"state": "resolved", "address": NEIGHBOUR, "mac": mac});
    becomes(&host, &resolved(&text(gateway.mac("gw0"))));
    gateway.ip("link set gw0 address 02:00:00:00:00:99");
    host.ns.ip(&format!("neigh replace {NEIGHBOUR} lladdr 02:00:00:00:00:99 dev eth0"));
    becomes(&host, &resolved("02:00:00:00:00:99"));
    gateway.ip("link set gw0 address 02:00:00:00:00:98");
    host.ns.ip(&format!("neigh del {NEIGHBOUR} dev eth0"));
    becomes(&host, &resolved("02:00:00:00:00:98"));
    gateway.ip(&format!("addr del {NEIGHBOUR}/64 dev gw0"));
    host.ns.ip(&format!("neigh change {NEIGHBOUR} nud failed dev eth0"));
    becomes(&host, &json!({"state": "unresolved", "address": NEIGHBOUR, "mac": null}));
}

fn routes() {
    let (host, gateway, _daemon) = wired();
    let mac = text(gateway.mac("gw0"));
    tunnel(&host, LOCAL, FAR);
    becomes(&host, &json!({"state": "no_route", "address": null}));
    host.ns.ip("route add 2001:db8:2::/64 via fe80::fe dev eth0");
    becomes(&host, &json!({"state": "resolved", "address": "fe80::fe", "mac": mac}));
    host.ns.ip(&format!("route replace 2001:db8:2::/64 via {NEIGHBOUR}"));
    becomes(&host, &json!({"state": "resolved", "address": NEIGHBOUR, "mac": mac}));
    host.ns.ip("-6 rule add to 2001:db8:2::/64 unreachable");
    becomes(&host, &json!({"state": "no_route"}));
    host.ns.ip("-6 rule del to 2001:db8:2::/64 unreachable");
    becomes(&host, &json!({"state": "resolved"}));
    host.ns.ip("route replace blackhole 2001:db8:2::/64");
    becomes(&host, &json!({"state": "no_route"}));
}

fn local_address() {
    let (host, _gateway, _daemon) = wired();
    let added = host.xgre(&format!("tunnel add t --local 2001:db8:1::7 --remote {NEIGHBOUR}"));
    let warning = "2001:db8:1::7 is no address of this host";
    assert!(added.status.success() && added.stderr.contains(warning), "{added}");
    becomes(&host, &json!({"state": "no_route"}));
    host.ns.ip("addr add 2001:db8:1::7/64 dev eth0 nodad");
    becomes(&host, &json!({"state": "resolved"}));
    host.ns.ip("addr del 2001:db8:1::7/64 dev eth0");
    becomes(&host, &json!({"state": "no_route"}));
}

fn mtus() {
    let (host, _gateway, _daemon) = wired();
    host.ns.ip("route add 2001:db8:2::/64 via fe80::fe dev eth0");
    tunnel(&host, LOCAL, FAR);
    becomes(&host, &json!({"mtu": 1500}));
    host.ns.ip("route replace 2001:db8:2::/64 via fe80::fe dev eth0 mtu 1400");
    becomes(&host, &json!({"mtu": 1400}));
    host.ns.ip("route replace 2001:db8:2::/64 via fe80::fe dev eth0");
    becomes(&host, &json!({"mtu": 1500}));
    // As a router's advertisement does; the kernel does not announce it, but the next change tells.
    host.ns.sysctl("ipv6/conf/eth0/mtu", "1280");
    host.ns.ip("addr add 2001:db8:1::7/64 dev eth0 nodad");
    becomes(&host, &json!({"mtu": 1280}));
    host.ns.ip("link set eth0 mtu 1450");
    becomes(&host, &json!({"mtu": 1450}));
    add_tenant(&host, "blue", "--key 10");
    // 40 of IPv6, 8 of keyed GRE.
    assert_eq!(host.ns.json("link show blue0")[0]["mtu"], 1450 - 48);
    host.xgre("tunnel add u --local 2001:db8:1::1 --remote 2001:db8:2::3 --csum --seq").ok();
    host.xgre("tenant add red --no-key --service l2 --tunnel u").ok();
    host.xgre("port add red red0 --create").ok();
    // 40 of IPv6, 12 of GRE with checksum and sequence number, 14 of Ethernet.
    assert_eq!(host.ns.json("link show red0")[0]["mtu"], 1450 - 66);
}

fn own_port() {
    let (host, _gateway, _daemon) = wired();
    host.ns.ip("route add 2001:db8:2::/64 via fe80::fe dev eth0");
    tunnel(&host, LOCAL, FAR);
    add_tenant(&host, "blue", "--key 10");
    inner_addresses(&host.ns, "blue0", 1);
    becomes(&host, &json!({"state": "resolved"}));
    host.ns.ip(&format!("route add {FAR}/128 dev blue0"));
    becomes(&host, &json!({"state": "no_route"}));
    host.ns.ip(&format!("route del {FAR}/128 dev blue0"));
    becomes(&host, &json!({"state": "resolved"}));
}

/// RFC 8950: a network of IPv6 carries routes of IPv4.
fn ipv4_by_ipv6_gateway() {
    let (here, gateway, there) = (Host::new(), Netns::new(), Host::new());
    gateway.sysctl("ipv4/ip_forward", "1");
    veth((&here.ns, "eth0"), (&gateway, "gw0"));
    veth((&there.ns, "eth0"), (&gateway, "gw1"));
    for (host, device, address) in [(&here, "gw0", "192.0.2.1"), (&there, "gw1", "198.51.100.2")] {
        host.ns.ip("addr add fe80::1/64 dev eth0 nodad");
        host.ns.ip(&format!("addr add {address}/32 dev eth0"));
        host.ns.ip("-4 route add default via inet6 fe80::fe dev eth0");
        gateway.ip(&format!("addr add fe80::fe/64 dev {device} nodad"));
        gateway.ip(&format!("route add {address}/32 via inet6 fe80::1 dev {device}"));
    }
    let _daemons = [&here, &there].map(|host| host.start("--iface eth0 --mode tc"));
    for (host, local, remote, end) in
        [(&here, "192.0.2.1", "198.51.100.2", 1), (&there, "198.51.100.2", "192.0.2.1", 2)]
    {
        tunnel(host, local, remote);
        add_tenant(host, "blue", "--key 10");
        inner_addresses(&host.ns, "blue0", end);
    }
    Ping::to("10.9.0.2").all_answered(&here.ns);
    let mac = text(gateway.mac("gw0"));
    becomes(&here, &json!({"state": "resolved", "address": "fe80::fe", "mac": mac}));
    Ping::to("10.9.0.2").all_answered(&here.ns);
}

/// The way behind the gateway is narrower, and the kernel has learned it from the gateway's ICMP error.
fn learned_mtu() {
    let (host, gateway, far) = (Host::new(), Netns::new(), Netns::new());
    gateway.sysctl("ipv4/ip_forward", "1");
    gateway.sysctl("ipv6/conf/all/forwarding", "1");
    veth((&host.ns, "eth0"), (&gateway, "gw0"));
    veth((&gateway, "gw1"), (&far, "eth0"));
    for (ns, device, address) in [
        (&host.ns, "eth0", "192.0.2.1/24"),
        (&gateway, "gw0", "192.0.2.254/24"),
        (&gateway, "gw1", "198.51.100.254/24"),
        (&far, "eth0", "198.51.100.2/24"),
        (&host.ns, "eth0", "2001:db8:1::1/64"),
        (&host.ns, "eth0", "fe80::1/64"),
        (&gateway, "gw0", "2001:db8:1::fe/64"),
        (&gateway, "gw1", "2001:db8:2::fe/64"),
        (&far, "eth0", "2001:db8:2::2/64"),
    ] {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        ns.ip(&format!("addr add {address} dev {device} {nodad}"));
    }
    host.ns.ip("route add default via 192.0.2.254");
    host.ns.ip("route add default via 2001:db8:1::fe");
    far.ip("route add default via 198.51.100.254");
    far.ip("route add default via 2001:db8:2::fe");
    gateway.ip("link set gw1 mtu 1400");
    for (local, remote) in [("192.0.2.1", "198.51.100.2"), ("2001:db8:1::1", FAR)] {
        Ping::to(remote).size(1440).dont_fragment().times(2, 100).run(&host.ns);
        let daemon = host.start("--iface eth0 --mode tc");
        tunnel(&host, local, remote);
        becomes(&host, &json!({"mtu": 1400}));
        host.xgre("tunnel del t").ok();
        let tunnel = format!("--local {local} --remote {remote} --pmtudisc off");
        host.xgre(&format!("tunnel add t {tunnel}")).ok();
        becomes(&host, &json!({"mtu": 1500}));
        host.xgre("tunnel del t").ok();
        daemon.stop();
    }
}
