//! Keepalives: asked, answered, and what becomes of the tunnel.

use std::{thread, time::Duration};

use testbed::{
    Capture, Daemon, Host,
    packet::{Gre, IPV4, PEER_MAC, internet_checksum},
    send_frame,
    suite::{Case, Need},
    topology::{sensor, wired},
};

use crate::setup::{Mode, add_tenant, count, eventually, total, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("keepalives: a tunnel over IPv4 goes down and comes up", || down_and_up(V4, "")),
        Case::new("keepalives: a tunnel over IPv6 goes down and comes up", || down_and_up(V6, "")),
        Case::new("keepalives: a tunnel with sequence numbers", || down_and_up(V4, "--seq --csum")),
        Case::new("keepalives: of a tunnel for l2 tenants", l2),
        Case::new("keepalives: over a path too narrow for IPv6 inside", too_narrow),
    ];
    for mode in Mode::ALL {
        let name = format!("keepalives: a router's is answered, {mode}");
        cases.push(Case::new(name, move || answered(mode)));
    }
    for (device, ends) in [("gre", V4), ("ip6gre", V6)] {
        let name = format!("keepalives: Linux {device} answers once it forwards");
        let case = Case::new(name, move || linux_answers(device, ends));
        cases.push(case.needs(Need::Device(device)));
    }
    cases
}

const V4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

/// Two hosts, the first of which asks every second, and different keys for the two directions.
fn asking(ends: [&str; 2], options: &str, tenant: &str) -> ([Host; 2], [Daemon; 2]) {
    let bits = if ends == V4 { 24 } else { 64 };
    let [one, two] = ends.map(|end| format!("{end}/{bits}"));
    let hosts: [Host; 2] = wired([&one, &two]).into();
    let daemons = hosts.each_ref().map(|host| host.start("--iface eth0"));
    let [one, two] = ends;
    for (host, ends, keys, keepalive) in
        [(&hosts[0], [one, two], [1, 2], "--keepalive 1,1"), (&hosts[1], [two, one], [2, 1], "")]
    {
        let [local, remote] = ends;
        let ends = format!("--local {local} --remote {remote}");
        host.xgre(&format!("tunnel add t {ends} {options} {keepalive}")).ok();
        let [in_key, out_key] = keys;
        add_tenant(host, "blue", &format!("--in-key {in_key} --out-key {out_key} {tenant}"));
    }
    (hosts, daemons)
}

#[track_caller]
fn becomes(host: &Host, state: &str) {
    eventually(&format!("the tunnel {state}"), || {
        host.json("tunnel show t")["tunnels"][0]["state"] == state
    });
}

/// Questions that an uplink has passed to the daemon, and answers.
fn keepalives(host: &Host) -> [u64; 2] {
    let stats = host.uplink_stats("eth0");
    ["keepalive", "control_payload"].map(|label| count(&stats, &format!("/hooks/0/passed/{label}")))
}

fn is_alive([one, two]: &[Host; 2]) {
    eventually("two answers", || keepalives(one)[1] >= 2);
    assert!(keepalives(two)[0] >= 2, "{}", two.uplink_stats("eth0"));
    assert_eq!(one.json("tunnel show t")["tunnels"][0]["state"], "up");
}

fn down_and_up(ends: [&'static str; 2], options: &str) {
    let (hosts, _daemons) = asking(ends, options, "");
    is_alive(&hosts);
    let [one, two] = hosts;
    // Not the link, with which the addresses of IPv6 would go.
    two.xgre("port del blue blue0").ok();
    two.xgre("tenant del blue").ok();
    becomes(&one, "down");
    add_tenant(&two, "blue", "--in-key 2 --out-key 1");
    becomes(&one, "up");
    two.ns.ip("link set eth0 down");
    becomes(&one, "down");
    two.ns.ip("link set eth0 up");
    if ends == V6 {
        two.ns.ip(&format!("addr add {}/64 dev eth0 nodad", ends[1]));
    }
    becomes(&one, "up");
    for host in [&one, &two] {
        let blue = host.tenant_stats("blue");
        // Of what the other port sent by itself before there was one here.
        assert_eq!(total(&blue["drops"]), count(&blue, "/drops/no_port"), "{blue}");
    }
}

fn l2() {
    let (hosts, _daemons) = asking(V4, "", "--service l2");
    is_alive(&hosts);
}

/// A question over IPv6 is a packet of 1280 bytes in another.
fn too_narrow() {
    let (hosts, _daemons) = asking(V6, "", "");
    is_alive(&hosts);
    for host in &hosts {
        host.ns.ip("link set eth0 mtu 1320");
    }
    becomes(&hosts[0], "down");
}

/// Linux gives answers without knowing, as it forwards what it decapsulates.
fn linux_answers(kind: &str, ends: [&'static str; 2]) {
    let bits = if ends == V4 { 24 } else { 64 };
    let [one, linux] = ends.map(|end| format!("{end}/{bits}"));
    let (one, linux) = wired([&one, &linux]);
    let [local, remote] = ends;
    linux.ns.ip(&format!("link add gre1 type {kind} local {remote} remote {local} ikey 2 okey 1"));
    linux.ns.ip("link set gre1 up");
    let _daemon = one.start("--iface eth0");
    let keepalive = "--keepalive 1,1";
    one.xgre(&format!("tunnel add t --local {local} --remote {remote} {keepalive}")).ok();
    add_tenant(&one, "blue", "--in-key 1 --out-key 2");
    becomes(&one, "down");
    let (forward, accept): (_, &[_]) = if ends == V4 {
        // A packet from its own address is taken for a forged one, and a filter of return paths would do so too.
        let accept = [("ipv4/conf/gre1/accept_local", "1"), ("ipv4/conf/all/rp_filter", "0")];
        ("ipv4/ip_forward", &[accept[0], accept[1], ("ipv4/conf/gre1/rp_filter", "0")])
    } else {
        ("ipv6/conf/all/forwarding", &[])
    };
    linux.ns.sysctl(forward, "1");
    if !accept.is_empty() {
        let wire = Capture::start(&linux.ns, "eth0");
        thread::sleep(Duration::from_millis(2500));
        let is_out = |frame: testbed::Frame| frame.gre().map(|_| frame.outgoing);
        let gre: Vec<_> = wire.stop().into_iter().filter_map(is_out).collect();
        assert!(!gre.is_empty() && gre.iter().all(|is_out| !is_out), "questions only: {gre:?}");
    }
    for (name, value) in accept {
        linux.ns.sysctl(name, value);
    }
    becomes(&one, "up");
    assert_eq!(one.tenant_stats("blue")["drops"], serde_json::json!({}));
}

fn answered(mode: Mode) {
    let (host, wire) = sensor();
    let _daemon = host.start(&format!("--iface eth0 --mode {mode}"));
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    let answer = |ttl: u8, to: [u8; 4]| {
        let mut ip = vec![0x45, 0xc0, 0, 24, 0x12, 0x34, 0, 0, ttl, 47, 0, 0, 192, 0, 2, 1];
        ip.extend(to);
        let sum = internet_checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        [ip, vec![0; 4]].concat()
    };
    let question = |inner: Vec<u8>| {
        let packet = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).key(10);
        packet.to_mac(host.ns.mac("eth0"))
    };
    let capture = Capture::start(&wire, "eth0");
    let remote = [192, 0, 2, 2];
    for packet in [
        question(answer(255, remote)),
        // To somebody else, at its end, from somebody else, for nobody: not answered.
        question(answer(255, [192, 0, 2, 3])),
        question(answer(1, remote)),
        question(answer(255, remote)).from("192.0.2.9"),
        question(answer(255, remote)).key(11),
    ] {
        send_frame(&wire, "eth0", &packet.build());
    }
    let seen = capture.stop().into_iter().filter(|frame| !frame.outgoing && frame.gre().is_some());
    // The kernel chooses the identification anew; the checksum follows.
    let without = |frame: Vec<u8>| [&frame[..18], &frame[20..24], &frame[26..]].concat();
    let seen: Vec<_> = seen.map(|frame| without(frame.bytes)).collect();
    let link = [&PEER_MAC[..], &host.ns.mac("eth0"), &IPV4.to_be_bytes()].concat();
    assert_eq!(seen, [without([link, answer(254, remote)].concat())]);
}
