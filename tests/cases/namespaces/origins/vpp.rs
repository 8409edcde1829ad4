//! VPP: `test/test_gre.py`.

use testbed::{
    Capture, Frame, Host, Netns, Ping, bridge,
    packet::{ETHERNET, Gre, IPV4, IPV6, PEER_MAC, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
    veth,
};

use super::{Ends, V4, V6, tunnel_between};
use crate::setup::{add_tenant, count, eventually};

pub fn cases() -> Vec<Case> {
    let all: [(&str, fn()); 5] = [
        ("test_gre", || routed(V4)),
        ("test_gre6", || routed(V6)),
        ("test_gre_vrf", overlay_elsewhere),
        ("test_gre_l2", cross_connected),
        ("test_gre_loop", loops),
    ];
    all.map(|(name, run)| Case::new(format!("VPP's {name}"), run)).into()
}

const MARK: &[u8] = b"a mark that is seen";

/// A tunnel to a host that is not on the wire, whose tenant has a namespace beyond its port: packets, as many
/// as those that are seen.
fn routed(ends: Ends) {
    let is_v6 = ends == V6;
    let (host, wire) = sensor();
    let [local, remote] = [ends[0], if is_v6 { "2001:db8:1::2" } else { "198.51.100.2" }];
    let (gateway, version) = if is_v6 { ("2001:db8::2", "-6") } else { ("192.0.2.2", "") };
    if is_v6 {
        host.ns.ip(&format!("addr add {local}/64 dev eth0 nodad"));
    }
    host.ns.ip(&format!("neigh add {gateway} lladdr 02:00:00:00:00:ee dev eth0"));
    let _daemon = host.start("--iface eth0");
    let add = format!("tunnel add t --local {local} --remote {remote}");
    host.xgre(&add).ok();
    // Twice fails, and the first one stays.
    let before = host.configuration();
    assert!(host.xgre(&add).err().contains('t'));
    assert_eq!(host.configuration(), before);
    add_tenant(&host, "blue", "--no-key");
    host.ns.ip("link set blue0 up");

    let sent = Udp::new("10.9.0.1", "10.9.0.2", MARK).ethernet([2; 6], [4; 6]);
    let encapsulated = || {
        let capture = Capture::start(&wire, "eth0");
        send_frame(&host.ns, "blue0", &sent);
        marked(&capture.stop())
    };
    assert_eq!(encapsulated(), 0, "no way to the remote address");
    host.ns.ip(&format!("{version} route add {remote} via {gateway}"));
    eventually("a way to the remote address", || encapsulated() == 1);

    let packet = |source: &str, kind, inner: Udp| {
        let packet = Gre::new(source, local, kind, inner.ip()).to_mac(host.ns.mac("eth0"));
        packet.build()
    };
    let delivered = |frame: Vec<u8>| {
        let capture = Capture::start(&host.ns, "blue0");
        send_frame(&wire, "eth0", &frame);
        marked(&capture.stop())
    };
    let four = || Udp::new("10.9.0.2", "10.9.0.1", MARK);
    let six = || Udp::new("fd09::2", "fd09::1", MARK);
    let other = if is_v6 { "2001:db8:1::3" } else { "198.51.100.3" };
    assert_eq!(delivered(packet(remote, IPV4, four())), 1);
    assert_eq!(delivered(packet(remote, IPV6, six())), 1);
    assert_eq!(delivered(packet(other, IPV4, four())), 0, "another source");
    assert_eq!(count(&host.tenant_stats("blue"), "/drops/wrong_remote"), 1);
}

/// How many of the frames came in with the mark.
fn marked(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| !frame.outgoing && frame.contains(MARK)).count()
}

/// The tunnel's end is in one routing domain, what it carries in another (the original's are tables, these are namespaces), where
/// the same addresses mean others.
fn overlay_elsewhere() {
    let (host, wire) = sensor();
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    let _daemon = host.start("--iface eth0");
    tunnel_between(&host, V4, "");
    add_tenant(&host, "blue", "--no-key");
    let overlay = Netns::new();
    host.ns.ip(&format!("link set blue0 netns {}", overlay.path()));
    overlay.ip("addr add 192.0.2.1/24 dev blue0");
    overlay.ip("link set blue0 up");
    // Another wire into the overlay, on which the tunnel does not end.
    let beside = Netns::new();
    veth((&beside, "eth0"), (&overlay, "eth1"));

    let inner = Udp::new("192.0.2.77", "192.0.2.1", MARK).ip();
    let packet = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner);
    let capture = Capture::start(&overlay, "blue0");
    send_frame(&wire, "eth0", &packet.clone().to_mac(host.ns.mac("eth0")).build());
    send_frame(&beside, "eth0", &packet.to_mac(overlay.mac("eth1")).build());
    assert_eq!(marked(&capture.stop()), 1, "by the tunnel's wire only");

    let capture = Capture::start(&wire, "eth0");
    let sent = Udp::new("192.0.2.1", "192.0.2.77", MARK).ethernet([2; 6], [4; 6]);
    send_frame(&overlay, "blue0", &sent);
    let frames = capture.stop();
    assert_eq!(marked(&frames), 1);
    let is_gre = |frame: &Frame| frame.contains(MARK) && frame.gre().is_some();
    assert!(frames.iter().any(is_gre), "{frames:?}");
}

/// What comes out of one tunnel goes into another, and back, unchanged.
fn cross_connected() {
    let (host, wire) = sensor();
    for remote in [2, 3] {
        host.ns.ip(&format!("neigh add 192.0.2.{remote} lladdr 02:00:00:00:00:ee dev eth0"));
    }
    let _daemon = host.start("--iface eth0");
    for remote in [2, 3] {
        let ends = format!("--local 192.0.2.1 --remote 192.0.2.{remote}");
        host.xgre(&format!("tunnel add t{remote} {ends}")).ok();
        let tenant = format!("--no-key --service l2 --tunnel t{remote}");
        host.xgre(&format!("tenant add tenant{remote} {tenant}")).ok();
        host.xgre(&format!("port add tenant{remote} p{remote} --create")).ok();
    }
    bridge(&host.ns, "br0", &["p2", "p3"]);
    let untagged = Udp::new("10.9.0.2", "10.9.0.3", MARK).ethernet([2, 0, 0, 0, 0, 3], PEER_MAC);
    let mut tagged = untagged.clone();
    tagged.splice(12..12, [0x81, 0, 0, 11]);
    for frame in [untagged, tagged] {
        for (from, to) in [("192.0.2.2", 3), ("192.0.2.3", 2)] {
            let packet = Gre::new(from, "192.0.2.1", ETHERNET, frame.clone());
            let capture = Capture::start(&wire, "eth0");
            send_frame(&wire, "eth0", &packet.to_mac(host.ns.mac("eth0")).build());
            let is_it = |seen: &&Frame| {
                let ends = [192, 0, 2, 1, 192, 0, 2, to];
                !seen.outgoing && seen.contains(MARK) && seen.bytes[26..34] == ends
            };
            let seen = capture.stop();
            let crossed: Vec<_> = seen.iter().filter(is_it).map(|it| &it.bytes[38..]).collect();
            assert_eq!(crossed, [&frame[..]], "from {from}: {seen:?}");
        }
    }
}

/// A route to the remote address through the tunnel: its packets are dropped, and pass again when it is gone.
fn loops() {
    let (one, two) = super::ends(V4);
    let daemons = [&one, &two].map(|host| host.start("--iface eth0"));
    for (host, [local, remote], end) in [(&one, V4, 1), (&two, [V4[1], V4[0]], 2)] {
        tunnel_between(host, [local, remote], "");
        add_tenant(host, "blue", "--key 10");
        crate::setup::inner_addresses(&host.ns, "blue0", end);
    }
    let ping = Ping::to("10.9.0.2");
    eventually("an answer", || ping.run(&one.ns).received == 3);
    one.ns.ip("route add 192.0.2.2/32 dev blue0");
    let lost = || {
        let drops = one.tenant_stats("blue")["drops"].clone();
        count(&drops, "/no_route") + count(&drops, "/loop")
    };
    let before = lost();
    eventually("a loop that is found", || ping.run(&one.ns).received == 0 && lost() > before);
    let sent = |host: &Host| count(&host.tenant_stats("blue"), "/tx/packets");
    let before = sent(&one);
    ping.unanswered(&one.ns);
    assert!(sent(&one) <= before + 3, "packets that multiply");
    one.ns.ip("route del 192.0.2.2/32 dev blue0");
    eventually("an answer again", || ping.run(&one.ns).received == 3);
    drop(daemons);
}
