//! What else arrives at an uplink: wrong remotes, unknown keys, VLAN tags, other people's traffic.

use testbed::{
    Capture, Frame, Host, Netns, Ping,
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
    traffic::tcp,
    two_hosts,
};

use crate::setup::{Mode, Service, add_tenant, any_port, count, inner_addresses, tunnel};

const FRAMES: u64 = 5;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut each_mode = |what: &str, run: fn(Mode)| {
        for mode in Mode::ALL {
            cases.push(Case::new(format!("{what}, {mode}"), move || run(mode)));
        }
    };
    each_mode("a wrong remote is dropped", wrong_remote);
    each_mode("an unknown key is passed", unknown_key);
    each_mode("an unknown key is dropped if strict", unknown_key_strict);
    each_mode("GRE is decapsulated, VLAN-tagged or not", decapsulated);
    each_mode("other traffic is not disturbed", undisturbed);
    cases.push(Case::new("an uplink without native XDP", bridge_as_uplink));
    cases
}

fn blue_packet() -> Gre {
    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"a mark that is seen").ip();
    Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).key(10)
}

/// A host with the tenant `blue`, and what its statistics say after `packet` came in a few times.
fn after(mode: Mode, options: &str, packet: &Gre) -> (Host, Netns, Vec<Frame>) {
    let (host, wire) = sensor();
    let _daemon = host.start(&format!("--iface eth0 --mode {mode} {options}"));
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    inner_addresses(&host.ns, "blue0", 1);
    let port = Capture::start(&host.ns, "blue0");
    let frame = packet.clone().to_mac(host.ns.mac("eth0")).build();
    for _ in 0..FRAMES {
        send_frame(&wire, "eth0", &frame);
    }
    let mut seen = port.stop();
    seen.retain(|frame| !frame.outgoing && frame.contains(b"a mark that is seen"));
    (host, wire, seen)
}

fn wrong_remote(mode: Mode) {
    let (host, _wire, seen) = after(mode, "", &blue_packet().from("192.0.2.99"));
    let blue = host.tenant_stats("blue");
    assert_eq!(count(&blue, "/drops/wrong_remote"), FRAMES, "{blue}");
    assert_eq!((count(&blue, "/rx/packets"), seen.len()), (0, 0));
}

fn unknown_key(mode: Mode) {
    let (host, _wire, seen) = after(mode, "", &blue_packet().key(99));
    let stats = host.uplink_stats("eth0");
    let hooks = stats["hooks"].as_array().expect("hooks");
    assert!(hooks.iter().any(|hook| count(hook, "/passed/no_binding") == FRAMES), "{stats}");
    assert!(count(&stats, "/passed") >= FRAMES, "{stats}");
    assert!(seen.is_empty());
}

fn unknown_key_strict(mode: Mode) {
    let (host, _wire, seen) = after(mode, "--strict", &blue_packet().key(99));
    let stats = host.uplink_stats("eth0");
    assert_eq!(count(&stats, "/drops/no_binding"), FRAMES, "{stats}");
    assert!(seen.is_empty());
}

fn decapsulated(mode: Mode) {
    for packet in [
        blue_packet(),
        blue_packet().vlan(0x8100, 5),
        blue_packet().vlan(0x88a8, 6).vlan(0x8100, 7),
    ] {
        let (host, _wire, seen) = after(mode, "", &packet);
        let blue = host.tenant_stats("blue");
        assert_eq!(count(&blue, "/rx/packets"), FRAMES, "{packet:?}: {blue}");
        assert_eq!(seen.len() as u64, FRAMES, "at the port: {packet:?}");
    }
}

fn undisturbed(mode: Mode) {
    let (one, two) = two_hosts();
    let mut daemons = Vec::new();
    for (host, local, remote, end) in
        [(&one, "192.0.2.1", "192.0.2.2", 1), (&two, "192.0.2.2", "192.0.2.1", 2)]
    {
        let id = format!("vxlan id 42 dstport 4789 local {local} remote {remote} dev eth0");
        host.ns.ip(&format!("link add vx0 type {id}"));
        host.ns.ip(&format!("addr add 10.42.0.{end}/24 dev vx0"));
        host.ns.ip("link set vx0 up");
        daemons.push(host.start(&format!("--iface eth0 --mode {mode}")));
        tunnel(host, local, remote);
        add_tenant(host, "blue", "--key 10");
    }
    for address in ["192.0.2.2", "10.42.0.2"] {
        Ping::to(address).size(1400).dont_fragment().all_answered(&one.ns);
        tcp(&one.ns, (&two.ns, any_port(address)), 8 << 20);
    }
    for host in [&one, &two] {
        let stats = host.uplink_stats("eth0");
        assert!(count(&stats, "/hooks/0/passed/not_gre") > 0, "{stats}");
        assert_eq!(stats["drops"], serde_json::json!({}), "{stats}");
    }
}

/// A bridge cannot take native XDP: `auto` falls back to TC and says why.
fn bridge_as_uplink() {
    let (one, two) = two_hosts();
    let mut daemons = Vec::new();
    for (host, local, remote, end) in
        [(&one, "192.0.2.1", "192.0.2.2", 1), (&two, "192.0.2.2", "192.0.2.1", 2)]
    {
        host.ns.ip("addr flush dev eth0");
        testbed::bridge(&host.ns, "br0", &["eth0"]);
        host.ns.ip(&format!("addr add {local}/24 dev br0"));
        daemons.push(host.start("--iface br0"));
        tunnel(host, local, remote);
        add_tenant(host, "blue", &format!("--key 10 --service {}", Service::L2));
        inner_addresses(&host.ns, "blue0", end);
    }
    let greeting = daemons[0].greeting.join("\n");
    assert!(greeting.contains("br0: TC only") && greeting.contains("XDP"), "{greeting}");
    assert_eq!(one.uplink_stats("br0")["mode"], "tc");
    Ping::to("10.9.0.2").size(1400).dont_fragment().all_answered(&one.ns);
    tcp(&one.ns, (&two.ns, any_port("10.9.0.2")), 8 << 20);
}
