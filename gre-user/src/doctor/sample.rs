//! A good host, for tests to break.

use std::net::{IpAddr, Ipv4Addr};

use gre_common::{
    tables::{Delivery, IfIndex, PortMode, UplinkMode},
    wire::gre::GreKey,
};

use super::{
    facts::{Device, Fits, Host, Kernel, Port, Program, Route, State, Tenant, Tunnel, Uplink},
    finding::Severity,
    judge,
};
use crate::{
    netlink::{
        ethtool::{Offloads, Queues},
        generic::XdpFeatures,
        link::{Link, Peer},
        next_hop::Acquaintance,
    },
    state::port::Origin,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// Ids of checks that found something.
pub fn told(host: &Host) -> Vec<&'static str> {
    let found = judge(host).into_iter().filter(|finding| finding.severity != Severity::Ok);
    found.map(|finding| finding.id).collect()
}

/// The uplink's device.
pub fn device(host: &mut Host) -> &mut Device {
    host.uplinks[0].device.as_mut().expect("a device")
}

/// A host with a NIC, a tunnel, a tenant and a created port, and nothing wrong.
pub fn good() -> Host {
    let eth0 = uplink(2, "eth0");
    let nic = eth0.device.as_ref().expect("a device").link.clone();
    let (carrier, stack) = (pair_end(4, "xgre-0", 5), pair_end(5, "blue0", 4));
    Host {
        kernel: Kernel { cpus: 2, ..Kernel::default() },
        state: State {
            dir: "/sys/fs/bpf/xgre".to_owned(),
            exists: true,
            has_daemon: true,
            linked: vec![("uplink_tc", IfIndex(2)), ("port_tc", IfIndex(4))],
            ..State::default()
        },
        links: vec![nic.clone(), carrier.link.clone(), stack.link.clone()],
        uplinks: vec![eth0],
        tunnels: vec![Tunnel {
            name: "t".to_owned(),
            local: LOCAL,
            remote: REMOTE,
            is_local: true,
            route: Some(Route {
                link: nic,
                next: Some(REMOTE),
                acquaintance: Acquaintance::Known,
                is_resolved: Some(true),
                mtu: 1500,
                into_port: None,
            }),
            is_down: false,
            mtu: None,
            overhead: 28,
            home: vec![IfIndex(2)],
        }],
        tenants: vec![Tenant {
            name: "blue".to_owned(),
            has_port: true,
            key: Some(GreKey(10)),
            tunnels: vec!["t".to_owned()],
        }],
        ports: vec![Port {
            name: "blue0".to_owned(),
            tenant: "blue".to_owned(),
            origin: Origin::Created,
            mode: PortMode::TC,
            delivery: Some(Delivery::PASS),
            device: Some(carrier),
            other_end: Some(stack),
            fits: Some(Fits { inner: 1472, overhead: 28 }),
            detours: Vec::new(),
        }],
        ..Host::default()
    }
}

/// A NIC that does everything, attached.
pub fn uplink(ifindex: u32, name: &str) -> Uplink {
    let ours = |id| Program { id, name: "uplink".to_owned(), is_ours: true };
    let device = Device {
        link: link(ifindex, name),
        xdp: Some(XdpFeatures(1 | 4 | 32)),
        offloads: Offloads {
            lro: Some(false),
            gro: Some(true),
            rx_vlan: Some(false),
            tx_vlan: Some(false),
            tx_checksum: Some(false),
        },
        queues: Some(Queues { used: 2, max: 8, combined: true }),
        is_strict: false,
        xdp_program: Some(ours(1)),
        tcx: Some(vec![ours(2)]),
        filters: Vec::new(),
    };
    Uplink { name: name.to_owned(), device: Some(device), mode: Some(UplinkMode::NATIVE) }
}

/// An interface that is up.
pub fn link(ifindex: u32, name: &str) -> Link {
    Link {
        ifindex: IfIndex(ifindex),
        name: name.to_owned(),
        mtu: 1500,
        mtu6: Some(1500),
        mac: Some([2, 0, 0, 0, 0, 1]),
        kind: None,
        peer: None,
        below: None,
        master: None,
        xdp_program: None,
        up: true,
        arp: true,
    }
}

fn pair_end(ifindex: u32, name: &str, peer: u32) -> Device {
    let mut device = uplink(ifindex, name).device.expect("a device");
    device.link.kind = Some("veth".to_owned());
    device.link.mtu = 1472;
    device.link.peer = Some(Peer { ifindex: IfIndex(peer), netnsid: None });
    device
}

#[test]
fn a_good_host_is_silent() {
    assert_eq!(told(&good()), [""; 0]);
}
