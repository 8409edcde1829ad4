//! What routers say of the underlay's path.

use std::path::Path;

use serde_json::{Value, json};
use testbed::{
    Daemon, Host, Netns, Ping,
    packet::{Gre, IPV4, PEER_MAC, Udp, internet_checksum},
    send_frame,
    suite::Case,
    veth,
};

use crate::setup::{add_tenant, count, eventually, inner_addresses};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("a router's smaller link becomes the tunnel's MTU, over IPv4", || learned(&V4)),
        Case::new("a router's smaller link becomes the tunnel's MTU, over IPv6", || learned(&V6)),
        Case::new("with --pmtudisc off it does not", not_believed),
        Case::new("ICMP errors about packets that no tunnel sent change nothing", forged),
    ]
}

/// Two links, and a router in the middle: its addresses end in 254, those of the hosts in 1.
struct Underlay {
    links: [&'static str; 2],
    prefix: u8,
    mtu: u32,
}

const V4: Underlay = Underlay { links: ["198.51.100.", "203.0.113."], prefix: 24, mtu: 1400 };
const V6: Underlay = Underlay { links: ["2001:db8:1::", "2001:db8:2::"], prefix: 64, mtu: 1400 };

struct Setup {
    one: Host,
    two: Host,
    router: Netns,
    daemons: [Daemon; 2],
}

impl Underlay {
    /// The link to the second host is the one with the small MTU.
    fn build(&self, tunnel_options: &str) -> Setup {
        let (one, two, router) = (Host::new(), Host::new(), Netns::new());
        router.sysctl("ipv4/ip_forward", "1");
        router.sysctl("ipv6/conf/all/forwarding", "1");
        for (number, (host, link)) in [&one, &two].into_iter().zip(self.links).enumerate() {
            let device = format!("link{number}");
            veth((&host.ns, "eth0"), (&router, &device));
            let nodad = if self.prefix == 64 { "nodad" } else { "" };
            host.ns.ip(&format!("addr add {link}1/{} dev eth0 {nodad}", self.prefix));
            router.ip(&format!("addr add {link}254/{} dev {device} {nodad}", self.prefix));
            // Neighbours are asked from a link-local address (RFC 4861 section 4.3).
            host.ns.ip("addr add fe80::1/64 dev eth0 nodad");
            router.ip(&format!("addr add fe80::fe/64 dev {device} nodad"));
            host.ns.ip(&format!("route add default via {link}254"));
        }
        for (ns, device) in [(&router, "link1"), (&two.ns, "eth0")] {
            ns.ip(&format!("link set {device} mtu {}", self.mtu));
        }
        let daemons = [&one, &two].map(|host| host.start("--iface eth0"));
        let ends = self.links.map(|link| format!("{link}1"));
        for (end, (host, [local, remote])) in
            (1..).zip([(&one, [&ends[0], &ends[1]]), (&two, [&ends[1], &ends[0]])])
        {
            let ends = format!("--local {local} --remote {remote}");
            host.xgre(&format!("tunnel add t {ends} {tunnel_options}")).ok();
            add_tenant(host, "blue", "--key 10");
            inner_addresses(&host.ns, "blue0", end);
        }
        let small = Ping::to("10.9.0.2").times(1, 10);
        eventually("an answer", || small.run(&one.ns).received == 1);
        Setup { one, two, router, daemons }
    }
}

fn tunnel(host: &Host) -> Value {
    host.json("tunnel show t")["tunnels"][0].clone()
}

/// An inner packet that fills the first link and not the second.
fn large() -> Ping<'static> {
    Ping::to("10.9.0.2").size(1400).times(1, 10).dont_fragment()
}

fn learned(underlay: &Underlay) {
    let Setup { one, two: _two, router: _router, daemons } = underlay.build("");
    assert_eq!(tunnel(&one)["path_mtu"], json!(null));
    large().unanswered(&one.ns);
    eventually("a smaller MTU", || {
        let tunnel = tunnel(&one);
        tunnel["path_mtu"] == underlay.mtu && tunnel["next_hop"]["mtu"] == underlay.mtu
    });
    // Another daemon knows it too.
    let [first, _second] = daemons;
    first.kill();
    let _first = one.start("--iface eth0");
    assert_eq!(tunnel(&one)["path_mtu"], underlay.mtu);
    assert_eq!(tunnel(&one)["next_hop"]["mtu"], underlay.mtu);
    // What does not fit is dropped here, and what fits arrives.
    large().unanswered(&one.ns);
    assert!(count(&one.tenant_stats("blue"), "/drops/packet_too_big") > 0);
    let fits = underlay.mtu as usize - 100;
    Ping::to("10.9.0.2").size(fits).dont_fragment().all_answered(&one.ns);
}

fn not_believed() {
    let Setup { one, two: _two, router: _router, daemons: _daemons } = V4.build("--pmtudisc off");
    for _ in 0..3 {
        large().unanswered(&one.ns);
    }
    let tunnel = tunnel(&one);
    assert_eq!((&tunnel["path_mtu"], &tunnel["next_hop"]["mtu"]), (&json!(null), &json!(1500)));
    assert_eq!(count(&one.tenant_stats("blue"), "/drops/packet_too_big"), 0);
}

fn forged() {
    let Setup { one, two: _two, router, daemons: _daemons } = V4.build("");
    let inner = Udp::new("10.9.0.1", "10.9.0.2", &[0; 1400]).ip();
    let sent = Gre::new("198.51.100.1", "203.0.113.1", IPV4, inner).key(10);
    let mac = one.ns.mac("eth0");
    for (mtu, quoted) in [
        (600, sent.clone().from("198.51.100.2")),
        (600, sent.clone().to("203.0.113.2")),
        (600, sent.clone().from("203.0.113.1").to("198.51.100.1")),
        (600, sent.clone().key(11)),
        (600, sent.clone().ip_protocol(17)),
        (600, sent.clone().payload(vec![0; 500])),
        // This one it sent.
        (900, sent),
    ] {
        send_frame(&router, "link0", &too_big(mac, mtu, &quoted.build()[14..]));
    }
    eventually("the true one", || tunnel(&one)["path_mtu"] != json!(null));
    assert_eq!(tunnel(&one)["path_mtu"], 900);
    // Linux with GRE of its own believes everybody who quotes some GRE (`gre_err`), and that is part of the route.
    let believed = if Path::new("/sys/module/ip_gre").exists() { 600 } else { 900 };
    assert_eq!(tunnel(&one)["next_hop"]["mtu"], believed);
}

/// A router's ICMP message that quotes the beginning of a packet.
fn too_big(mac: [u8; 6], mtu: u16, packet: &[u8]) -> Vec<u8> {
    let mut icmp = [&[3, 4, 0, 0, 0, 0], &mtu.to_be_bytes()[..], &packet[..28]].concat();
    let sum = internet_checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0x45, 0, 0, (20 + icmp.len()) as u8, 0, 0, 0, 0, 64, 1, 0, 0];
    ip.extend([198, 51, 100, 254, 198, 51, 100, 1]);
    let sum = internet_checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&mac[..], &PEER_MAC, &IPV4.to_be_bytes(), &ip, &icmp].concat()
}
