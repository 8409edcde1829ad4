//! What there is to know of a host: plain data, gathered once.

use std::net::IpAddr;

use gre_common::{
    tables::{Delivery, IfIndex, PortMode, UplinkMode},
    verdict::DropReason,
    wire::gre::GreKey,
};

use crate::{
    netlink::{
        ethtool::{Offloads, Queues},
        filter::Filter,
        generic::XdpFeatures,
        link::Link,
        next_hop::Acquaintance,
    },
    state::port::Origin,
};

/// A host. What is empty or `None` is not there, or cannot be told.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its kernel.
    pub kernel: Kernel,
    /// What is wrong with the configuration file.
    pub problems: Vec<Problem>,
    /// The state.
    pub state: State,
    /// All interfaces.
    pub links: Vec<Link>,
    /// Interfaces that carry the tunnels' packets, or are to.
    pub uplinks: Vec<Uplink>,
    /// Tunnels, as configured, by name.
    pub tunnels: Vec<Tunnel>,
    /// Tenants, as configured.
    pub tenants: Vec<Tenant>,
    /// Ports, as configured.
    pub ports: Vec<Port>,
    /// Who else on this host answers to GRE packets.
    pub endpoints: Vec<Endpoint>,
    /// What was dropped where.
    pub counters: Vec<Counter>,
}

/// The kernel and its settings.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its version.
    pub release: (u32, u32),
    /// CPUs that are online.
    pub cpus: usize,
    /// Whether programs are compiled to machine code.
    pub jit: Option<bool>,
    /// Whether those without privilege may load programs.
    pub unprivileged: Option<bool>,
    /// Whether it describes its own types.
    pub btf: bool,
    /// Why the state would have no place.
    pub no_place: Option<String>,
    /// Privileges that whoever asks lacks.
    pub lacks: Option<String>,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            release: (6, 18),
            cpus: 1,
            jit: None,
            unprivileged: None,
            btf: true,
            no_place: None,
            lacks: None,
        }
    }
}

/// What is wrong somewhere in a file.
#[derive(Clone, Debug)]
pub struct Problem {
    /// File, line and column.
    pub place: String,
    /// Cause and remedy.
    pub message: String,
}

/// The pinned state.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Its folder.
    pub dir: String,
    /// Whether it is there.
    pub exists: bool,
    /// Why it cannot be read, though it is there.
    pub unreadable: Option<String>,
    /// Whether a daemon runs.
    pub has_daemon: bool,
    /// Whether XDP spreads inner flows over CPUs.
    pub steers: bool,
    /// Programs linked to an interface by a pin: the hook's name and the interface.
    pub linked: Vec<(&'static str, IfIndex)>,
    /// The build of the programs attached, where it is another than this one.
    pub other_build: Option<String>,
}

/// A program at an interface's ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The kernel's number for it.
    pub id: u32,
    /// Its name; may be empty.
    pub name: String,
    /// Whether it is one of this state.
    pub is_ours: bool,
}

/// An interface, looked at closely.
#[derive(Clone, Debug)]
pub struct Device {
    /// The interface.
    pub link: Link,
    /// What XDP can do on it; `None` before Linux 6.3.
    pub xdp: Option<XdpFeatures>,
    /// What it does with frames.
    pub offloads: Offloads,
    /// Its queues of received packets.
    pub queues: Option<Queues>,
    /// Whether the kernel drops packets of IPv4 whose source it would answer by another interface (`rp_filter` 1).
    pub is_strict: bool,
    /// The XDP program.
    pub xdp_program: Option<Program>,
    /// TCX programs, the first one first; `None`: this kernel has no TCX.
    pub tcx: Option<Vec<Program>>,
    /// Filters behind or instead of them.
    pub filters: Vec<Filter>,
}

/// An interface that carries the tunnels' packets.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// `None`: there is no such interface.
    pub device: Option<Device>,
    /// How packets are taken off it; `None` before the first run.
    pub mode: Option<UplinkMode>,
}

/// A tunnel.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Its local address.
    pub local: IpAddr,
    /// Its remote address.
    pub remote: IpAddr,
    /// Whether the local address is one of this host.
    pub is_local: bool,
    /// How its packets leave; `None`: they do not.
    pub route: Option<Route>,
    /// Whether its keepalives say that it is down.
    pub is_down: bool,
    /// Largest inner packet that was asked for, in bytes.
    pub mtu: Option<u16>,
    /// Bytes around it on the underlay, for the tenant that needs most.
    pub overhead: u32,
    /// Uplinks with the local address.
    pub home: Vec<IfIndex>,
}

/// How a tunnel's packets leave.
#[derive(Clone, Debug)]
pub struct Route {
    /// The device.
    pub link: Link,
    /// The neighbour; `None` where the kernel does not say.
    pub next: Option<IpAddr>,
    /// How far the kernel got with it.
    pub acquaintance: Acquaintance,
    /// Whether programs send by it: the daemon has found the neighbour. `None` where the tunnel is in no state.
    pub is_resolved: Option<bool>,
    /// Largest outer packet in bytes.
    pub mtu: u32,
    /// The port that it leads back into.
    pub into_port: Option<String>,
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Whether it has a port.
    pub has_port: bool,
    /// The key in packets received.
    pub key: Option<GreKey>,
    /// Names of its tunnels.
    pub tunnels: Vec<String>,
}

/// A port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The tenant's.
    pub tenant: String,
    /// Where its device comes from.
    pub origin: Origin,
    /// How packets are taken off it.
    pub mode: PortMode,
    /// How they reach it; `None` before it is one.
    pub delivery: Option<Delivery>,
    /// The device that carries the program; `None`: it is not there.
    pub device: Option<Device>,
    /// The other end of its pair, in this namespace.
    pub other_end: Option<Device>,
    /// What the tenant's tunnels take; `None` where they lead nowhere.
    pub fits: Option<Fits>,
    /// Networks that the host has routes to by the port, and the interface that the kernel prefers.
    pub detours: Vec<Detour>,
}

/// What a tenant's tunnels take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fits {
    /// Largest inner packet behind the link-layer header, in bytes.
    pub inner: u32,
    /// Bytes around it on the underlay: outer headers, and for l2 the inner Ethernet header.
    pub overhead: u32,
}

/// Packets from a network come by one interface, and answers leave by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detour {
    /// An address there.
    pub address: IpAddr,
    /// The interface's name.
    pub by: String,
}

/// Somebody who answers to GRE packets.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The kernel or Open vSwitch.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// Its address; `None`: any of this host.
    pub local: Option<IpAddr>,
    /// The other end's.
    pub remote: IpAddr,
    /// What it receives.
    pub keys: Keys,
}

/// Whose an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A device of the kernel's.
    Kernel,
    /// A port of Open vSwitch.
    OpenVswitch,
}

/// What an endpoint receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Whatever the key.
    All,
    /// Packets with this key, or without one.
    One(Option<GreKey>),
}

/// Packets of a tenant, or of nobody's at an interface.
#[derive(Clone, Debug)]
pub struct Counter {
    /// "tenant blue", or the interface.
    pub subject: String,
    /// How many there were, dropped ones included.
    pub packets: u64,
    /// Those dropped.
    pub drops: Vec<(DropReason, u64)>,
    /// Those of them dropped while we looked.
    pub recent: Vec<(DropReason, u64)>,
}

impl Host {
    /// Whether packets that the kernel sends or receives by an interface pass an uplink: it is one, or an uplink is a part of
    /// it or below it.
    pub fn is_covered(&self, link: &Link) -> bool {
        let is_uplink = |ifindex| self.devices().any(|uplink| uplink.link.ifindex == ifindex);
        let has_part = || self.devices().any(|uplink| uplink.link.master == Some(link.ifindex));
        let below = || {
            let below = link.below?;
            self.links.iter().find(|link| link.ifindex == below)
        };
        is_uplink(link.ifindex) || has_part() || below().is_some_and(|link| self.is_covered(link))
    }

    /// The devices of uplinks that are there.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.uplinks.iter().filter_map(|uplink| uplink.device.as_ref())
    }

    /// The tunnel of this name.
    pub fn tunnel(&self, name: &str) -> Option<&Tunnel> {
        let found = self.tunnels.binary_search_by(|tunnel| tunnel.name.as_str().cmp(name));
        self.tunnels.get(found.ok()?)
    }
}

impl Device {
    /// Whether it is one end of a pair.
    pub fn is_veth(&self) -> bool {
        self.link.kind.as_deref() == Some("veth")
    }
}
