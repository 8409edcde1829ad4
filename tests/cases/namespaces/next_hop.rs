//! The way to the remote address changes, and the headers follow.

use testbed::{Capture, Host, Netns, Ping, suite::Case, veth};

use crate::setup::{Mode, Pair, Service, add_tenant, count, eventually, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("the remote's MAC address changes", mac_changes),
        Case::new("a route comes, goes and moves", route_changes),
        Case::new("the uplink's MTU changes", mtu_changes),
        Case::new("a port's device is deleted", port_deleted),
        Case::new("the uplink is deleted and comes back", uplink_returns),
    ]
}

fn answered(host: &Host, address: &str) -> bool {
    Ping::to(address).times(1, 10).run(&host.ns).received == 1
}

fn mac_changes() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    two.ns.ip("link set eth0 address 02:00:00:00:00:99");
    one.ns.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:99 dev eth0");
    eventually("a ping to the new address", || answered(&one, "10.9.0.2"));
    one.ns.ip("neigh flush dev eth0");
    Ping::to("10.9.0.2").times(5, 200).all_answered(&one.ns);
}

/// One wire from here to the gateway, another beside it, and a third from the gateway to the far host.
fn route_changes() {
    let (here, gateway, there) = (Host::new(), Netns::new(), Host::new());
    gateway.sysctl("ipv4/ip_forward", "1");
    for ns in [&here.ns, &gateway, &there.ns] {
        ns.sysctl("ipv4/conf/default/rp_filter", "0");
        ns.sysctl("ipv4/conf/all/rp_filter", "0");
    }
    for (host, near, far, link) in [
        (&here, "eth0", "gw0", ("192.0.2.1/24", "192.0.2.254/24")),
        (&here, "eth1", "gw1", ("203.0.113.1/24", "203.0.113.254/24")),
        (&there, "eth0", "gw2", ("198.51.100.2/24", "198.51.100.254/24")),
    ] {
        veth((&host.ns, near), (&gateway, far));
        host.ns.ip(&format!("addr add {} dev {near}", link.0));
        gateway.ip(&format!("addr add {} dev {far}", link.1));
    }
    there.ns.ip("route add default via 198.51.100.254");
    let _daemons = [here.start("--iface eth0 --iface eth1"), there.start("--iface eth0")];
    for (host, local, remote, end) in
        [(&here, "192.0.2.1", "198.51.100.2", 1), (&there, "198.51.100.2", "192.0.2.1", 2)]
    {
        tunnel(host, local, remote);
        add_tenant(host, "blue", "--key 10");
        inner_addresses(&host.ns, "blue0", end);
    }
    let no_route = || count(&here.tenant_stats("blue"), "/drops/no_route");
    Ping::to("10.9.0.2").unanswered(&here.ns);
    assert!(no_route() >= 3, "{}", here.tenant_stats("blue"));

    here.ns.ip("route add 198.51.100.0/24 via 192.0.2.254");
    eventually("an answer by the first way", || answered(&here, "10.9.0.2"));
    let leaves_by = |device: &str| {
        let link = here.ns.json(&format!("-statistics link show {device}"));
        count(&link[0], "/stats64/tx/packets")
    };
    here.ns.ip("route replace 198.51.100.0/24 via 203.0.113.254");
    eventually("an answer by the second way", || {
        let before = leaves_by("eth1");
        answered(&here, "10.9.0.2") && leaves_by("eth1") > before
    });

    here.ns.ip("route del 198.51.100.0/24");
    let before = no_route();
    eventually("no route again", || !answered(&here, "10.9.0.2") && no_route() > before);
}

fn mtu_changes() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Native);
    let large = Ping::to("10.9.0.2").size(1440);
    // Those sent, and the longest of them.
    let large_on_wire = || {
        let wire = Capture::start(&one.ns, "eth0");
        large.run(&one.ns);
        let sent = wire.stop().into_iter().filter(|frame| frame.outgoing && frame.gre().is_some());
        let lengths: Vec<_> = sent.map(|frame| frame.bytes.len()).collect();
        (lengths.len(), lengths.into_iter().max().expect("a packet"))
    };
    let whole = 14 + 28 + 28 + 1440;
    assert_eq!(large_on_wire(), (3, whole));
    // Only here: the far end goes on answering in one piece, which this end does not take meanwhile.
    for (mtu, expected) in [(1300, (6, 14 + 1300)), (1500, (3, whole))] {
        one.ns.ip(&format!("link set eth0 mtu {mtu}"));
        let noticed = || count(&one.json("tunnel show t"), "/tunnels/0/next_hop/mtu");
        eventually("a tunnel that has noticed", || noticed() == mtu);
        let (packets, longest) = large_on_wire();
        // Fragments end at multiples of eight bytes.
        assert!(packets == expected.0 && expected.1 - longest < 8, "{packets}, {longest}");
    }
    large.all_answered(&one.ns);
    drop(two);
}

fn port_deleted() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Native);
    one.ns.ip("link del blue0");
    eventually("a daemon that noticed", || one.json("port list")["ports"] == serde_json::json!([]));
    Ping::to("10.9.0.1").unanswered(&two.ns);
    let drops = &one.tenant_stats("blue")["drops"];
    assert!(crate::setup::total(drops) >= 3, "{drops}");
    one.xgre("port add blue blue0 --create").ok();
    inner_addresses(&one.ns, "blue0", 1);
    Ping::to("10.9.0.1").all_answered(&two.ns);
}

fn uplink_returns() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    one.ns.ip("link del eth0");
    Ping::to("10.9.0.2").unanswered(&one.ns);
    veth((&one.ns, "eth0"), (&two.ns, "eth0"));
    one.ns.ip("addr add 192.0.2.1/24 dev eth0");
    two.ns.ip("addr add 192.0.2.2/24 dev eth0");
    eventually("an answer by the new device", || answered(&one, "10.9.0.2"));
    for host in [&one, &two] {
        assert_eq!(host.uplink_stats("eth0")["mode"], "native");
    }
}
