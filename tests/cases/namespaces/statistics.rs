//! Every packet that enters a hook is counted once.

use serde_json::Value;
use testbed::{
    capture::send_frames,
    packet::{ETHERNET, Gre, IPV4, IPV6, Udp, arp},
    suite::Case,
    topology::sensor,
};

use crate::setup::{Mode, add_tenant, count, eventually, total, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        let name = format!("sums balance at the uplink, {mode}");
        cases.push(Case::new(name, move || uplink_balances(mode)));
    }
    cases.push(Case::new("sums balance at a port", port_balances));
    cases
}

/// Frames of every sort, each to be sent this many times.
const TIMES: u64 = 7;

pub fn every_sort(host_mac: [u8; 6]) -> Vec<Vec<u8>> {
    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip();
    let inner6 = Udp::new("fd09::2", "fd09::1", b"payload").ip();
    let blue = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner.clone()).key(10).to_mac(host_mac);
    let packets = [
        blue.clone(),
        blue.clone().carrying(IPV6, inner6),
        blue.clone().vlan(0x8100, 5),
        blue.clone().options(2),
        blue.clone().pad_to(128),
        blue.clone().tos(3),
        blue.clone().key(11),
        blue.clone().from("192.0.2.9"),
        blue.clone().to("192.0.2.7"),
        blue.clone().carrying(ETHERNET, arp([2; 6])),
        blue.clone().carrying(IPV6, inner.clone()),
        blue.clone().carrying(0x1234, inner.clone()),
        blue.clone().carrying(0x8847, inner),
        blue.clone().flags(1),
        blue.clone().flags(2),
        blue.clone().flags(0x4000),
        blue.clone().flags(0x0200),
        blue.clone().checksum(),
        blue.clone().sequence(1),
        blue.clone().fragment(0x2000),
        blue.clone().total_len(2000),
        blue.clone().bad_ip_checksum(),
        blue.ip_protocol(17),
    ];
    let mut frames: Vec<_> = packets.iter().map(Gre::build).collect();
    frames.push(arp([2; 6]));
    frames.push(Udp::new("192.0.2.2", "192.0.2.1", b"plain").ethernet(host_mac, [2; 6]));
    frames.push(Udp::new("fd09::2", "fd09::1", b"plain").ethernet(host_mac, [2; 6]));
    frames
}

fn uplink_balances(mode: Mode) {
    let (host, wire) = sensor();
    let _daemon = host.start(&format!("--iface eth0 --mode {mode}"));
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    let frames = every_sort(host.ns.mac("eth0"));
    let all = (0..TIMES).flat_map(|_| frames.iter().map(Vec::as_slice));
    send_frames(&wire, "eth0", all);

    let sent = TIMES * frames.len() as u64;
    let accounted = || {
        let stats = host.json("stats");
        (first_hook(&stats), stats)
    };
    eventually("every frame accounted for", || accounted().0 >= sent);
    let (counted, stats) = accounted();
    assert_eq!(counted, sent, "{stats}");
    assert_eq!(count(&stats, "/tenants/0/rx/packets"), 8 * TIMES, "delivered: {stats}");
}

/// What the hook that sees frames first did with them. What it leaves to the second is counted there.
fn first_hook(stats: &Value) -> u64 {
    let tenant = &stats["tenants"][0];
    let hook = &stats["uplinks"][0]["hooks"][0];
    let delivered = count(tenant, "/rx/packets") + total(&tenant["drops"]);
    delivered + total(&hook["passed"]) + total(&hook["drops"]) - count(hook, "/passed/left_to_tc")
}

fn port_balances() {
    let (host, wire) = sensor();
    host.ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
    host.ns.ip(&format!("neigh add 192.0.2.2 lladdr {} dev eth0", "02:00:00:00:00:ee"));
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    let udp = |payload: usize| Udp::new("10.9.0.1", "10.9.0.2", &vec![0; payload]);
    let frames = [
        udp(100).ethernet([2; 6], [3; 6]),
        Udp::new("fd09::1", "fd09::2", b"six").ethernet([2; 6], [3; 6]),
        udp(100).ttl(0).ethernet([2; 6], [3; 6]),
        arp([3; 6]),
    ];
    let all = (0..TIMES).flat_map(|_| frames.iter().map(Vec::as_slice));
    send_frames(&host.ns, "blue0", all);
    let sent = TIMES * frames.len() as u64;
    let accounted = |stats: &Value| {
        let (tenant, port) = (&stats["tenants"][0], &stats["ports"][0]);
        let counted = count(tenant, "/tx/packets") + total(&tenant["drops"]);
        counted + total(&port["passed"]) + total(&port["drops"])
    };
    eventually("every frame accounted for", || accounted(&host.json("stats")) >= sent);
    let stats = host.json("stats");
    assert_eq!(accounted(&stats), sent, "{stats}");
    assert_eq!(count(&stats, "/tenants/0/tx/packets"), 2 * TIMES, "{stats}");
    drop(wire);
}
