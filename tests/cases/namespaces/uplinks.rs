//! Which devices can be uplinks: those with jumbo frames, bridges, bonds, VLAN devices, and what is below them.

use testbed::{
    Daemon, Host, Netns, Ping, Tap,
    packet::Udp,
    send_frame,
    suite::{Case, Need},
    traffic::tcp,
    two_hosts, veth,
};

use crate::setup::{
    Mode, Service, add_tenant, any_port, count, drops, eventually, inner_addresses, tunnel,
    wait_for_carriers,
};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        for mode in Mode::ALL {
            let name = format!("jumbo frames: {service}, {mode}");
            cases.push(Case::new(name, move || jumbo(service, mode)));
            let name = format!("a bridge's port as uplink: {service}, {mode}");
            cases.push(Case::new(name, move || bridge_port(service, mode)));
        }
        for mode in [Mode::Generic, Mode::Tc] {
            let name = format!("a bridge as uplink: {service}, {mode}");
            cases.push(Case::new(name, move || bridge(service, mode)));
            let name = format!("a VLAN device as uplink: {service}, {mode}");
            let case = Case::new(name, move || vlan("eth0.5", service, mode));
            cases.push(case.needs(Need::Device("vlan")));
        }
        for mode in [Mode::Native, Mode::Tc] {
            let name = format!("an uplink below a VLAN device: {service}, {mode}");
            let case = Case::new(name, move || vlan("eth0", service, mode));
            cases.push(case.needs(Need::Device("vlan")));
        }
    }
    for (uplinks, mode) in [
        ("bond0", Mode::Generic),
        ("bond0", Mode::Tc),
        ("eth0 eth1", Mode::Native),
        ("eth0 eth1", Mode::Generic),
        ("eth0 eth1", Mode::Tc),
    ] {
        let name = format!("a bond with the uplinks {uplinks}, {mode}");
        let case = Case::new(name, move || bond(uplinks, mode));
        cases.push(case.needs(Need::Device("bond")));
    }
    let to_tap = Case::new("a jumbo frame that XDP cannot redirect", jumbo_to_tap);
    cases.push(to_tap.needs(Need::Linux(5, 18)));
    let bond = Case::new("a bond has no native XDP", || {
        refuses_native(bonded(), "bond0", "eth0 eth1");
    });
    cases.push(bond.needs(Need::Device("bond")));
    let vlan = Case::new("a VLAN device has no native XDP", || {
        refuses_native(tagged(), "eth0.5", "eth0");
    });
    cases.push(vlan.needs(Need::Device("vlan")));
    let above = Case::new("generic XDP below a VLAN device is refused", generic_below_vlan);
    cases.push(above.needs(Need::Device("vlan")));
    cases
}

/// Gives the tunnel's addresses to a device of each host; the kernel's own traffic gets through.
fn underlay(hosts: [&Host; 2], device: &str) {
    for (host, end) in hosts.into_iter().zip(1..) {
        host.ns.ip("addr flush dev eth0");
        host.ns.ip(&format!("addr add 192.0.2.{end}/24 dev {device}"));
    }
    let answers = || Ping::to("192.0.2.2").times(1, 10).run(&hosts[0].ns).received == 1;
    eventually("the underlay", answers);
}

/// Joins both hosts by the tenant `blue`.
fn join(hosts: [&Host; 2], uplinks: &str, service: Service, mode: Mode) -> [Daemon; 2] {
    let daemons = hosts.map(|host| host.start(&format!("--iface {uplinks} --mode {mode}")));
    let ends = [("192.0.2.1", "192.0.2.2", 1), ("192.0.2.2", "192.0.2.1", 2)];
    for (host, (local, remote, end)) in hosts.into_iter().zip(ends) {
        tunnel(host, local, remote);
        add_tenant(host, "blue", &format!("--key 10 --service {service}"));
        inner_addresses(&host.ns, "blue0", end);
    }
    daemons
}

/// Whole packets and TCP, both ways, and nothing is dropped. An emulated machine runs this too: not too much.
fn everything_crosses([one, two]: [&Host; 2], service: Service, underlay_mtu: u64) {
    let before = [one, two].map(drops);
    let mtu = count(&one.ns.json("link show blue0")[0], "/mtu");
    assert_eq!(mtu, service.mtu(underlay_mtu), "MTU of the port");
    for (from, to, end) in [(one, two, 2), (two, one, 1)] {
        let address = format!("10.9.0.{end}");
        Ping::to(&address).size(mtu as usize - 28).dont_fragment().all_answered(&from.ns);
        tcp(&from.ns, (&to.ns, any_port(&address)), MIB);
        tcp(&from.ns, (&to.ns, any_port(&format!("fd09::{end}"))), MIB);
    }
    for host in [one, two] {
        let blue = host.tenant_stats("blue");
        assert!(count(&blue, "/rx/bytes") > MIB as u64, "{blue}");
    }
    assert_eq!([one, two].map(drops), before);
}

fn jumbo(service: Service, mode: Mode) {
    let (one, two) = two_hosts();
    for host in [&one, &two] {
        host.ns.ip("link set eth0 mtu 9000");
    }
    let hosts = [&one, &two];
    let _daemons = join(hosts, "eth0", service, mode);
    everything_crosses(hosts, service, 9000);
}

/// A tap takes no frame in fragments from XDP. The small one goes by XDP, the large one by TC.
fn jumbo_to_tap() {
    let (one, two) = two_hosts();
    for host in [&one, &two] {
        host.ns.ip("link set eth0 mtu 9000");
    }
    let _daemons = [&one, &two].map(|host| host.start("--iface eth0 --mode native"));
    tunnel(&one, "192.0.2.1", "192.0.2.2");
    add_tenant(&one, "blue", "--key 10 --service l2");
    tunnel(&two, "192.0.2.2", "192.0.2.1");
    let tap = Tap::new(&two.ns, "tap0");
    two.ns.ip("link set tap0 mtu 8958");
    two.xgre("tenant add blue --key 10 --service l2 --tunnel t").ok();
    two.xgre("port add blue tap0").ok();
    Ping::to("192.0.2.2").all_answered(&one.ns);

    let left_to_tc = || {
        let hooks = two.uplink_stats("eth0")["hooks"].clone();
        count(&hooks[0], "/passed/left_to_tc")
    };
    for (len, left) in [(100, 0), (8900, 1)] {
        let payload = vec![0x5a; len];
        let frame = Udp::new("10.9.0.1", "10.9.0.2", &payload).ethernet([2; 6], [4; 6]);
        send_frame(&one.ns, "blue0", &frame);
        assert_eq!(tap.receive(&payload), frame);
        assert_eq!(left_to_tc(), left, "a payload of {len} bytes");
    }
    assert_eq!(count(&two.tenant_stats("blue"), "/rx/packets"), 2);
}

fn bridged() -> (Host, Host) {
    let (one, two) = two_hosts();
    for host in [&one, &two] {
        testbed::bridge(&host.ns, "br0", &["eth0"]);
    }
    underlay([&one, &two], "br0");
    (one, two)
}

fn bridge(service: Service, mode: Mode) {
    let (one, two) = bridged();
    let _daemons = join([&one, &two], "br0", service, mode);
    everything_crosses([&one, &two], service, 1500);
}

fn bridge_port(service: Service, mode: Mode) {
    let (one, two) = bridged();
    let _daemons = join([&one, &two], "eth0", service, mode);
    everything_crosses([&one, &two], service, 1500);
}

/// Two wires, one of them in reserve.
fn bonded() -> (Host, Host) {
    let (one, two) = two_hosts();
    veth((&one.ns, "eth1"), (&two.ns, "eth1"));
    for host in [&one, &two] {
        host.ns.ip("link add bond0 type bond mode active-backup miimon 10");
        for port in ["eth0", "eth1"] {
            host.ns.ip(&format!("link set {port} down"));
            host.ns.ip(&format!("link set {port} master bond0"));
        }
        host.ns.ip("link set bond0 up");
    }
    wait_for_carriers(&one.ns);
    underlay([&one, &two], "bond0");
    (one, two)
}

fn active_port(ns: &Netns) -> String {
    let link = &ns.json("-d link show bond0")[0];
    link["linkinfo"]["info_data"]["active_slave"].as_str().unwrap_or_default().to_owned()
}

fn bond(uplinks: &str, mode: Mode) {
    let (one, two) = bonded();
    let _daemons = join([&one, &two], uplinks, Service::L3, mode);
    everything_crosses([&one, &two], Service::L3, 1500);

    let first = active_port(&one.ns);
    one.ns.ip(&format!("link set {first} down"));
    for host in [&one, &two] {
        eventually("the other port", || active_port(&host.ns) != first);
    }
    Ping::to("10.9.0.2").times(5, 100).all_answered(&one.ns);
    tcp(&two.ns, (&one.ns, any_port("10.9.0.1")), MIB);
}

/// What to name instead of an uplink that is made of others, the error says.
fn refuses_native((one, _two): (Host, Host), uplink: &str, instead: &str) {
    let refused = one.xgre(&format!("run --iface {uplink} --mode native")).err();
    assert!(refused.contains(&format!("--iface {instead}")), "{refused}");
    let daemon = one.start(&format!("--iface {uplink}"));
    let greeting = daemon.greeting.join("\n");
    assert!(greeting.contains(&format!("{uplink}: TC only")), "{greeting}");
}

fn tagged() -> (Host, Host) {
    let (one, two) = two_hosts();
    for host in [&one, &two] {
        host.ns.ip("link add link eth0 name eth0.5 type vlan id 5");
        host.ns.ip("link set eth0.5 up");
    }
    underlay([&one, &two], "eth0.5");
    (one, two)
}

fn vlan(uplink: &str, service: Service, mode: Mode) {
    let (one, two) = tagged();
    let _daemons = join([&one, &two], uplink, service, mode);
    everything_crosses([&one, &two], service, 1500);
    if service == Service::L2 {
        tenants_vlan([&one, &two]);
    }
}

/// A tenant's own VLANs, behind the underlay's.
fn tenants_vlan([one, two]: [&Host; 2]) {
    for (host, end) in [(one, 1), (two, 2)] {
        host.ns.ip("link add link blue0 name blue7 type vlan id 7");
        host.ns.ip("link add link blue7 name blue8 type vlan id 8");
        for (device, net) in [("blue7", 7), ("blue8", 8)] {
            host.ns.ip(&format!("link set {device} mtu 1400 up"));
            host.ns.ip(&format!("addr add 10.{net}.0.{end}/24 dev {device}"));
        }
    }
    for net in [7, 8] {
        let address = format!("10.{net}.0.2");
        Ping::to(&address).size(1300).all_answered(&one.ns);
        tcp(&one.ns, (&two.ns, any_port(&address)), MIB);
    }
}

fn generic_below_vlan() {
    let (one, _two) = tagged();
    let refused = one.xgre("run --iface eth0 --mode generic").err();
    assert!(refused.contains("eth0.5") && refused.contains("--mode tc"), "{refused}");
}
