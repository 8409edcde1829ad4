//! Hosts, links and peers in network namespaces, for the tests and the demo.
//!
//! ```no_run
//! testbed::isolate().expect("root");
//! let (one, two) = testbed::two_hosts();
//! one.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
//! let daemon = one.start("--iface eth0");
//! println!("{}", two.ns.ip("-br link"));
//! daemon.stop();
//! ```
//!
//! Everything made here dies with the process, even when it is killed: namespaces are held by open files
//! only, file systems are mounted in a mount namespace of the process's own ([`isolate`]), and children get
//! a signal when their maker ends. What goes wrong panics, with the command and what it printed.
//!
//! - [`netns`]: a network namespace, and running commands and closures in it.
//! - [`link`]: veth pairs and bridges between namespaces.
//! - [`host`]: a namespace with `xgre` and its state; [`background`]: a command of its that goes on; `shell`: what a user types; [`topology`]: hosts ready joined.
//! - [`ping`]: echo requests and their replies; [`traffic`]: TCP and UDP with a result; [`stream`]: numbered datagrams.
//! - [`capture`]: frames off and onto an interface; [`packet`]: frames built in words;
//!   [`fragment`]: and cut; [`ipv6`]: and over IPv6.
//! - [`Tap`]: a tap device that is read.
//! - [`ovs`]: Open vSwitch as a peer. [`etcd`]: the store of a fleet.
//! - [`suite`]: test cases that say what they need and are skipped loudly.

// As the first lines say, panics are the way to fail here; a section on each function would repeat that.
#![allow(clippy::missing_panics_doc)]

pub mod background;
pub mod capture;
pub mod command;
pub mod etcd;
pub mod fragment;
pub mod host;
pub mod ipv6;
mod isolation;
pub mod link;
pub mod netns;
pub mod ovs;
pub mod packet;
pub mod ping;
mod random;
mod shell;
pub mod stream;
pub mod suite;
mod tap;
pub mod topology;
pub mod traffic;

pub use self::{
    background::Background,
    capture::{Capture, Flood, Frame, send_frame},
    command::{Outcome, die_with_parent},
    etcd::Etcd,
    host::{Daemon, Host},
    isolation::isolate,
    link::{bridge, veth},
    netns::Netns,
    ovs::OpenVswitch,
    ping::Ping,
    random::Random,
    tap::Tap,
    topology::two_hosts,
};
