//! Open vSwitch: `tests/system-traffic.at`, `tests/system-layer3-tunnels.at`, `tests/tunnel.at`.

use testbed::{
    Capture, Frame, Host, Netns, OpenVswitch, Ping,
    packet::{ETHERNET, Gre, IPV4, Udp, arp},
    send_frame,
    suite::Case,
    topology::{sensor, wired},
    traffic::{tcp, udp_echo},
};

use crate::{
    open_vswitch::{Datapath, LOCAL, REMOTE, add_bridge, ovs_end, xgre_end},
    setup::{Mode, add_tenant, any_port, count, eventually},
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (datapath, name) in
        [(Datapath::Userspace, "userspace datapath"), (Datapath::Kernel, "kernel datapath")]
    {
        let mut add = |what: &str, run: fn(Datapath)| {
            let name = format!("Open vSwitch's system-traffic.at: {what}, {name}");
            cases.push(Case::new(name, move || run(datapath)).needs(datapath.need()));
        };
        add("ping over gre tunnel", ping_over_gre);
        add("tcp over gre tunnel with software fallback", software_fallback);
    }
    let layer3 = "Open vSwitch's system-layer3-tunnels.at: ping over GRE";
    cases.push(Case::new(layer3, ping_over_layer3).needs(Datapath::Userspace.need()));
    let tunnel: [(&str, fn()); 5] = [
        ("input", input),
        ("ECN decapsulation", congestion),
        ("ToS and TTL inheritance", inheritance),
        ("key", key),
        ("key match", key_match),
    ];
    cases.extend(
        tunnel.map(|(name, run)| Case::new(format!("Open vSwitch's tunnel.at: {name}"), run)),
    );
    cases
}

/// Two hosts on one wire, the second for a switch.
fn hosts() -> (Host, Host) {
    wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")])
}

/// A switch whose bridge `inside`, 10.1.1.100, is joined to xgre's tenant, 10.1.1.1, without a key.
fn joined<'h>(
    (here, there): (&'h Host, &'h Host),
    datapath: Datapath,
    mtu: u32,
) -> (testbed::Daemon, OpenVswitch<'h>) {
    let ovs = ovs_end(there, datapath);
    add_bridge((there, &ovs), datapath, "inside", "");
    ovs.ofctl("add-flow inside actions=normal");
    let daemon = xgre_end(here, Mode::Native, "");
    add_tenant(here, "blue", "--no-key --service l2");
    here.ns.ip("addr add 10.1.1.1/24 dev blue0");
    there.ns.ip("addr add 10.1.1.100/24 dev inside");
    for (host, device) in [(here, "blue0"), (there, "inside")] {
        host.ns.ip(&format!("link set {device} mtu {mtu} up"));
    }
    eventually("the wire", || Ping::to(REMOTE).times(1, 100).run(&here.ns).received == 1);
    eventually("the tunnel", || Ping::to("10.1.1.100").times(1, 100).run(&here.ns).received == 1);
    (daemon, ovs)
}

fn ping_over_gre(datapath: Datapath) {
    let (here, there) = hosts();
    let _running = joined((&here, &there), datapath, 1462);
    for size in [0, 56, 1600, 3200] {
        Ping::to("10.1.1.100").times(3, 300).size(size).all_answered(&here.ns);
    }
    tcp(&here.ns, (&there.ns, any_port("10.1.1.100")), 60_000);
    udp_echo(&there.ns, (&here.ns, any_port("10.1.1.1")), &[0x5a; 600]);
}

/// Who sends has a wire without segmentation and without scattered buffers; each segment is whole, with all headers.
fn software_fallback(datapath: Datapath) {
    let (here, there) = hosts();
    let _running = joined((&here, &there), datapath, 1400);
    here.ns.offload("eth0", "tso off sg off");
    let wire = Capture::start(&there.ns, "eth0");
    tcp(&here.ns, (&there.ns, any_port("10.1.1.100")), 60_000);
    let is_whole = |frame: &&Frame| {
        let bytes = &frame.bytes;
        // Outer IPv4: 1438 bytes, "don't fragment", GRE; then no flag; Ethernet; inner IPv4: 1400 bytes, TCP.
        bytes.len() == 1452
            && bytes[16..18] == [0x05, 0x9e]
            && bytes[20..22] == [0x40, 0]
            && frame.gre().is_some_and(|gre| gre[..4] == [0, 0, 0x65, 0x58])
            && bytes[50..52] == [8, 0]
            && bytes[54..56] == [0x05, 0x78]
            && bytes[61] == 6
    };
    let whole = wire.stop().iter().filter(|frame| !frame.outgoing).filter(is_whole).count();
    assert!(whole >= 20, "{whole} segments of full size");
}

/// A GRE port of layer 3. The kernel module has none.
fn ping_over_layer3() {
    let (here, there) = hosts();
    let ovs = ovs_end(&there, Datapath::Userspace);
    let at = (&there, &ovs);
    add_bridge(at, Datapath::Userspace, "inside", "options:packet_type=legacy_l3");
    let _daemon = xgre_end(&here, Mode::Native, "");
    add_tenant(&here, "blue", "--no-key --service l3");
    here.ns.ip("addr add 10.1.1.1/24 dev blue0");
    there.ns.ip("addr add 10.1.1.2/24 dev inside");
    there.ns.ip("link set inside mtu 1450");
    there.ns.ip("neigh add 10.1.1.1 lladdr 02:12:34:56:78:aa dev inside");
    let mac = there.ns.mac("inside").map(|byte| format!("{byte:02x}")).join(":");
    ovs.ofctl("add-flow inside priority=1,actions=drop");
    ovs.ofctl("add-flow inside priority=100,ip,nw_dst=10.1.1.1,actions=output:1");
    ovs.ofctl(&format!(
        "add-flow inside priority=100,ip,nw_dst=10.1.1.2,actions=mod_dl_src:02:12:34:56:78:aa,mod_dl_dst:{mac},local"
    ));
    let first = || Ping::to("10.1.1.2").times(1, 100).run(&here.ns).received == 1;
    eventually("the tunnel", first);
    for size in [56, 3200] {
        Ping::to("10.1.1.2").times(3, 300).size(size).all_answered(&here.ns);
    }
}

const MARK: &[u8] = b"a mark that is seen";

/// A host with these tenants, each on a tunnel of its own or one that was there; its wire; its daemon.
fn with_tunnels(
    tunnels: &[(&str, &str)],
    tenants: &[(&str, &str)],
) -> (Host, Netns, testbed::Daemon) {
    let (host, wire) = sensor();
    for gateway in ["192.0.2.2", "192.0.2.3"] {
        host.ns.ip(&format!("neigh add {gateway} lladdr 02:00:00:00:00:ee dev eth0"));
    }
    host.ns.ip("route add default via 192.0.2.2");
    let daemon = host.start("--iface eth0");
    for (name, ends) in tunnels {
        host.xgre(&format!("tunnel add {name} {ends}")).ok();
    }
    for (name, options) in tenants {
        host.xgre(&format!("tenant add {name} {options}")).ok();
        host.xgre(&format!("port add {name} {name}0 --create")).ok();
        host.ns.ip(&format!("link set {name}0 up"));
    }
    (host, wire, daemon)
}

fn frame_inside() -> Udp {
    Udp::new("192.168.0.1", "192.168.0.2", MARK)
}

/// At which of these tenants' ports a packet comes out.
fn out_of<'t>((host, wire): (&Host, &Netns), packet: Gre, tenants: &[&'t str]) -> Vec<&'t str> {
    let captures: Vec<_> =
        tenants.iter().map(|name| Capture::start(&host.ns, &format!("{name}0"))).collect();
    send_frame(wire, "eth0", &packet.to_mac(host.ns.mac("eth0")).build());
    let has_mark = |frame: &Frame| !frame.outgoing && frame.contains(MARK);
    let seen = captures.into_iter().map(|capture| capture.stop().iter().any(has_mark));
    tenants.iter().zip(seen).filter_map(|(name, seen)| seen.then_some(*name)).collect()
}

/// What leaves on the wire for a frame at a tenant's port.
fn sent((host, wire): (&Host, &Netns), device: &str, frame: &[u8]) -> Vec<u8> {
    let capture = Capture::start(wire, "eth0");
    send_frame(&host.ns, device, frame);
    let is_it = |seen: &Frame| !seen.outgoing && seen.contains(frame);
    let seen = capture.stop().into_iter().find(is_it);
    seen.unwrap_or_else(|| panic!("nothing left for {frame:x?}")).bytes
}

/// A packet belongs to the tunnel with its addresses; one that is configured anew has new ones, and its options.
fn input() {
    let tunnels = [
        ("a", "--local 192.0.2.1 --remote 192.0.2.2"),
        ("b", "--local 198.51.100.1 --remote 192.0.2.2"),
        ("c", "--local 192.0.2.1 --remote 203.0.113.2"),
    ];
    let tenants = ["a", "b", "c"];
    let on = |name: &str| format!("--no-key --service l2 --tunnel {name}");
    let options = tenants.map(on);
    let (host, wire, _daemon) =
        with_tunnels(&tunnels, &[("a", &options[0]), ("b", &options[1]), ("c", &options[2])]);
    // It sends from its own addresses only.
    host.ns.ip("addr add 198.51.100.7/32 dev eth0");
    let at = (&host, &wire);
    let inner = frame_inside().ethernet([2; 6], [4; 6]);
    let packet = |from: &str, to: &str| Gre::new(from, to, ETHERNET, inner.clone());
    let arrives = |from: &str, to: &str| out_of(at, packet(from, to), &tenants);
    assert_eq!(arrives("192.0.2.2", "192.0.2.1"), ["a"]);
    assert_eq!(arrives("192.0.2.2", "198.51.100.1"), ["b"]);
    assert_eq!(arrives("203.0.113.2", "192.0.2.1"), ["c"]);
    assert!(arrives("203.0.113.5", "203.0.113.6").is_empty(), "no tunnel");

    for command in ["port del b b0", "tenant del b", "tunnel del b"] {
        host.xgre(command).ok();
    }
    let anew = "--local 198.51.100.7 --remote 192.0.2.2 --df clear --ttl 1 --csum";
    host.xgre(&format!("tunnel add b {anew}")).ok();
    host.xgre(&format!("tenant add b {}", options[1])).ok();
    host.xgre("port add b b0 --create").ok();
    host.ns.ip("link set b0 up");
    assert!(arrives("192.0.2.2", "198.51.100.1").is_empty(), "the old address");
    assert_eq!(arrives("192.0.2.2", "198.51.100.7"), ["b"]);
    assert_eq!(arrives("192.0.2.2", "192.0.2.1"), ["a"]);
    let bytes = sent(at, "b0", &inner);
    assert_eq!((bytes[20] & 0x40, bytes[22]), (0, 1), "DF and TTL");
    assert_eq!(bytes[34..36], [0x80, 0], "a checksum and nothing else");
}

/// Congestion outside: inside where that can say so, and else the end of the packet.
fn congestion() {
    const CE: u8 = 3;
    let tunnel = ("t", "--local 192.0.2.1 --remote 192.0.2.2");
    let (host, wire, _daemon) =
        with_tunnels(&[tunnel], &[("p", "--no-key --service l2 --tunnel t")]);
    for (inside, arrives) in [(CE, true), (1, true), (2, true), (0, false)] {
        let inner = frame_inside().tos(inside).ethernet([2; 6], [4; 6]);
        let packet = Gre::new("192.0.2.2", "192.0.2.1", ETHERNET, inner).tos(CE);
        let port = Capture::start(&host.ns, "p0");
        send_frame(&wire, "eth0", &packet.to_mac(host.ns.mac("eth0")).build());
        let seen = port.stop();
        let seen = seen.iter().filter(|frame| frame.contains(MARK)).map(|frame| frame.bytes[15]);
        let expected: &[u8] = if arrives { &[CE] } else { &[] };
        assert_eq!(seen.collect::<Vec<_>>(), expected, "ECN {inside} inside");
    }
    assert_eq!(count(&host.tenant_stats("p"), "/drops/ecn"), 1);
}

fn inheritance() {
    let tunnel = ("t", "--local 192.0.2.1 --remote 192.0.2.2 --tos inherit --ttl inherit");
    let (host, wire, _daemon) =
        with_tunnels(&[tunnel], &[("p", "--no-key --service l2 --tunnel t")]);
    let ip = |tos| frame_inside().tos(tos).ttl(128).ethernet([2; 6], [4; 6]);
    for (what, frame, tos, ttl) in
        [("basic", ip(4), 4, 128), ("ECN", ip(5), 5, 128), ("non-IP", arp([2; 6]), 0, 64)]
    {
        let bytes = sent((&host, &wire), "p0", &frame);
        assert_eq!((bytes[15], bytes[22], bytes[20]), (tos, ttl, 0x40), "{what}: TOS, TTL, DF");
    }
}

/// Keys of received packets, and of sent ones.
fn key() {
    let tunnel = ("t", "--local 192.0.2.1 --remote 192.0.2.2");
    let (host, wire, _daemon) = with_tunnels(
        &[tunnel],
        &[
            ("one", "--key 1 --tunnel t"),
            ("two", "--in-key 2 --out-key 3 --tunnel t"),
            ("three", "--no-key --tunnel t"),
        ],
    );
    let at = (&host, &wire);
    let plain = || Gre::new("192.0.2.2", "192.0.2.1", IPV4, frame_inside().ip());
    let tenants = ["one", "two", "three"];
    for (packet, arrives) in [
        (plain().key(1), &["one"][..]),
        (plain().key(2), &["two"]),
        (plain(), &["three"]),
        (plain().key(15), &[]),
        (plain().key(3), &[]),
    ] {
        assert_eq!(out_of(at, packet.clone(), &tenants), arrives, "{packet:?}");
    }
    let frame = frame_inside().ethernet([2; 6], [4; 6]);
    let mark = &frame[14..];
    for (device, header) in [
        ("one0", &[0x20, 0, 8, 0, 0, 0, 0, 1][..]),
        ("two0", &[0x20, 0, 8, 0, 0, 0, 0, 3]),
        ("three0", &[0, 0, 8, 0]),
    ] {
        let capture = Capture::start(&wire, "eth0");
        send_frame(&host.ns, device, &frame);
        let seen = capture.stop();
        let seen = seen.iter().filter(|frame| !frame.outgoing && frame.contains(mark));
        let headers: Vec<_> = seen.filter_map(Frame::gre).map(|gre| &gre[..header.len()]).collect();
        assert_eq!(headers, [header], "{device}");
    }
}

/// The same key is another tenant's in another tunnel, and one that is not bound is nobody's.
fn key_match() {
    let tunnels = [
        ("a", "--local 192.0.2.1 --remote 192.0.2.2"),
        ("b", "--local 192.0.2.1 --remote 192.0.2.3"),
    ];
    let (host, wire, _daemon) = with_tunnels(
        &tunnels,
        &[("a2", "--key 2 --tunnel a"), ("a3", "--key 3 --tunnel a"), ("b3", "--key 3 --tunnel b")],
    );
    for (from, key, arrives) in [
        ("192.0.2.2", 2, &["a2"][..]),
        ("192.0.2.2", 3, &["a3"]),
        ("192.0.2.3", 3, &["b3"]),
        ("192.0.2.2", 0, &[]),
        ("192.0.2.3", 2, &[]),
    ] {
        let packet = Gre::new(from, "192.0.2.1", IPV4, frame_inside().ip()).key(key);
        let seen = out_of((&host, &wire), packet, &["a2", "a3", "b3"]);
        assert_eq!(seen, arrives, "key {key} from {from}");
    }
}
