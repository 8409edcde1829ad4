//! Why the datapath could not be set up: cause and remedy.

use aya::{
    EbpfError,
    pin::PinError,
    programs::{ProgramError, links::LinkError, tc::TcError},
};

use crate::{
    netlink,
    slowpath::ipsec::DEVICE,
    state::{self, sizes::Other},
};

/// Why the datapath could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller lacks a privilege.
    #[error("missing privilege: {0}; run as root (`sudo xgre ...`)")]
    Privilege(String),
    /// There is no such interface.
    #[error("there is no interface {0}; `ip link` shows those there are")]
    UnknownInterface(String),
    /// There is no such interface yet, or never.
    #[error(
        "there is no interface {0}; `ip link` shows those there are, and with --wait xgre begins before it appears"
    )]
    NoUplink(String),
    /// The name of a device of ours is taken.
    #[error(
        "interface {0} is not of xgre's making; rename it: frames that go to several need a device of this name"
    )]
    FloodDevice(&'static str),
    /// Another XDP program is there.
    #[error(
        "interface {interface} already has an XDP program ({program}); xgre never replaces another's: \
         remove it with `ip link set dev {interface} xdp off`, or run with --mode tc"
    )]
    ForeignXdp {
        /// The interface.
        interface: String,
        /// The program's name and id.
        program: String,
    },
    /// Another filter stands where ours would, below TCX.
    #[error(
        "interface {interface} already has a TC filter with priority {priority} at its ingress; xgre needs this place and \
         never replaces another's: see `tc filter show dev {interface} ingress`, and give that one a higher number"
    )]
    ForeignFilter {
        /// The interface.
        interface: String,
        /// The place.
        priority: u16,
    },
    /// Another state's program is there.
    #[error(
        "interface {interface} already has the program {program} of another xgre state; end that one, or take it off with \
         `xgre --state DIR detach`"
    )]
    OtherState {
        /// The interface.
        interface: String,
        /// The program.
        program: &'static str,
    },
    /// The driver cannot do what was asked for by name.
    #[error("{interface} cannot run {what}: {cause}; {remedy}")]
    Mode {
        /// The interface.
        interface: String,
        /// The mode.
        what: &'static str,
        /// The kernel's word for it.
        cause: String,
        /// What to do instead.
        remedy: String,
    },
    /// Generic XDP would leave the underlay's VLAN tag on tenants' packets.
    #[error(
        "{interface} has the VLAN device {vlan}, and generic XDP does not see a tag that was taken out of the frame; \
         use --mode tc"
    )]
    TagBeside {
        /// The interface.
        interface: String,
        /// A VLAN device above it.
        vlan: String,
    },
    /// A daemon is running already.
    #[error("another `xgre run` manages the state at {0}; end it first, or use another --state")]
    Running(String),
    /// The size of existing maps was to be changed.
    #[error(
        "the state has room for {} {}, not {}; leave out {}, or `xgre detach` first",
        .0.found, .0.what, .0.asked, .0.option
    )]
    Size(Other),
    /// The programs are not loaded.
    #[error("the datapath is not loaded; start `xgre run --iface IFACE` first")]
    NotLoaded,
    /// A device has no Ethernet header.
    #[error("{0} has no Ethernet header, and xgre needs one: use a tap, veth or Ethernet device")]
    NotEthernet(String),
    /// Nobody knows the MAC address behind an l3 port.
    #[error(
        "the MAC address behind {0} is not known; give it with --mac, in a file as mac (an l3 port delivers to one station)"
    )]
    NoStation(String),
    /// The object could not be loaded.
    #[error("cannot load the programs: {}", chain(.0))]
    Load(#[from] EbpfError),
    /// The kernel refused a program.
    #[error("cannot {action}: {}", chain(source))]
    Program {
        /// What was tried.
        action: String,
        /// Why not.
        source: ProgramError,
    },
    /// A pin could not be made or removed.
    #[error("cannot pin: {}", chain(.0))]
    Pin(#[from] PinError),
    /// A link could not be read.
    #[error("cannot read a pinned link: {}", chain(.0))]
    Link(#[from] LinkError),
    /// The classifier hook could not be made.
    #[error("cannot prepare TC on {interface}: {}", chain(source))]
    Tc {
        /// The interface.
        interface: String,
        /// Why not.
        source: TcError,
    },
    /// A pin could not be removed.
    #[error("cannot remove {path}: {source}")]
    Remove {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// What the programs tell cannot be read.
    #[error("cannot read what the programs tell: {}; run without --debug-datapath", chain(.0))]
    Log(aya_log::Error),
    /// The slow path cannot begin.
    #[error("cannot open the slow path's sockets: {0}; it needs CAP_NET_RAW: run as root")]
    SlowPath(std::io::Error),
    /// What is to be encrypted has no way to the kernel's IPsec.
    #[error(
        "cannot make the device {DEVICE} by which the kernel's IPsec gets packets, and send nothing where a policy is: {0}; \
         it needs the module tun and the device file /dev/net/tun, and the name must be free"
    )]
    Ipsec(std::io::Error),
    /// Nobody knows how many CPUs there are.
    #[error("cannot read which CPUs are online: {0}; leave out --steer")]
    Cpus(std::io::Error),
    /// The process cannot be told to end.
    #[error("cannot listen for signals: {0}")]
    Signal(#[from] std::io::Error),
    /// The state could not be read or changed.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The kernel's stack did not answer or refused.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

impl Error {
    /// An error of aya's in the middle of an `action` ("attach x").
    pub(super) fn program(action: impl Into<String>) -> impl FnOnce(ProgramError) -> Self {
        let action = action.into();
        move |source| Self::Program { action, source }
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
