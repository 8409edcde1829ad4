//! Ways through four namespaces in a row, each joined to the next by a wire: a source, two hosts, a receiver.
//!
//! The hosts hand on what the source sends, plain or through a tunnel between them. Nothing on the way has to ask for a
//! MAC address or to learn one, so every packet costs the same.

use testbed::{Daemon, Host, Netns, OpenVswitch, bridge, topology, veth};

use super::peers::{self, UNDERLAY};

/// How two hosts hand on what the source sends to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// Routes, no tunnel.
    Route,
    /// Routes and a `gre` device with a key at both hosts.
    Gre,
    /// The first half of [`Self::Route`] or [`Self::Gre`]: the way ends where the second host receives.
    Half { gre: bool },
    /// xgre with an l3 tenant; decapsulation in TC, or in native XDP.
    XgreL3 { xdp: bool },
    /// Bridges, no tunnel.
    Bridge,
    /// Bridges and a `gretap` device with a key at both hosts.
    Gretap,
    /// Bridges and a VXLAN device of the kernel's at both hosts.
    Vxlan,
    /// Open vSwitch's kernel module: one datapath at each host, a GRE port, a flow with a key.
    OvsKernel,
    /// Open vSwitch's userspace datapath on packet sockets, a GRE port, a flow with a key.
    OvsUserspace,
    /// xgre with an l2 tenant; decapsulation in TC, or in native XDP.
    XgreL2 { xdp: bool },
}

/// Where what the source sends goes, and where it comes from.
const DESTINATIONS: &str = "10.8.0.0/16";
const SOURCES: &str = "10.9.0.0/16";
/// IPv4 and GRE with a key.
const GRE_LEN: u64 = 20 + 8;
/// The receiver as a next hop.
const RECEIVER: &str = "10.8.0.1";

impl Hops {
    /// The name in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Gre => "gre",
            Self::Half { gre: false } => "route, first half",
            Self::Half { gre: true } => "gre, first half",
            Self::Bridge => "bridge",
            Self::Gretap => "gretap",
            Self::Vxlan => "vxlan",
            Self::OvsKernel => "ovs-kernel",
            Self::OvsUserspace => "ovs-userspace",
            Self::XgreL3 { xdp: false } | Self::XgreL2 { xdp: false } => "xgre-tc",
            Self::XgreL3 { xdp: true } | Self::XgreL2 { xdp: true } => "xgre-xdp",
        }
    }

    /// Whether the hosts look at IP packets or at Ethernet frames.
    pub const fn service(self) -> &'static str {
        if self.is_l3() { "l3" } else { "l2" }
    }

    const fn is_l3(self) -> bool {
        matches!(self, Self::Route | Self::Gre | Self::Half { .. } | Self::XgreL3 { .. })
    }

    /// The same service without a tunnel.
    pub const fn plain(self) -> Self {
        if self.is_l3() { Self::Route } else { Self::Bridge }
    }

    /// What it needs and this machine lacks. The machine is asked, not searched.
    pub fn missing(self) -> Option<String> {
        let refused = |command: &str| {
            let outcome = Netns::new().exec(command);
            let why = || format!("`{command}`: {}", outcome.stderr.replace('\n', " "));
            (!outcome.status.success()).then(why)
        };
        let device = |kind| refused(&format!("ip link add probe0 type {kind}"));
        match self {
            Self::Gre | Self::Half { gre: true } => {
                device("gre local 192.0.2.1 remote 192.0.2.2 key 10")
            }
            Self::Gretap => device("gretap local 192.0.2.1 remote 192.0.2.2 key 10"),
            Self::Vxlan => device("vxlan id 10 dstport 4789"),
            Self::OvsKernel => OpenVswitch::kernel_datapath().err(),
            Self::OvsUserspace => OpenVswitch::available().err(),
            _ => None,
        }
    }
}

/// Four namespaces in a row.
pub struct Row {
    /// Sends on its `eth0`.
    pub source: Netns,
    /// `port0` to the source, `eth0` to the other host; the other way round at the second.
    pub hosts: [Host; 2],
    /// Has what arrives on its `eth0`.
    pub receiver: Netns,
}

impl Row {
    /// Wires, and nothing else yet.
    pub fn new() -> Self {
        let (one, two) = topology::two_hosts();
        let row = Self { source: Netns::new(), hosts: [one, two], receiver: Netns::new() };
        let [one, two] = &row.hosts;
        for ns in [&row.source, &one.ns, &two.ns, &row.receiver] {
            for scope in ["all", "default"] {
                ns.sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1");
            }
        }
        veth((&row.source, "eth0"), (&one.ns, "port0"));
        veth((&two.ns, "port0"), (&row.receiver, "eth0"));
        for ns in [&row.source, &row.receiver] {
            ns.ip("link set eth0 arp off");
        }
        // Without GRO a veth device without XDP takes no frames of the built-in generator.
        one.ns.offload("port0", "gro on");
        let (here, there) = (one.ns.mac("eth0"), two.ns.mac("eth0"));
        // Room for every tunnel's headers around the largest packets.
        for host in [one, two] {
            host.ns.ip("link set eth0 mtu 1600");
        }
        for (host, remote, mac) in [(one, UNDERLAY[1], there), (two, UNDERLAY[0], here)] {
            host.ns.ip(&format!("neigh replace {remote} lladdr {} dev eth0", text(mac)));
        }
        row
    }
}

/// Hosts set up to hand on.
pub struct Way<'r> {
    /// What it is made of.
    pub hops: Hops,
    /// Where it leads.
    pub row: &'r Row,
    /// The station that the source's frames are for.
    pub station: [u8; 6],
    _running: Vec<Running<'r>>,
}

/// What ends when the way does.
#[expect(dead_code, reason = "kept until it is dropped")]
enum Running<'r> {
    Xgre(Daemon),
    OpenVswitch(OpenVswitch<'r>),
}

impl<'r> Way<'r> {
    /// Sets it up.
    pub fn new(hops: Hops, row: &'r Row) -> Self {
        let receiver = row.receiver.mac("eth0");
        let station = if hops.is_l3() { row.hosts[0].ns.mac("port0") } else { receiver };
        let mut running = Vec::new();
        for (here, host) in row.hosts.iter().enumerate() {
            let end = End { host, here, row };
            match hops {
                Hops::Route | Hops::Half { gre: false } => {
                    end.route(&format!("via {}", UNDERLAY[1 - here]));
                }
                Hops::Gre | Hops::Half { gre: true } => {
                    end.tunnel("gre", "key 10 ttl 64");
                    end.route("dev tunnel0");
                }
                Hops::Bridge => end.bridge("eth0"),
                Hops::Gretap => {
                    end.tunnel("gretap", "key 10 ttl 64");
                    end.bridge("tunnel0");
                }
                Hops::Vxlan => {
                    end.tunnel("vxlan", "id 10 dstport 4789 dev eth0");
                    end.bridge("tunnel0");
                }
                Hops::OvsKernel => end.ovs_kernel(),
                Hops::OvsUserspace => {
                    let ovs = peers::open_vswitch(host, here, 1 - here, Some("port0"));
                    running.push(Running::OpenVswitch(ovs));
                }
                Hops::XgreL3 { xdp } => running.push(Running::Xgre(end.xgre("l3", xdp))),
                Hops::XgreL2 { xdp } => running.push(Running::Xgre(end.xgre("l2", xdp))),
            }
        }
        Self { hops, row, station, _running: running }
    }

    /// Where it ends: `eth0` of this namespace.
    pub fn end(&self) -> &'r Netns {
        match self.hops {
            Hops::Half { .. } => &self.row.hosts[1].ns,
            _ => &self.row.receiver,
        }
    }

    /// How much longer a packet is where the way ends.
    pub const fn growth(&self) -> u64 {
        if matches!(self.hops, Hops::Half { gre: true }) { GRE_LEN } else { 0 }
    }
}

/// One of the two hosts.
struct End<'r> {
    host: &'r Host,
    here: usize,
    row: &'r Row,
}

impl End<'_> {
    fn ip(&self, args: &str) {
        self.host.ns.ip(args);
    }

    /// Routes to the receiver and back to the source; one of them through the other host.
    fn route(&self, other: &str) {
        self.host.ns.sysctl("ipv4/ip_forward", "1");
        if self.here == 0 {
            self.ip(&format!("route add {SOURCES} dev port0"));
            self.ip(&format!("route add {DESTINATIONS} {other}"));
        } else {
            self.ip(&format!("route add {SOURCES} {other}"));
            self.ip(&format!("route add {DESTINATIONS} via {RECEIVER} dev port0 onlink"));
            let receiver = text(self.row.receiver.mac("eth0"));
            self.ip(&format!("neigh add {RECEIVER} lladdr {receiver} dev port0"));
        }
    }

    /// A tunnel device of the kernel's, `tunnel0`.
    fn tunnel(&self, kind: &str, options: &str) {
        let (local, remote) = (UNDERLAY[self.here], UNDERLAY[1 - self.here]);
        self.ip(&format!("link add tunnel0 type {kind} local {local} remote {remote} {options}"));
        self.ip("link set tunnel0 up");
    }

    /// A bridge between the port and a device to the other host, which knows where the receiver is.
    fn bridge(&self, other: &str) {
        bridge(&self.host.ns, "bridge0", &["port0", other]);
        let way = if self.here == 0 { other } else { "port0" };
        let receiver = text(self.row.receiver.mac("eth0"));
        let command = format!("bridge fdb add {receiver} dev {way} master static");
        self.host.ns.exec(&command).ok();
    }

    /// The flows that Open vSwitch's daemon would enter, and a device as it would make it, without the daemon:
    /// nobody looks after flows while they are measured.
    fn ovs_kernel(&self) {
        let dpctl = |args: &str| self.host.ns.exec(&format!("ovs-dpctl {args}")).ok();
        self.ip("link add tunnel0 type gretap external");
        self.ip("link set tunnel0 up");
        dpctl("add-dp datapath0");
        dpctl("add-if datapath0 port0");
        dpctl("add-if datapath0 tunnel0");
        let [one, two] = UNDERLAY;
        let inner = "eth(),eth_type(0x0800),ipv4()";
        if self.here == 0 {
            let tunnel = format!("tunnel(tun_id=0xa,src={one},dst={two},ttl=64,flags(df|key))");
            dpctl(&format!("add-flow datapath0 in_port(1),{inner} set({tunnel}),2"));
        } else {
            let tunnel = format!("tunnel(tun_id=0xa,src={one},dst={two},ttl=0/0,flags(+key))");
            dpctl(&format!("add-flow datapath0 {tunnel},in_port(2),{inner} 1"));
        }
    }

    fn xgre(&self, service: &str, xdp: bool) -> Daemon {
        let mode = if xdp && self.here == 1 { "native" } else { "tc" };
        let daemon = self.host.start(&format!("--iface eth0 --mode {mode}"));
        let (local, remote) = (UNDERLAY[self.here], UNDERLAY[1 - self.here]);
        self.host.xgre(&format!("tunnel add t --local {local} --remote {remote}")).ok();
        self.host.xgre(&format!("tenant add blue --key 10 --tunnel t --service {service}")).ok();
        let beyond = if self.here == 0 { &self.row.source } else { &self.row.receiver };
        let station = match service {
            "l3" => format!(" --mac {}", text(beyond.mac("eth0"))),
            _ => String::new(),
        };
        self.host.xgre(&format!("port add blue port0{station}")).ok();
        daemon
    }
}

/// A MAC address as commands take it.
fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
