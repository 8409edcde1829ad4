//! Open vSwitch: its userspace datapath or its kernel module, a GRE port, a flow for the l2 tenant.

use std::path::Path;

use testbed::{
    Host, Netns, OpenVswitch,
    suite::{Case, Need},
    topology::sensor,
};

use crate::{
    comparison::{Peer, compare},
    receiver::{Framing, Order, Port, Receiver},
    tenants::{self, GREEN},
    underlay::Underlay,
};

const LOCAL: &str = Underlay::V4.local();
const REMOTE: &str = Underlay::V4.remote();

/// What the guest of `cargo xtask vm` is told.
const GUEST: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/xgre";

pub fn cases() -> Vec<Case> {
    let case = Case::new("Open vSwitch and xgre agree on every packet", userspace);
    let reason = "takes minutes in the emulated guest, where the userspace datapath is the same";
    let userspace =
        case.needs(Need::OpenVswitch).needs(Need::That(!Path::new(GUEST).exists(), reason));
    let kernel = Case::new("Open vSwitch's kernel datapath and xgre agree on every packet", kernel);
    vec![userspace, kernel.needs(Need::KernelDatapath)]
}

fn userspace() {
    let (host, wire) = sensor();
    // The kernel must not answer at the switch's interface.
    host.ns.ip("addr flush dev eth0");
    host.ns.ip("link set eth0 arp off");
    let ovs = OpenVswitch::start(&host.ns);
    ovs.vsctl(
        "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
         other-config:hwaddr=02:00:00:00:05:ee",
    );
    host.ns.ip(&format!("addr add {LOCAL}/24 dev underlay"));
    host.ns.ip("link set underlay up");
    let port = bridge((&host, &ovs), "netdev");
    agree(Peer::OpenVswitch, (&host, "underlay"), &wire, (port, Order::Batched));
}

/// The module receives by the kernel's IP stack, with a GRE device of its own. What it has no flow for it asks the daemon
/// about.
fn kernel() {
    let (host, wire) = sensor();
    let ovs = OpenVswitch::start(&host.ns);
    ovs.vsctl("set open_vswitch . other_config:max-idle=3600000");
    let port = bridge((&host, &ovs), "system");
    agree(Peer::KernelDatapath, (&host, "eth0"), &wire, (port, Order::Learned));
}

fn agree(peer: Peer, (host, device): (&Host, &str), wire: &Netns, (port, order): (Port, Order)) {
    let switch = Receiver::new((&host.ns, device), wire, Underlay::V4, vec![port], order);
    compare(peer, &switch, &tenants::xgre(Underlay::V4, "", &[GREEN]));
}

/// A bridge that gives the tenant's frames to the host.
fn bridge((host, ovs): (&Host, &OpenVswitch<'_>), datapath: &str) -> Port {
    ovs.vsctl(&format!(
        "add-br inside -- set bridge inside datapath_type={datapath} -- add-port inside gre \
         -- set interface gre type=gre ofport_request=1 options:remote_ip={REMOTE} options:in_key=flow"
    ));
    let key = GREEN.key.expect("a key");
    ovs.ofctl("del-flows inside");
    ovs.ofctl(&format!("add-flow inside in_port=1,tun_id={key},actions=LOCAL"));
    host.ns.ip("link set inside up");
    Port { tenant: GREEN.name, device: "inside".to_owned(), framing: Framing::Ethernet }
}
