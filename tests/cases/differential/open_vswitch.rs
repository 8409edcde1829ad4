//! Open vSwitch: its userspace datapath, a GRE port, a flow for the l2 tenant.

use std::path::Path;

use testbed::{
    Host, OpenVswitch,
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
    let case = Case::new("Open vSwitch and xgre agree on every packet", agree);
    let reason = "takes minutes in the emulated guest, where the userspace datapath is the same";
    vec![case.needs(Need::OpenVswitch).needs(Need::That(!Path::new(GUEST).exists(), reason))]
}

fn agree() {
    let (host, wire) = sensor();
    let (_switch, port) = switch(&host);
    let at = (&host.ns, "underlay");
    let switch = Receiver::new(at, &wire, Underlay::V4, vec![port], Order::Batched);
    compare(Peer::OpenVswitch, &switch, &tenants::xgre(Underlay::V4, "", &[GREEN]));
}

/// A switch that gives the tenant's frames to the host.
fn switch(host: &Host) -> (OpenVswitch<'_>, Port) {
    // The kernel must not answer at the switch's interface.
    host.ns.ip("addr flush dev eth0");
    host.ns.ip("link set eth0 arp off");
    let ovs = OpenVswitch::start(&host.ns);
    ovs.vsctl(
        "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
         other-config:hwaddr=02:00:00:00:05:ee",
    );
    ovs.vsctl(&format!(
        "add-br inside -- set bridge inside datapath_type=netdev -- add-port inside gre \
         -- set interface gre type=gre ofport_request=1 options:remote_ip={REMOTE} options:in_key=flow"
    ));
    let key = GREEN.key.expect("a key");
    ovs.ofctl("del-flows inside");
    ovs.ofctl(&format!("add-flow inside in_port=1,tun_id={key},actions=LOCAL"));
    host.ns.ip(&format!("addr add {LOCAL}/24 dev underlay"));
    for bridge in ["underlay", "inside"] {
        host.ns.ip(&format!("link set {bridge} up"));
    }
    let port = Port { tenant: GREEN.name, device: "inside".to_owned(), framing: Framing::Ethernet };
    (ovs, port)
}
