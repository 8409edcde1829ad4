//! Ports on devices that were there: the host's end of a pair whose other end is a container's.

use testbed::{
    Capture, Netns, Ping, Tap,
    packet::{ETHERNET, Gre, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
    traffic, veth,
};

use crate::setup::{Mode, Pair, Service, add_tenant, any_port, inner_addresses, tunnel};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        for service in Service::ALL {
            let name = format!("a container behind a device that must segment, {service}, {mode}");
            cases.push(Case::new(name, move || container(service, mode)));
        }
    }
    cases.push(Case::new("a container that merges gets its packets from TC", merging));
    cases.push(Case::new("XDP redirects to a tap", tap));
    cases.push(Case::new("an l3 port with the station that the user names", station_named));
    cases
}

/// `blue` of host two is the container's, by the pair `p0` and `c0`.
fn pair_with_container(service: Service, mode: Mode) -> (Pair, Netns) {
    let pair = Pair::with_tenants(mode, &[]);
    let container = Netns::new();
    veth((&pair.two.ns, "p0"), (&container, "c0"));
    container.ip(&format!("link set c0 mtu {}", service.mtu(1500)));
    if service == Service::L3 {
        container.ip("link set c0 arp off");
    }
    let options = format!("--key 10 --service {service}");
    add_tenant(&pair.one, "blue", &options);
    pair.two.xgre(&format!("tenant add blue {options} --tunnel t")).ok();
    pair.two.xgre("port add blue p0").ok();
    inner_addresses(&pair.one.ns, "blue0", 1);
    inner_addresses(&container, "c0", 2);
    (pair, container)
}

fn container(service: Service, mode: Mode) {
    let (Pair { one, two, daemons: _daemons }, container) = pair_with_container(service, mode);
    // Packets merged on the uplink have to be cut again for the port.
    two.ns.offload("eth0", "gro on");
    two.ns.offload("p0", "tso off gso off");
    for [first, second] in [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]] {
        Ping::to(second).all_answered(&one.ns);
        traffic::tcp(&one.ns, (&container, any_port(second)), 8 * MIB);
        traffic::tcp(&container, (&one.ns, any_port(first)), 8 * MIB);
    }
}

/// A veth device would transmit what XDP redirects while its other end has GRO on. But the sender's checksums are
/// partial, as on any machine that sends to itself, and XDP would lose the mark.
fn merging() {
    let (Pair { one, two, daemons: _daemons }, container) =
        pair_with_container(Service::L3, Mode::Native);
    container.offload("c0", "gro on");
    traffic::tcp(&one.ns, (&container, any_port("10.9.0.2")), 8 * MIB);
    assert_eq!(two.json("port list")["ports"][0]["delivery"], "pass");
}

fn tap() {
    const MARK: &[u8] = b"a mark that is seen";
    let (host, wire) = sensor();
    let tap = Tap::new(&host.ns, "tap0");
    let _daemon = host.start("--iface eth0 --mode native");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    host.xgre("tenant add blue --key 10 --tunnel t --service l2").ok();
    host.xgre("port add blue tap0").ok();
    assert_eq!(host.json("port list")["ports"][0]["delivery"], "redirect");
    let inner = Udp::new("10.9.0.2", "10.9.0.1", MARK).ethernet([2; 6], [4; 6]);
    let packet = Gre::new("192.0.2.2", "192.0.2.1", ETHERNET, inner.clone()).key(10);
    // Redirected frames do not meet a packet tap on their way.
    let capture = Capture::start(&host.ns, "tap0");
    send_frame(&wire, "eth0", &packet.to_mac(host.ns.mac("eth0")).build());
    assert_eq!(tap.receive(MARK), inner);
    assert!(!capture.stop().iter().any(|frame| frame.contains(MARK)));
}

fn station_named() {
    let (Pair { one, two, daemons: _daemons }, container) =
        pair_with_container(Service::L3, Mode::Tc);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let mac = "02:00:00:00:00:77";
    container.ip(&format!("link set c0 address {mac}"));
    // Nobody tells this namespace of a change in another one.
    two.xgre("port del blue p0").ok();
    two.xgre(&format!("port add blue p0 --mac {mac}")).ok();
    assert_eq!(two.json("port list")["ports"][0]["station"], mac);
    Ping::to("10.9.0.2").all_answered(&one.ns);
}
