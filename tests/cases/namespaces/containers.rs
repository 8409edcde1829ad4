//! Ports on devices that were there: the host's end of a pair whose other end is a container's.

use testbed::{Netns, Ping, suite::Case, traffic, veth};

use crate::setup::{Mode, Pair, Service, add_tenant, any_port, inner_addresses};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        for service in Service::ALL {
            let name = format!("a container behind a device that must segment, {service}, {mode}");
            cases.push(Case::new(name, move || container(service, mode)));
        }
    }
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
