//! What the hook leaves to the kernel and gets back: fragments, long chains of extension headers.

use serde_json::Value;
use testbed::{
    Capture, Daemon, Flood, Frame, Host, Netns, Ping,
    capture::send_frames,
    fragment::{cut, piece},
    ipv6::with_destination_options,
    packet::{ETHERNET, Gre, IPV4, Udp},
    suite::Case,
    topology::sensor,
    veth,
};

use crate::setup::{Mode, Pair, Service, add_tenant, count, eventually, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        for service in Service::ALL {
            let name = format!("fragments are delivered, {service}, {mode}");
            cases.push(Case::new(name, move || delivered(mode, service)));
        }
        let name = format!("fragments and extension headers over IPv6 are delivered, {mode}");
        cases.push(Case::new(name, move || delivered_ipv6(mode)));
    }
    cases.extend([
        Case::new("fragments that a router makes", by_a_router),
        Case::new("fragments by a bridge on the uplink", by_a_bridge),
        Case::new("fragments that do not fit together are not delivered", misfits),
        Case::new("fragments of packets that are dropped are counted so", drops),
        Case::new("rate: fragments are charged for", charged),
        Case::new("fragments come in order where the tunnel asks for it", in_order),
        Case::new("GRE by an interface that is no uplink is not delivered", no_uplink),
        Case::new("a flood of fragments does not stop others", flood),
    ]);
    cases
}

const MARK: &[u8] = b"a mark that is seen";

/// A host with the tenant `blue`, its wire, and frames for it.
struct Setup {
    host: Host,
    wire: Netns,
    daemon: Daemon,
}

impl Setup {
    fn new(run: &str, tunnel_options: &str, tenant_options: &str) -> Self {
        let (host, wire) = sensor();
        let daemon = host.start(&format!("--iface eth0 {run}"));
        let ends = "--local 192.0.2.1 --remote 192.0.2.2";
        host.xgre(&format!("tunnel add t {ends} {tunnel_options}")).ok();
        add_tenant(&host, "blue", &format!("--key 10 {tenant_options}"));
        inner_addresses(&host.ns, "blue0", 1);
        Self { host, wire, daemon }
    }

    fn packet(&self) -> Gre {
        Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner()).key(10).to_mac(self.host.ns.mac("eth0"))
    }

    /// What the tenant gets of these frames.
    fn gets(&self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        seen_at_port(&self.host, || {
            send_frames(&self.wire, "eth0", frames.iter().map(Vec::as_slice));
        })
    }

    fn blue(&self) -> Value {
        self.host.tenant_stats("blue")
    }
}

fn seen_at_port(host: &Host, work: impl FnOnce()) -> Vec<Vec<u8>> {
    let port = Capture::start(&host.ns, "blue0");
    work();
    let seen = port.stop().into_iter();
    seen.filter(|frame| !frame.outgoing && frame.contains(MARK))
        .map(|Frame { bytes, .. }| bytes)
        .collect()
}

/// A datagram of a length that is no multiple of anything.
fn inner() -> Vec<u8> {
    Udp::new("10.9.0.2", "10.9.0.1", &[MARK, &[7; 1000]].concat()).ip()
}

fn delivered(mode: Mode, service: Service) {
    let setup = Setup::new(&format!("--mode {mode}"), "", &format!("--service {service}"));
    let frame = [&setup.host.ns.mac("blue0")[..], &[2, 0, 0, 0, 0, 9, 8, 0], &inner()].concat();
    let packet = match service {
        Service::L2 => setup.packet().carrying(ETHERNET, frame.clone()),
        Service::L3 => setup.packet(),
    };
    let outer = packet.build();
    let mut frames = cut(&outer, 400, 1);
    let mut reversed = cut(&outer, 8, 2);
    reversed.reverse();
    frames.extend(reversed);
    frames.extend(cut(&packet.clone().checksum().build(), 1000, 3));
    // The fragments of two packets take turns.
    let (one, other) = (cut(&outer, 800, 4), cut(&outer, 800, 5));
    frames.extend(one.into_iter().zip(other).flat_map(<[_; 2]>::from));
    let seen = seen_at_port(&setup.host, || {
        send_frames(&setup.wire, "eth0", frames.iter().map(Vec::as_slice));
        eventually("all of them", || count(&setup.blue(), "/rx/packets") == 5);
    });
    assert_eq!(seen.len(), 5);
    for seen in &seen {
        match service {
            Service::L2 => assert_eq!(*seen, frame),
            Service::L3 => {
                assert_eq!(seen[..6], setup.host.ns.mac("blue0"));
                assert_eq!(seen[12..], [&[8, 0], &inner()[..]].concat());
            }
        }
    }
    let blue = setup.blue();
    let len = if service == Service::L2 { frame.len() } else { inner().len() };
    assert_eq!(count(&blue, "/rx/packets"), 5, "{blue}");
    assert_eq!(count(&blue, "/rx/bytes"), 5 * len as u64, "{blue}");
    let stats = setup.host.uplink_stats("eth0");
    assert_eq!(count(&stats, "/hooks/0/passed/fragment"), frames.len() as u64, "{stats}");
}

fn delivered_ipv6(mode: Mode) {
    const LOCAL: &str = "2001:db8::1";
    const REMOTE: &str = "2001:db8::2";
    let (host, wire) = sensor();
    let _daemon = host.start(&format!("--iface eth0 --mode {mode}"));
    host.ns.ip(&format!("addr add {LOCAL}/64 dev eth0 nodad"));
    tunnel(&host, LOCAL, REMOTE);
    add_tenant(&host, "blue", "--key 10");
    inner_addresses(&host.ns, "blue0", 1);
    let mac = host.ns.mac("eth0");
    // The inner packet can hear of congestion, and the outer header says that there is some.
    let inner = Udp::new("10.9.0.2", "10.9.0.1", &[MARK, &[7; 1000]].concat());
    let gre = Gre::new(REMOTE, LOCAL, IPV4, inner.clone().tos(2).ip());
    let packet = gre.key(10).tos(3).to_mac(mac).build();
    let chain = with_destination_options(packet.clone(), 3);
    let mut frames = cut(&packet, 400, 1);
    frames.extend(cut(&chain, 400, 2));
    frames.push(chain);
    let seen = seen_at_port(&host, || {
        send_frames(&wire, "eth0", frames.iter().map(Vec::as_slice));
        eventually("all of them", || count(&host.tenant_stats("blue"), "/rx/packets") == 3);
    });
    assert_eq!(seen.len(), 3);
    let marked = inner.tos(3).ip();
    assert!(seen.iter().all(|frame| frame[14..] == marked), "{:x?}", &seen[0][..40]);
    let blue = host.tenant_stats("blue");
    assert_eq!(count(&blue, "/rx/packets"), 3, "{blue}");
    assert_eq!(count(&blue, "/rx/bytes"), 3 * marked.len() as u64, "{blue}");
    let stats = host.uplink_stats("eth0");
    let fragments = frames.len() as u64 - 1;
    assert_eq!(count(&stats, "/hooks/0/passed/fragment"), fragments, "{stats}");
    assert_eq!(count(&stats, "/hooks/0/passed/extension_headers"), 1, "{stats}");
}

/// Two hosts, and between them two routers joined by a link with a small MTU.
fn by_a_router() {
    let hosts = [Host::new(), Host::new()];
    let routers = [Netns::new(), Netns::new()];
    veth((&routers[0], "mid"), (&routers[1], "mid"));
    for (end, (host, router)) in (1..).zip(hosts.iter().zip(&routers)) {
        veth((&host.ns, "eth0"), (router, "edge"));
        host.ns.ip(&format!("addr add 192.0.{end}.1/24 dev eth0"));
        host.ns.ip(&format!("route add default via 192.0.{end}.254"));
        router.ip(&format!("addr add 192.0.{end}.254/24 dev edge"));
        router.ip(&format!("addr add 203.0.113.{end}/24 dev mid"));
        router.ip("link set mid mtu 1000");
        router.ip(&format!("route add default via 203.0.113.{}", 3 - end));
        router.sysctl("ipv4/ip_forward", "1");
    }
    let [one, two] = &hosts;
    let _daemons = [one, two].map(|host| host.start("--iface eth0"));
    for (host, end, far) in [(one, 1, 2), (two, 2, 1)] {
        let ends = format!("--local 192.0.{end}.1 --remote 192.0.{far}.1");
        host.xgre(&format!("tunnel add t {ends} --df clear")).ok();
        add_tenant(host, "blue", "--key 10");
        inner_addresses(&host.ns, "blue0", end);
    }
    eventually("a first answer", || Ping::to("10.9.0.2").times(1, 10).run(&one.ns).received == 1);
    let before = count(&two.tenant_stats("blue"), "/rx/packets");
    Ping::to("10.9.0.2").size(1400).times(5, 50).all_answered(&one.ns);
    assert_eq!(count(&two.tenant_stats("blue"), "/rx/packets"), before + 5);
    let stats = two.uplink_stats("eth0");
    assert!(count(&stats, "/hooks/0/passed/fragment") >= 10, "{stats}");
}

/// The hook is at the uplink; the stack sees packets come by the bridge, which is made later.
fn by_a_bridge() {
    let setup = Setup::new("", "", "");
    let frames = cut(&setup.packet().build(), 400, 1);
    setup.host.ns.ip("addr flush dev eth0");
    testbed::bridge(&setup.host.ns, "br0", &["eth0"]);
    setup.host.ns.ip("addr add 192.0.2.1/24 dev br0");
    let mac = setup.host.ns.mac("br0");
    let frames: Vec<_> = frames.iter().map(|frame| [&mac[..], &frame[6..]].concat()).collect();
    let mut id = 0u16;
    eventually("a packet by the bridge", || {
        id += 1;
        let frames = cut(&setup.packet().to_mac(mac).build(), 400, id);
        !setup.gets(&frames).is_empty()
    });
    setup.host.ns.ip("link set eth0 nomaster");
    setup.host.ns.ip("addr flush dev br0");
    setup.host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    assert_eq!(setup.gets(&frames).len(), 1);
}

fn misfits() {
    let setup = Setup::new("", "", "");
    let outer = setup.packet().build();
    let len = outer.len() - 34;
    let part = |offset, len, more| (offset, len, more);
    for (id, parts) in (1..).zip([
        // A hole.
        &[part(0, 400, true), part(408, len - 408, false)][..],
        // An overlap.
        &[part(0, 400, true), part(392, len - 392, false)],
        // No end.
        &[part(0, 400, true), part(400, 400, true)],
        // No beginning.
        &[part(8, 400, true), part(408, len - 408, false)],
        // Of a length that nothing can follow.
        &[part(0, 399, true), part(400, len - 400, false)],
        // Two ends.
        &[part(0, 400, true), part(400, 8, false), part(400, len - 400, false)],
    ]) {
        let frames: Vec<_> =
            parts.iter().map(|&(offset, len, more)| piece(&outer, offset, len, more, id)).collect();
        let seen = setup.gets(&frames);
        assert!(seen.is_empty(), "{parts:?}: {seen:?}");
    }
    let blue = setup.blue();
    assert_eq!(count(&blue, "/rx/packets"), 0, "{blue}");
    assert_eq!(setup.gets(&cut(&outer, 400, 99)).len(), 1);
}

fn drops() {
    let setup = Setup::new("--strict", "", "");
    let mut damaged = setup.packet().checksum().build();
    *damaged.last_mut().expect("a byte") ^= 1;
    let packets = [
        damaged,
        setup.packet().from("192.0.2.9").build(),
        setup.packet().key(11).build(),
        setup.packet().flags(0x4000).build(),
        setup.packet().tos(3).build(),
    ];
    let frames: Vec<_> =
        (1..).zip(&packets).flat_map(|(id, packet)| cut(packet, 400, id)).collect();
    // Once at the hook, for comparison.
    assert!(setup.gets(&packets).is_empty());
    let at_hook = setup.host.json("stats");
    assert!(setup.gets(&frames).is_empty());
    let reasons = [
        ("bad_checksum", "/tenants/0/drops"),
        ("wrong_remote", "/tenants/0/drops"),
        ("ecn", "/tenants/0/drops"),
        ("no_binding", "/uplinks/0/drops"),
        ("reserved_bits", "/uplinks/0/drops"),
    ];
    for (reason, drops) in reasons {
        let path = format!("{drops}/{reason}");
        assert_eq!(count(&at_hook, &path), 1, "{reason}: {at_hook}");
        eventually(reason, || count(&setup.host.json("stats"), &path) == 2);
    }
    // A new tenant in its place counts from nothing.
    setup.host.xgre("port del blue blue0").ok();
    setup.host.xgre("tenant del blue").ok();
    add_tenant(&setup.host, "blue", "--key 10");
    assert_eq!(setup.blue()["drops"], serde_json::json!({}));
}

fn in_order() {
    let setup = Setup::new("", "--seq", "");
    let packet = |number| setup.packet().sequence(number).build();
    for (id, (frames, delivered)) in (1..).zip([
        (vec![packet(5)], 1),
        (cut(&packet(5), 400, 1), 0),
        (cut(&packet(6), 400, 2), 1),
        (vec![packet(6)], 0),
        (vec![packet(7)], 1),
        (cut(&setup.packet().build(), 400, 3), 0),
    ]) {
        assert_eq!(setup.gets(&frames).len(), delivered, "step {id}");
    }
    let blue = setup.blue();
    assert_eq!(count(&blue, "/rx/packets"), 3, "{blue}");
    assert_eq!(count(&blue, "/drops/out_of_sequence"), 3, "{blue}");
}

/// At a byte a second nothing comes on top of what may come at once: 131,072 bytes.
fn charged() {
    let setup = Setup::new("", "", "--rate 8bit");
    let (most, more) = (131_072 / inner().len() as u64, 5);
    let frame = setup.packet().build();
    for id in 1..=most + more {
        let frames = cut(&frame, 600, id as u16);
        send_frames(&setup.wire, "eth0", frames.iter().map(Vec::as_slice));
    }
    eventually("the last one is dropped", || count(&setup.blue(), "/drops/rate_limit") == more);
    let blue = setup.blue();
    assert_eq!(count(&blue, "/rx/packets"), most, "{blue}");
}

/// Another network, from which somebody sends as if he were the tunnel's remote end.
fn no_uplink() {
    let setup = Setup::new("", "", "");
    let other = Netns::new();
    for setting in ["all", "eth0"] {
        setup.host.ns.sysctl(&format!("ipv4/conf/{setting}/rp_filter"), "0");
    }
    veth((&setup.host.ns, "eth1"), (&other, "eth1"));
    setup.host.ns.sysctl("ipv4/conf/eth1/rp_filter", "0");
    let packet = setup.packet().to_mac(setup.host.ns.mac("eth1")).build();
    let mut frames = cut(&packet, 400, 1);
    frames.push(packet);
    let seen = seen_at_port(&setup.host, || {
        send_frames(&other, "eth1", frames.iter().map(Vec::as_slice));
    });
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(count(&setup.blue(), "/rx/packets"), 0, "{}", setup.blue());
    // The stack has taken them: with an uplink there, the same fragments are a packet.
    setup.daemon.stop();
    let _daemon = setup.host.start("--iface eth0 --iface eth1");
    let seen = seen_at_port(&setup.host, || {
        send_frames(&other, "eth1", frames.iter().map(Vec::as_slice));
    });
    assert_eq!(seen.len(), 2);
}

fn flood() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Native);
    // The kernel has room for so many incomplete packets, and they go after this many seconds.
    one.ns.sysctl("ipv4/ipfrag_time", "1");
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let packet = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner()).key(10);
    let packet = packet.to_mac(one.ns.mac("eth0")).build();
    // Whole packets in pieces, and pieces that nothing makes whole.
    let frames = (0..u16::MAX).flat_map(|id| {
        let pieces = cut(&packet, 1000, id);
        let keep = if id % 4 == 0 { 1 } else { pieces.len() };
        pieces.into_iter().take(keep)
    });
    let flood = Flood::start(&two.ns, "eth0", frames.collect());
    let pinging = Ping::to("10.9.0.2").times(100, 20);
    pinging.all_answered(&one.ns);
    let sent = flood.stop();
    assert!(sent > 10_000, "no flood: {sent} frames");
    // The commands, which the daemon must not keep waiting, and the slow path work.
    assert!(count(&one.tenant_stats("blue"), "/rx/packets") > 50);
    eventually("a packet in fragments", || {
        let ping = Ping::to("10.9.0.2").times(1, 10);
        ping.run(&one.ns).received == 1
            && !seen_at_port(&one, || {
                let frames = cut(&packet, 400, 7);
                send_frames(&two.ns, "eth0", frames.iter().map(Vec::as_slice));
            })
            .is_empty()
    });
}
