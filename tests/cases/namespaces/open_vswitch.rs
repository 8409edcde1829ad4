//! Open vSwitch at the other end of the tunnel: its userspace datapath, and its kernel module.

use std::fmt;

use testbed::{
    Capture, Daemon, Host, OpenVswitch, Ping,
    suite::{Case, Need},
    topology::wired,
};

use crate::{
    crossing::{CHECKSUM, KEYS, Keys, SEQUENCE, addresses, all_cross},
    setup::{Mode, add_tenant, count, eventually},
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for datapath in [Datapath::Userspace, Datapath::Kernel] {
        let mut add = |name: String, run: Box<dyn FnOnce() + Send>| {
            cases.push(Case::new(format!("{datapath}{name}"), run).needs(datapath.need()));
        };
        for options in datapath.options() {
            for &mode in options.modes {
                let run = move || interoperate(datapath, options, mode);
                add(format!("{}, {mode}", options.name), Box::new(run));
            }
        }
        add(" with another key".to_owned(), Box::new(move || other_key(datapath, [10, 11])));
        add(", another key here".to_owned(), Box::new(move || other_key(datapath, [11, 10])));
    }
    cases
}

pub const LOCAL: &str = "192.168.5.23";
pub const REMOTE: &str = "192.168.5.238";

/// What switches packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Datapath {
    Userspace,
    Kernel,
}

impl Datapath {
    pub const fn need(self) -> Need {
        match self {
            Self::Userspace => Need::OpenVswitch,
            Self::Kernel => Need::KernelDatapath,
        }
    }

    const fn options(self) -> &'static [Options] {
        match self {
            Self::Userspace => &USERSPACE,
            Self::Kernel => &KERNEL,
        }
    }

    /// The name in the database.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Userspace => "netdev",
            Self::Kernel => "system",
        }
    }
}

impl fmt::Display for Datapath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Userspace => "Open vSwitch",
            Self::Kernel => "Open vSwitch's kernel datapath",
        })
    }
}

/// What a tunnel is told at both ends, and the bit that says so in packets that xgre sends, and receives.
struct Options {
    name: &'static str,
    xgre: &'static str,
    ovs: &'static str,
    bits: [u16; 2],
    modes: &'static [Mode],
}

const PLAIN: Options = Options { name: "", xgre: "", ovs: "", bits: [0; 2], modes: &Mode::ALL };

const USERSPACE: [Options; 3] = [
    PLAIN,
    Options {
        name: " with checksums",
        xgre: "--csum",
        ovs: "options:csum=true",
        bits: [CHECKSUM; 2],
        modes: &[Mode::Tc],
    },
    Options {
        name: " with sequence numbers",
        xgre: "--seq",
        ovs: "options:seq=true",
        bits: [SEQUENCE; 2],
        modes: &[Mode::Native],
    },
];

/// The module sends no sequence numbers. It sends checksums, but receives none: its device was not told to expect them
/// (`ip_tunnel_rcv` counts them as CRC errors).
const KERNEL: [Options; 2] = [
    PLAIN,
    Options {
        name: ", which sends checksums",
        // What the switch adds has to fit too.
        xgre: "--mtu 1454",
        ovs: "options:csum=true",
        bits: [0, CHECKSUM],
        modes: &[Mode::Tc, Mode::Native],
    },
];

/// xgre and its tunnel.
pub fn xgre_end(host: &Host, mode: Mode, options: &str) -> Daemon {
    // Open vSwitch takes frames off the wire as they are: they must be complete.
    host.ns.offload("eth0", "tx off gro on");
    let daemon = host.start(&format!("--iface eth0 --mode {mode}"));
    host.xgre(&format!("tunnel add t --local {LOCAL} --remote {REMOTE} {options}")).ok();
    daemon
}

/// A switch with a way to the wire.
pub fn ovs_end(host: &Host, datapath: Datapath) -> OpenVswitch<'_> {
    host.ns.offload("eth0", "tx off");
    let ovs = OpenVswitch::start(&host.ns);
    // The module sends by the kernel's routes.
    if datapath == Datapath::Userspace {
        // It shares `eth0` with the kernel, which must not answer there: no address, no ARP, another MAC address.
        host.ns.ip("addr flush dev eth0");
        host.ns.ip("link set eth0 arp off");
        ovs.vsctl(
            "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
             other-config:hwaddr=02:00:00:00:05:ee",
        );
        host.ns.ip(&format!("addr add {REMOTE}/24 dev underlay"));
        host.ns.ip("link set underlay up");
    }
    ovs
}

/// A bridge with a GRE port, joined to the host by the device of the bridge's name.
pub fn add_bridge(
    (host, ovs): (&Host, &OpenVswitch<'_>),
    datapath: Datapath,
    bridge: &str,
    options: &str,
) {
    let kind = datapath.kind();
    ovs.vsctl(&format!(
        "add-br {bridge} -- set bridge {bridge} datapath_type={kind} \
         -- add-port {bridge} gre-{bridge} -- set interface gre-{bridge} type=gre ofport_request=1 \
         options:remote_ip={LOCAL} {options}"
    ));
    ovs.ofctl(&format!("del-flows {bridge}"));
    host.ns.ip(&format!("link set {bridge} up"));
}

/// A tenant's bridge. Who has the same key for both directions leaves it to the flows.
pub fn add_tenants_bridge(
    at: (&Host, &OpenVswitch<'_>),
    datapath: Datapath,
    keys: &Keys,
    more: &str,
) {
    let (options, set, tun_id) = match (keys.sent, keys.received) {
        (Some(sent), Some(received)) if sent == received => (
            "options:in_key=flow options:out_key=flow".to_owned(),
            format!("set_tunnel:{sent},"),
            format!(",tun_id={received}"),
        ),
        (Some(sent), Some(received)) => {
            let keys = format!("options:in_key={sent} options:out_key={received}");
            (keys, String::new(), String::new())
        }
        _ => Default::default(),
    };
    let bridge = keys.device();
    add_bridge(at, datapath, &bridge, &format!("{options} {more}"));
    let (_, ovs) = at;
    ovs.ofctl(&format!("add-flow {bridge} in_port=LOCAL,actions={set}output:1"));
    ovs.ofctl(&format!("add-flow {bridge} in_port=1{tun_id},actions=LOCAL"));
}

fn interoperate(datapath: Datapath, options: &Options, mode: Mode) {
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, datapath);
    let _daemon = xgre_end(&here, mode, options.xgre);
    for keys in &KEYS {
        add_tenant(&here, keys.tenant, &format!("{} --service l2", keys.xgre));
        add_tenants_bridge((&there, &ovs), datapath, keys, options.ovs);
        let device = keys.device();
        let mtu = count(&here.ns.json(&format!("link show {device}"))[0], "/mtu");
        there.ns.ip(&format!("link set {device} mtu {mtu}"));
        if datapath == Datapath::Kernel && options.bits[1] == CHECKSUM {
            // Since Linux 6.10 `gre_fb_xmit` asks its device, not the packet's metadata, whether to have checksums written
            // where a large packet is cut behind it (GSO): nobody writes them. What is cut before gets right ones.
            there.ns.offload(&device, "tso off gso off");
        }
    }
    addresses([&here, &there]);
    eventually("the wire", || Ping::to(REMOTE).times(1, 10).run(&here.ns).received == 1);
    all_cross([&here, &there], options.bits);
}

fn other_key(datapath: Datapath, [ours, theirs]: [u32; 2]) {
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, datapath);
    let keys = Keys { tenant: "blue", xgre: "", sent: Some(theirs), received: Some(theirs) };
    add_tenants_bridge((&there, &ovs), datapath, &keys, "");
    let _daemon = xgre_end(&here, Mode::Native, "");
    add_tenant(&here, "blue", &format!("--key {ours} --service l2"));
    for (host, end) in [(&here, 10), (&there, 11)] {
        host.ns.ip(&format!("addr add 192.168.4.{end}/24 dev blue0"));
    }
    let port = Capture::start(&here.ns, "blue0");
    Ping::to("192.168.4.10").unanswered(&there.ns);
    let received = port.stop().into_iter().filter(|frame| !frame.outgoing).count();
    assert_eq!(received, 0, "nothing arrives");
    let stats = here.uplink_stats("eth0");
    assert!(count(&stats, "/hooks/0/passed/no_binding") > 0, "{stats}");
    assert_eq!(count(&here.tenant_stats("blue"), "/rx/packets"), 0);

    Ping::to("192.168.4.11").unanswered(&here.ns);
    assert!(count(&here.tenant_stats("blue"), "/tx/packets") > 0, "requests did leave");
}
