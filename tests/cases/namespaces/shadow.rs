//! `xgre run --shadow`: decides and counts, and leaves every packet alone.

use std::path::Path;

use serde_json::Value;
use testbed::{
    Capture, Frame, Host, Netns, Ping,
    capture::{hex, send_frame, send_frames},
    packet::{Gre, IPV4, Udp},
    suite::{Case, Need},
    topology::{sensor, wired},
    veth,
};

use crate::{
    crossing::Keys,
    open_vswitch::{Datapath, LOCAL, REMOTE, add_tenants_bridge, ovs_end, xgre_end},
    setup::{Mode, add_tenant, count, eventually, tunnel},
    statistics::every_sort,
};

pub fn cases() -> Vec<Case> {
    let beside = Case::new("shadow: beside Open vSwitch", beside_open_vswitch);
    vec![
        Case::new("shadow: decides as without, and lets everything through unchanged", unchanged),
        Case::new("shadow: what a tenant sends goes on unchanged", sent),
        Case::new("shadow: from it and into it", changed),
        beside.needs(Need::OpenVswitch),
    ]
}

/// A host with the tenant `blue`, whose uplink is a port of a bridge: what programs leave alone reaches the other port.
fn bridged(options: &str) -> (Host, Netns, Netns, testbed::Daemon) {
    let (host, wire) = sensor();
    let behind = Netns::new();
    veth((&host.ns, "eth1"), (&behind, "eth0"));
    behind.ip("link set eth0 arp off");
    testbed::bridge(&host.ns, "br0", &["eth0", "eth1"]);
    // Else the bridge has IP packets checked, and drops those that are not right (`br_validate_ipv4`).
    if Path::new("/proc/sys/net/bridge").exists() {
        host.ns.sysctl("bridge/bridge-nf-call-iptables", "0");
        host.ns.sysctl("bridge/bridge-nf-call-ip6tables", "0");
    }
    let daemon = host.start(&format!("--iface eth0 {options}"));
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    (host, wire, behind, daemon)
}

/// What statistics say of received packets.
fn counted(host: &Host) -> [Value; 4] {
    let (blue, uplink) = (host.tenant_stats("blue"), host.uplink_stats("eth0"));
    let hook = uplink["hooks"][0].clone();
    [blue["rx"].clone(), blue["drops"].clone(), hook["passed"].clone(), uplink["drops"].clone()]
}

/// With a destination that the bridge does not know, so that it takes frames to every port.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

fn of_the_test(frame: &Frame) -> bool {
    !frame.outgoing && frame.bytes.starts_with(&NOBODY)
}

fn unchanged() {
    let frames: Vec<_> =
        every_sort(NOBODY).into_iter().filter(|frame| frame.starts_with(&NOBODY)).collect();
    let run = |options: &str| {
        let (host, wire, behind, _daemon) = bridged(options);
        let seen = Capture::start(&behind, "eth0");
        send_frames(&wire, "eth0", frames.iter().map(Vec::as_slice));
        let mut seen = seen.stop();
        seen.retain(of_the_test);
        (counted(&host), seen.iter().map(|frame| hex(&frame.bytes)).collect::<Vec<_>>())
    };
    let (decided, passed) = run("--mode tc");
    let (in_shadow, all) = run("--shadow");
    assert_eq!(in_shadow, decided);
    assert!(passed.len() < frames.len(), "some are taken or dropped without");
    let frames: Vec<_> = frames.into_iter().map(|frame| hex(&without_tag(frame))).collect();
    assert_eq!(all, frames, "all go on as they came");
}

/// As a socket shows a frame.
fn without_tag(mut frame: Vec<u8>) -> Vec<u8> {
    if matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]) {
        frame.drain(12..16);
    }
    frame
}

/// A port that is a bridge's: what the tenant sends is counted, and the bridge has it.
fn sent() {
    let (host, tenant) = (Host::new(), Netns::new());
    let behind = Netns::new();
    veth((&host.ns, "tap0"), (&tenant, "eth0"));
    veth((&host.ns, "eth1"), (&behind, "eth0"));
    let wire = Netns::new();
    veth((&host.ns, "eth0"), (&wire, "eth0"));
    host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    for ns in [&tenant, &behind] {
        ns.ip("link set eth0 arp off");
    }
    testbed::bridge(&host.ns, "br0", &["tap0", "eth1"]);
    let _daemon = host.start("--iface eth0 --shadow");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    host.xgre("tenant add blue --key 10 --service l2 --tunnel t").ok();
    host.xgre("port add blue tap0").ok();
    host.ns.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0");
    let outside = Capture::start(&wire, "eth0");
    let seen = Capture::start(&behind, "eth0");
    let small = Udp::new("10.9.0.2", "10.9.0.1", b"small").ethernet(NOBODY, [2; 6]);
    let large = Udp::new("10.9.0.2", "10.9.0.1", &[7; 1450]).ethernet(NOBODY, [2; 6]);
    let frames = [small.clone(), large, small];
    send_frames(&tenant, "eth0", frames.iter().map(Vec::as_slice));
    let mut seen = seen.stop();
    seen.retain(of_the_test);
    let seen: Vec<_> = seen.iter().map(|frame| hex(&frame.bytes)).collect();
    let frames = frames.map(|frame| hex(&frame));
    assert_eq!(seen, frames, "nothing is taken, and nothing but it comes: no answer either");
    let blue = host.tenant_stats("blue");
    assert_eq!(count(&blue, "/tx/packets"), 2, "{blue}");
    assert_eq!(count(&blue, "/drops/packet_too_big"), 1, "{blue}");
    let left = outside.stop().into_iter().filter(|frame| frame.contains(b"small")).count();
    assert_eq!(left, 0, "nothing is sent");
}

/// The same state, first in the shadow, then for real, and back.
fn changed() {
    let (host, wire, behind, shadow) = bridged("--shadow");
    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip();
    let blue = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).key(10).to_mac(NOBODY).build();
    let goes_through = || {
        let seen = Capture::start(&behind, "eth0");
        send_frame(&wire, "eth0", &blue);
        let seen = seen.stop();
        seen.iter().any(of_the_test)
    };
    assert!(goes_through(), "in the shadow");
    assert_eq!(host.uplink_stats("eth0")["mode"], "shadow");
    shadow.kill();
    let real = host.start("--iface eth0");
    assert_eq!(host.uplink_stats("eth0")["mode"], "native");
    assert!(!goes_through(), "for real");
    real.kill();
    let _shadow = host.start("--iface eth0 --shadow");
    assert!(goes_through(), "in the shadow again");
    let blue = host.tenant_stats("blue");
    assert_eq!(count(&blue, "/rx/packets"), 3, "{blue}");
    let refused = host.xgre("run --iface eth0 --shadow --mode native").err();
    assert!(refused.contains("--mode"), "{refused}");
}

/// The switch goes on as before; xgre counts what it would have taken.
fn beside_open_vswitch() {
    let (one, two) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&two, Datapath::Userspace);
    let keys = Keys { tenant: "blue", xgre: "", sent: Some(10), received: Some(10) };
    add_tenants_bridge((&two, &ovs), Datapath::Userspace, &keys, "");
    let _daemon = xgre_end(&one, Mode::Tc, "");
    add_tenant(&one, "blue", "--key 10 --service l2");
    for (host, end) in [(&one, 10), (&two, 11)] {
        host.ns.ip(&format!("addr add 192.168.4.{end}/24 dev blue0"));
    }
    let _shadow = two.start("--iface eth0 --shadow");
    tunnel(&two, REMOTE, LOCAL);
    two.xgre("tenant add blue --key 10 --service l2 --tunnel t").ok();
    two.xgre("port add blue seen0 --create").ok();
    eventually("the switch", || Ping::to("192.168.4.11").times(1, 10).run(&one.ns).received == 1);
    let before = count(&two.tenant_stats("blue"), "/rx/packets");
    Ping::to("192.168.4.11").times(5, 20).all_answered(&one.ns);
    let blue = two.tenant_stats("blue");
    assert!(count(&blue, "/rx/packets") >= before + 5, "{blue}");
    assert_eq!(blue["drops"], serde_json::json!({}), "{blue}");
}
