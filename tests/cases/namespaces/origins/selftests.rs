//! Linux: `tools/testing/selftests`.

use testbed::{
    Capture, Frame, Host, Netns, Ping,
    packet::Udp,
    send_frame,
    suite::{Case, Need},
    topology::wired,
    traffic::tcp,
    veth,
};

use super::{V4, V6, ends, tunnel_between};
use crate::setup::{
    Mode, Pair, Service, Tunnel, add_tenant, any_port, count, eventually, inner_addresses,
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for other in [Other::Xgre, Other::Kernel] {
        let mut add = |name: String, device, run: Box<dyn FnOnce() + Send>| {
            let case = Case::new(format!("kernel selftest {name}, {}", other.name()), run);
            let case = if other == Other::Kernel { case.needs(Need::Device(device)) } else { case };
            cases.push(case);
        };
        for kind in KINDS {
            let name = format!("bpf/test_tc_tunnel.sh: {}", kind.device);
            add(name, kind.device, Box::new(move || tc_tunnel(kind, other)));
        }
        add("net/gre_gso.sh".to_owned(), "ip6gre", Box::new(move || gre_gso(other)));
        for is_flat in [true, false] {
            for keys in FORWARDING_KEYS {
                let model = if is_flat { "flat" } else { "hier" };
                let name = format!("net/forwarding/ipip_{model}_gre{}.sh", keys.name);
                add(name, "gre", Box::new(move || forwarding(keys, is_flat, other)));
            }
        }
    }
    for tunnel in TUNNELS {
        let (name, other) = (tunnel.name, Other::Kernel.name());
        let name = format!("kernel selftest bpf/test_tunnel.sh: {name}, {other}");
        let case = Case::new(name, move || metadata_tunnel(tunnel));
        cases.push(case.needs(Need::Device(tunnel.kind.device)));
    }
    for service in Service::ALL {
        let name = format!("kernel selftest net/ip6_gre_headroom.sh: {service}");
        cases.push(Case::new(name, move || headroom(service)));
    }
    cases.push(Case::new("kernel selftest bpf/prog_tests/xdp_link.c", xdp_link));
    cases
}

/// What is at the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Xgre,
    Kernel,
}

impl Other {
    const fn name(self) -> &'static str {
        match self {
            Self::Xgre => "xgre at both ends",
            Self::Kernel => "a kernel device at the other end",
        }
    }
}

/// A kind of tunnel.
#[derive(Clone, Copy)]
struct Kind {
    device: &'static str,
    underlay: [&'static str; 2],
    service: Service,
}

const GRE: Kind = Kind { device: "gre", underlay: V4, service: Service::L3 };
const GRETAP: Kind = Kind { device: "gretap", underlay: V4, service: Service::L2 };
const IP6GRE: Kind = Kind { device: "ip6gre", underlay: V6, service: Service::L3 };
const IP6GRETAP: Kind = Kind { device: "ip6gretap", underlay: V6, service: Service::L2 };

const KINDS: [Kind; 4] = [GRE, GRETAP, IP6GRE, IP6GRETAP];

/// Adds `blue0` at the second end.
fn other_end(other: Other, host: &Host, kind: Kind) -> Option<testbed::Daemon> {
    let [remote, local] = kind.underlay;
    let daemon = match other {
        Other::Xgre => {
            let daemon = host.start("--iface eth0 --mode tc");
            tunnel_between(host, [local, remote], "");
            add_tenant(host, "blue", &format!("--no-key --service {}", kind.service));
            Some(daemon)
        }
        Other::Kernel => {
            let device = kind.device;
            host.ns.ip(&format!("link add blue0 type {device} local {local} remote {remote}"));
            None
        }
    };
    inner_addresses(&host.ns, "blue0", 2);
    daemon
}

/// What is encapsulated arrives nowhere until somebody decapsulates it; then small packets and large ones do. (The original's
/// MPLS is nothing that xgre carries.)
fn tc_tunnel(kind: Kind, other: Other) {
    let (one, two) = ends(kind.underlay);
    let _daemon = one.start("--iface eth0 --mode tc");
    tunnel_between(&one, kind.underlay, "");
    add_tenant(&one, "blue", &format!("--no-key --service {}", kind.service));
    inner_addresses(&one.ns, "blue0", 1);
    Ping::to(kind.underlay[1]).all_answered(&one.ns);
    let wire = Capture::start(&two.ns, "eth0");
    Ping::to("10.9.0.2").unanswered(&one.ns);
    let sent = wire.stop().iter().filter(|frame| !frame.outgoing && frame.gre().is_some()).count();
    assert!(sent > 0, "nothing was encapsulated");

    let _other = other_end(other, &two, kind);
    for address in ["10.9.0.2", "fd09::2"] {
        // What nobody answered before is unreachable for a while.
        eventually("a way", || Ping::to(address).times(1, 100).run(&one.ns).received == 1);
        for len in [100, 2000] {
            tcp(&one.ns, (&two.ns, any_port(address)), len);
        }
    }
}

/// A file over TCP, in packets that the device segments and in such that the stack does. (The original's tunnel is between
/// link-local addresses, which xgre refuses.)
fn gre_gso(other: Other) {
    const LEN: usize = 2 << 20;
    let (one, two) = ends(V6);
    let _daemon = one.start("--iface eth0 --mode tc");
    tunnel_between(&one, V6, "");
    add_tenant(&one, "blue", "--no-key");
    inner_addresses(&one.ns, "blue0", 1);
    let _other = other_end(other, &two, IP6GRE);
    for tso in ["on", "off"] {
        one.ns.offload("eth0", &format!("tso {tso}"));
        for address in ["10.9.0.2", "fd09::2"] {
            tcp(&one.ns, (&two.ns, any_port(address)), LEN);
        }
    }
}

/// A tunnel of the test.
#[derive(Clone, Copy)]
struct MetadataTunnel {
    name: &'static str,
    kind: Kind,
    linux: &'static str,
    key: &'static str,
}

const TUNNELS: [MetadataTunnel; 5] = [
    MetadataTunnel { name: "gre", kind: GRE, linux: "seq key 2", key: "--key 2" },
    MetadataTunnel { name: "gre_no_key", kind: GRE, linux: "seq", key: "--no-key" },
    MetadataTunnel {
        name: "ip6gre",
        kind: IP6GRE,
        linux: "seq flowlabel 0xbcdef key 2",
        key: "--key 2",
    },
    MetadataTunnel {
        name: "ip6gretap",
        kind: IP6GRETAP,
        linux: "seq flowlabel 0xbcdef key 2",
        key: "--key 2",
    },
    MetadataTunnel { name: "gretap", kind: GRETAP, linux: "seq key 2", key: "--key 2" },
];

/// A kernel device that counts packets and wants them counted; pings from both ends.
fn metadata_tunnel(tunnel: MetadataTunnel) {
    let MetadataTunnel { kind, linux, key, .. } = tunnel;
    let (one, two) = ends(kind.underlay);
    let _daemon = one.start("--iface eth0");
    tunnel_between(&one, kind.underlay, "--seq");
    add_tenant(&one, "blue", &format!("{key} --service {}", kind.service));
    inner_addresses(&one.ns, "blue0", 1);
    let ([remote, local], device) = (kind.underlay, kind.device);
    two.ns.ip(&format!("link add blue0 type {device} {linux} local {local} remote {remote}"));
    inner_addresses(&two.ns, "blue0", 2);
    eventually("the wire", || Ping::to(local).times(1, 100).run(&one.ns).received == 1);
    for (from, addresses) in [(&one, ["10.9.0.2", "fd09::2"]), (&two, ["10.9.0.1", "fd09::1"])] {
        for address in addresses {
            // Where a packet of the device's own overtakes a request on another CPU, the request is out of sequence (RFC 2890).
            eventually("every reply", || Ping::to(address).run(&from.ns).received == 3);
        }
    }
}

/// A packet with as little room in front of it as a packet socket leaves, into the longest headers there are.
fn headroom(service: Service) {
    let tunnel = Tunnel::v6("--csum --seq", 8);
    let Pair { one, two, daemons: _daemons } = Pair::blue_over(tunnel, service, Mode::Tc);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let (mark, port) = (b"little room in front", Capture::start(&two.ns, "blue0"));
    let frame = Udp::new("10.9.0.1", "10.9.0.2", mark).ethernet(two.ns.mac("blue0"), [2; 6]);
    send_frame(&one.ns, "blue0", &frame);
    let is_it = |frame: &&Frame| !frame.outgoing && frame.contains(mark);
    assert_eq!(port.stop().iter().filter(is_it).count(), 1);
}

/// Keys of the first switch and of the second.
#[derive(Clone, Copy)]
struct ForwardingKeys {
    name: &'static str,
    xgre: [&'static str; 2],
    linux: &'static str,
}

const FORWARDING_KEYS: [ForwardingKeys; 3] = [
    ForwardingKeys { name: "", xgre: ["--no-key"; 2], linux: "" },
    ForwardingKeys { name: "_key", xgre: ["--key 233"; 2], linux: "key 233" },
    ForwardingKeys {
        name: "_keys",
        xgre: ["--in-key 111 --out-key 222", "--in-key 222 --out-key 111"],
        linux: "ikey 222 okey 111",
    },
];

/// The device behind a created port, which carries the program.
fn peer_of_port(ns: &Netns) -> Option<String> {
    ns.json("link show blue0")[0]["link"].as_str().map(str::to_owned)
}

/// Where the ends of the tunnel are, and the addresses of the wire between the switches.
const LOOPBACKS: [&str; 2] = ["192.0.2.65", "192.0.2.66"];
const WIRE: [&str; 2] = ["192.0.2.129", "192.0.2.130"];
/// A host, its switch, and its network.
const SITES: [(&str, &str, &str); 2] =
    [("192.0.2.1", "192.0.2.2", "192.0.2.0/28"), ("192.0.2.18", "192.0.2.17", "192.0.2.16/28")];

/// Two hosts behind two switches, which forward into the tunnel by routes: among those of the underlay (flat), or in a routing
/// domain of their own (hierarchical; a namespace, as tenants have, where the original has a VRF). Then a packet that
/// does not fit, until every MTU on the way is larger.
fn forwarding(keys: ForwardingKeys, is_flat: bool, other: Other) {
    let (one, two) = wired(["192.0.2.129/28", "192.0.2.130/28"]);
    let switches = [&one, &two];
    let hosts = [Netns::new(), Netns::new()];
    let own = [Netns::new(), Netns::new()];
    let mut daemons = Vec::new();
    for (here, switch) in switches.into_iter().enumerate() {
        let there = 1 - here;
        let (local, remote) = (LOOPBACKS[here], LOOPBACKS[there]);
        switch.ns.ip(&format!("addr add {local}/32 dev lo"));
        switch.ns.ip(&format!("route add {remote}/32 via {}", WIRE[there]));
        if here == 1 && other == Other::Kernel {
            let keys = keys.linux;
            let tunnel = format!("type gre local {local} remote {remote} tos inherit {keys}");
            switch.ns.ip(&format!("link add blue0 {tunnel}"));
        } else {
            daemons.push(switch.start("--iface eth0"));
            tunnel_between(switch, [local, remote], "--tos inherit");
            add_tenant(switch, "blue", keys.xgre[here]);
        }
    }
    let behind = switches.map(|switch| peer_of_port(&switch.ns));
    let overlays: [&Netns; 2] = [0, 1].map(|n| if is_flat { &switches[n].ns } else { &own[n] });
    for (here, overlay) in overlays.into_iter().enumerate() {
        let (address, gateway, _) = SITES[here];
        if !is_flat {
            switches[here].ns.ip(&format!("link set blue0 netns {}", overlay.path()));
        }
        veth((&hosts[here], "eth0"), (overlay, "host0"));
        hosts[here].ip(&format!("addr add {address}/28 dev eth0"));
        hosts[here].ip(&format!("route add default via {gateway}"));
        overlay.ip(&format!("addr add {gateway}/28 dev host0"));
        overlay.ip("link set blue0 up");
        let (_, _, far) = SITES[1 - here];
        overlay.ip(&format!("route add {far} dev blue0"));
        overlay.sysctl("ipv4/ip_forward", "1");
    }
    let ping = Ping::to(SITES[1].0);
    eventually("a way", || ping.times(1, 100).run(&hosts[0]).received == 1);
    ping.all_answered(&hosts[0]);
    let large = ping.size(1800).dont_fragment();
    large.unanswered(&hosts[0]);
    for here in [0, 1] {
        hosts[here].ip("link set eth0 mtu 2000");
        overlays[here].ip("link set host0 mtu 2000");
        overlays[here].ip("link set blue0 mtu 1900");
        switches[here].ns.ip("link set eth0 mtu 2000");
        if let Some(device) = &behind[here] {
            switches[here].ns.ip(&format!("link set {device} mtu 1900"));
            // Told before that its packet does not fit, the sender would believe it for minutes.
            let hop_mtu =
                || count(&switches[here].json("tunnel show t"), "/tunnels/0/next_hop/mtu");
            eventually("a tunnel that has noticed", || hop_mtu() == 2000);
        }
    }
    eventually("larger MTUs", || large.run(&hosts[0]).received == 3);
}

/// Nobody takes the link's place, by netlink or by a link of his own, and it is there for others when it is gone.
fn xdp_link() {
    let Pair { one, daemons: [daemon, _other], .. } = Pair::blue(Service::L3, Mode::Native);
    let is_attached = || one.ns.json("link show eth0")[0]["xdp"].is_object();
    let other = one.state().with_file_name("other");
    let start = format!("--state {} run --iface eth0 --mode native", other.display());
    for _ in 0..2 {
        assert!(!one.ns.exec("ip link set dev eth0 xdp off").status.success());
        assert!(one.xgre(&start).err().contains("eth0"));
        assert!(is_attached());
        Ping::to("10.9.0.2").all_answered(&one.ns);
    }
    daemon.stop();
    assert!(!is_attached());
    let _daemon = one.start("--iface eth0 --mode native");
    assert!(is_attached());
    Ping::to("10.9.0.2").all_answered(&one.ns);
}
