//! Ways from one host to another over one wire: what there is, and xgre.

use std::net::Ipv4Addr;

use clap::ValueEnum;
use testbed::{Daemon, Host, Netns, OpenVswitch, topology};

/// What connects two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// The wire itself.
    Veth,
    /// A VXLAN device of the kernel's at both ends.
    Vxlan,
    /// xgre at both ends, in TC.
    Xgre,
    /// Open vSwitch at both ends, its userspace datapath on packet sockets, a GRE port with a key.
    OpenVswitch,
}

/// Addresses of the hosts on their wire.
pub const UNDERLAY: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const OVERLAY: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

impl Peer {
    /// The name in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Vxlan => "vxlan",
            Self::Xgre => "xgre",
            Self::OpenVswitch => "ovs",
        }
    }

    /// What it needs and this machine lacks.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::OpenVswitch => OpenVswitch::available().err(),
            _ => None,
        }
    }
}

/// Two hosts on one wire, for a way.
pub fn hosts() -> (Host, Host) {
    topology::two_hosts()
}

/// A way from one host to another.
pub struct Way<'h> {
    /// What it is made of.
    pub peer: Peer,
    /// Where senders are.
    pub one: &'h Netns,
    /// Where receivers are.
    pub two: &'h Netns,
    /// The receivers' address.
    pub address: Ipv4Addr,
    _running: Vec<Running<'h>>,
}

/// What ends when the way does.
#[expect(dead_code, reason = "kept until it is dropped")]
enum Running<'h> {
    Xgre(Daemon),
    OpenVswitch(OpenVswitch<'h>),
}

impl<'h> Way<'h> {
    /// Sets it up.
    pub fn new(peer: Peer, hosts: &'h (Host, Host)) -> Self {
        let (one, two) = hosts;
        let ends = [one, two];
        let mut running = Vec::new();
        for (here, host) in ends.into_iter().enumerate() {
            let there = 1 - here;
            match peer {
                Peer::Veth => {}
                Peer::Vxlan => vxlan(host, here, there),
                Peer::Xgre => running.push(Running::Xgre(xgre(host, here, there))),
                Peer::OpenVswitch => {
                    running.push(Running::OpenVswitch(open_vswitch(host, here, there, None)));
                }
            }
        }
        let addresses = if peer == Peer::Veth { UNDERLAY } else { OVERLAY };
        let address = addresses[1].parse().expect("an IPv4 address");
        Self { peer, one: &one.ns, two: &two.ns, address, _running: running }
    }
}

fn vxlan(host: &Host, here: usize, there: usize) {
    let (local, remote) = (UNDERLAY[here], UNDERLAY[there]);
    host.ns.ip(&format!(
        "link add vxlan0 type vxlan id 10 dstport 4789 local {local} remote {remote} dev eth0"
    ));
    host.ns.ip(&format!("addr add {}/24 dev vxlan0", OVERLAY[here]));
    host.ns.ip("link set vxlan0 up");
}

fn xgre(host: &Host, here: usize, there: usize) -> Daemon {
    let daemon = host.start("--iface eth0 --mode tc");
    let (local, remote) = (UNDERLAY[here], UNDERLAY[there]);
    host.xgre(&format!("tunnel add t --local {local} --remote {remote}")).ok();
    host.xgre("tenant add blue --key 10 --tunnel t").ok();
    host.xgre("port add blue blue0 --create").ok();
    host.ns.ip(&format!("addr add {}/24 dev blue0", OVERLAY[here]));
    daemon
}

/// Open vSwitch's userspace datapath, a GRE port with a key. What enters it at a device, or at the host itself
/// when there is none, goes through the tunnel and back.
pub fn open_vswitch<'h>(
    host: &'h Host,
    here: usize,
    there: usize,
    device: Option<&str>,
) -> OpenVswitch<'h> {
    // Open vSwitch takes frames off the wire as they are: they must be complete. It shares `eth0` with the
    // kernel, which must not answer there: no address, no ARP, another MAC address.
    host.ns.ip("addr flush dev eth0");
    host.ns.offload("eth0", "tx off");
    host.ns.ip("link set eth0 arp off");
    let ovs = OpenVswitch::start(&host.ns);
    ovs.vsctl(&format!(
        "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
         other-config:hwaddr=02:00:00:00:05:0{here}"
    ));
    ovs.vsctl(&format!(
        "add-br inside -- set bridge inside datapath_type=netdev \
         -- add-port inside gre -- set interface gre type=gre ofport_request=1 \
         options:remote_ip={} options:in_key=flow options:out_key=flow",
        UNDERLAY[there]
    ));
    if let Some(device) = device {
        ovs.vsctl(&format!("add-port inside {device} -- set interface {device} ofport_request=2"));
    }
    let port = if device.is_some() { "2" } else { "LOCAL" };
    ovs.ofctl("del-flows inside");
    ovs.ofctl(&format!("add-flow inside in_port={port},actions=set_tunnel:10,output:1"));
    ovs.ofctl(&format!("add-flow inside in_port=1,tun_id=10,actions=output:{port}"));
    for (bridge, address) in [("underlay", UNDERLAY[here]), ("inside", OVERLAY[here])] {
        host.ns.ip(&format!("addr add {address}/24 dev {bridge}"));
        host.ns.ip(&format!("link set {bridge} up"));
    }
    host.ns.ip("link set inside mtu 1458");
    ovs
}
