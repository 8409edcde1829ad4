//! `xgre capture`: packets as they come, and what becomes of them.

use std::{thread, time::Duration};

use serde_json::Value;
use testbed::{
    Background, Host, Ping,
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::{Case, Need},
    topology::sensor,
};

use crate::setup::{Mode, Pair, Service, add_tenant, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        let name = format!("capture shows each packet where it is decided, {mode}");
        cases.push(Case::new(name, move || each_packet(mode)));
    }
    let read = Case::new("capture writes what tshark reads", file);
    cases.extend([
        Case::new("capture of a tenant, of a tunnel, of drops", only_some),
        Case::new("capture and its end lose nothing", nothing_is_lost),
        Case::new("capture that is killed loses nothing", killed),
        Case::new("capture ends when the programs do", programs_end),
        Case::new("capture of some packets, and of their beginning", part),
        Case::new("capture is refused beside another, and of nobody", refused),
        read.needs(Need::Program("tshark")),
    ]);
    cases
}

fn capture(host: &Host, args: &str) -> Background {
    host.background(&format!("capture --json {args}"), "capturing")
}

/// What was captured of packets of this protocol among `words`: where, and what became of them.
fn fates(documents: &[Value]) -> Vec<String> {
    let word = |document: &Value, name: &str| document[name].as_str().unwrap_or("-").to_owned();
    let fate = |document| {
        ["interface", "hook", "verdict", "reason", "tenant", "tunnel"]
            .map(|name| word(document, name))
            .join(" ")
    };
    documents.iter().map(fate).collect()
}

/// Without neighbours to look for, so that every packet is one of the test's.
fn quiet(pair: &Pair) {
    for host in [&pair.one, &pair.two] {
        host.ns.sysctl("ipv6/conf/all/disable_ipv6", "1");
    }
}

fn each_packet(mode: Mode) {
    let pair = Pair::blue(Service::L3, mode);
    quiet(&pair);
    let watching = capture(&pair.one, "");
    Ping::to("10.9.0.2").times(2, 10).all_answered(&pair.one.ns);
    let documents = watching.documents();
    let seen = fates(&documents);
    let uplink = |hook: &str| format!("eth0 {hook} receive - blue t");
    let received = match mode {
        Mode::Native => vec![uplink("uplink_xdp")],
        Mode::Tc => vec![uplink("uplink_tc")],
        // Not every kernel shows generic XDP what a TC program has redirected (`skb_is_redirected`).
        Mode::Generic => vec![uplink("uplink_xdp"), uplink("uplink_tc")],
    };
    for fates in [vec!["blue0 port_tc send - blue t".to_owned()], received] {
        let count = seen.iter().filter(|it| fates.contains(it)).count();
        assert_eq!(count, 2, "{fates:?}: {seen:#?}");
    }
    assert_eq!(seen.len(), 4, "{seen:#?}");
    // As it came: the request in Ethernet, the reply in GRE.
    for (document, overhead) in documents.iter().zip([0, 28]) {
        let length = document["length"].as_u64();
        assert_eq!(length, Some(14 + 84 + overhead), "{document}");
        let hex = document["frame"].as_str().unwrap_or_default();
        assert_eq!(Some(hex.len() as u64 / 2), length, "{document}");
    }
}

/// A host with two tenants, each in a tunnel of its own, and what it gets.
fn two_tenants() -> (Host, testbed::Netns, testbed::Daemon, [Vec<u8>; 4]) {
    let (host, wire) = sensor();
    host.ns.sysctl("ipv6/conf/all/disable_ipv6", "1");
    let daemon = host.start("--iface eth0");
    for (name, remote, key) in [("blue", "192.0.2.2", 10), ("green", "192.0.2.3", 20)] {
        host.xgre(&format!("tunnel add to-{name} --local 192.0.2.1 --remote {remote}")).ok();
        host.xgre(&format!("tenant add {name} --key {key} --tunnel to-{name}")).ok();
        host.xgre(&format!("port add {name} {name}0 --create")).ok();
    }
    let inner = || Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip();
    let mac = host.ns.mac("eth0");
    let gre = |from: &str, key| Gre::new(from, "192.0.2.1", IPV4, inner()).key(key).to_mac(mac);
    let frames = [
        gre("192.0.2.2", 10).build(),
        gre("192.0.2.3", 20).build(),
        // A key of another's, and what is cut.
        gre("192.0.2.2", 20).build(),
        gre("192.0.2.2", 10).total_len(2000).build(),
    ];
    (host, wire, daemon, frames)
}

fn only_some() {
    let (host, wire, _daemon, frames) = two_tenants();
    for (args, expected) in [
        ("blue", &["receive - blue to-blue"][..]),
        ("green", &["receive - green to-green", "drop wrong_remote green -"]),
        ("to-green", &["receive - green to-green"]),
        ("to-blue", &["receive - blue to-blue", "drop wrong_remote green -", "drop truncated - -"]),
        ("--drops", &["drop wrong_remote green -", "drop truncated - -"]),
        ("--drops green", &["drop wrong_remote green -"]),
    ] {
        let watching = capture(&host, args);
        for frame in &frames {
            send_frame(&wire, "eth0", frame);
        }
        thread::sleep(Duration::from_millis(200));
        let seen = fates(&watching.documents());
        let expected: Vec<_> =
            expected.iter().map(|fate| format!("eth0 uplink_xdp {fate}")).collect();
        assert_eq!(seen, expected, "{args}");
    }
}

fn nothing_is_lost() {
    let Pair { one, two: _two, daemons } = Pair::blue(Service::L3, Mode::Native);
    let pinging = Ping::to("10.9.0.2").times(300, 10).start(&one.ns);
    for _ in 0..3 {
        let watching = capture(&one, "blue");
        // In fragments, which the daemon makes of what programs hand up.
        Ping::to("10.9.0.2").size(3000).times(1, 10).all_answered(&one.ns);
        assert!(!watching.interrupt().is_empty());
    }
    let result = pinging.wait();
    assert_eq!((result.sent, result.received), (300, 300), "{}", result.log);
    daemons.into_iter().for_each(testbed::Daemon::stop);
}

/// Its programs stay; whoever comes next puts others in their place.
fn killed() {
    let Pair { one, two: _two, daemons: [first, _second] } = Pair::blue(Service::L3, Mode::Native);
    let pinging = Ping::to("10.9.0.2").times(200, 10).start(&one.ns);
    capture(&one, "").kill();
    thread::sleep(Duration::from_millis(300));
    first.kill();
    let next = one.start("--iface eth0 --mode native");
    let result = pinging.wait();
    assert_eq!((result.sent, result.received), (200, 200), "{}", result.log);
    let watching = capture(&one, "blue");
    Ping::to("10.9.0.2").all_answered(&one.ns);
    assert!(!watching.interrupt().is_empty());
    next.stop();
}

/// Others take the place of those that show packets, or they are taken off.
fn programs_end() {
    let (host, _wire, first, _frames) = two_tenants();
    let watching = capture(&host, "");
    first.kill();
    let next = host.start("--iface eth0");
    watching.wait();
    let watching = capture(&host, "");
    next.stop();
    watching.wait();
    host.xgre("tenant list").ok();
}

fn part() {
    const SENT: usize = 400;
    let (host, wire, _daemon, [frame, ..]) = two_tenants();
    let watching = capture(&host, "--one-in 4 --snaplen 40");
    for _ in 0..SENT {
        send_frame(&wire, "eth0", &frame);
    }
    thread::sleep(Duration::from_millis(200));
    let documents = watching.documents();
    // By chance: a hundred, give or take six times the standard deviation.
    assert!((48..=152).contains(&documents.len()), "{}", documents.len());
    for document in documents {
        assert_eq!(document["frame"].as_str().map(str::len), Some(80), "{document}");
        assert_eq!(document["length"].as_u64(), Some(frame.len() as u64), "{document}");
    }
    let counted = host.background("capture --count 3", "capturing");
    for _ in 0..20 {
        send_frame(&wire, "eth0", &frame);
    }
    assert_eq!(counted.wait().lines().count(), 3);
}

fn refused() {
    let (host, _wire, _daemon, _frames) = two_tenants();
    let refused = host.xgre("capture nobody").err();
    assert!(refused.contains("neither a tenant nor a tunnel nobody"), "{refused}");
    let watching = capture(&host, "");
    let refused = host.xgre("capture").err();
    assert!(refused.contains("another `xgre capture`"), "{refused}");
    watching.interrupt();
}

fn file() {
    let (host, wire) = sensor();
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    inner_addresses(&host.ns, "blue0", 1);
    let path = host.file("pcapng", "");
    // To nobody who would answer.
    let inner = Udp::new("10.9.0.2", "10.9.0.77", b"payload").ip();
    let blue = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).key(10).to_mac(host.ns.mac("eth0"));
    let watching =
        host.background(&format!("capture blue --write {}", path.display()), "capturing");
    for packet in [blue.clone(), blue.from("192.0.2.9")] {
        send_frame(&wire, "eth0", &packet.build());
    }
    thread::sleep(Duration::from_millis(200));
    watching.interrupt();
    let fields =
        "frame.interface_name frame.interface_description frame.comment gre.key udp.payload";
    let fields: Vec<_> = fields.split(' ').map(|field| format!("-e {field}")).collect();
    let command = format!("tshark -r {} -T fields {}", path.display(), fields.join(" "));
    let read = host.ns.exec(&command);
    let expected = [
        "eth0\tuplink_xdp\treceive, tenant blue, tunnel t\t0x0000000a\t7061796c6f6164",
        "eth0\tuplink_xdp\tdrop wrong_remote, tenant blue\t0x0000000a\t7061796c6f6164",
    ];
    assert_eq!(read.ok().lines().collect::<Vec<_>>(), expected);
}
