//! The checks: pure functions over facts, one file for each family.
//!
//! - [`kernel`], [`config`], [`daemon`]: what is there before any packet.
//! - [`uplink`], [`clash`]: the underlay's devices, and who else is there.
//! - [`tunnel`], [`tenant`], [`port`]: what is configured.
//! - [`counters`]: what became of packets.

pub mod clash;
pub mod config;
pub mod counters;
pub mod daemon;
pub mod kernel;
pub mod port;
pub mod tenant;
pub mod tunnel;
pub mod uplink;

use super::{
    facts::{Counter, Host, Port, Problem, Tenant, Tunnel, Uplink},
    finding::{FINE, Severity, Told, Trouble, bad, found, when},
};

/// Checks that are told together.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What they are about.
    pub name: &'static str,
    /// One row each.
    pub checks: &'static [Check],
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What JSON and the documents call it.
    pub id: &'static str,
    /// How bad it is if it finds something.
    pub severity: Severity,
    /// What it says if it does not.
    pub fine: &'static str,
    /// The function, and what it looks at.
    pub judge: Judge,
}

/// A function, and what it looks at.
#[derive(Clone, Copy, Debug)]
pub enum Judge {
    /// The kernel.
    Kernel(fn(&Host) -> Told),
    /// The state.
    State(fn(&Host) -> Told),
    /// Each problem of the file.
    Problem(fn(&Problem) -> Told),
    /// Each uplink.
    Uplink(fn(&Host, &Uplink) -> Told),
    /// Each tunnel.
    Tunnel(fn(&Host, &Tunnel) -> Told),
    /// Each tenant.
    Tenant(fn(&Host, &Tenant) -> Told),
    /// Each port.
    Port(fn(&Host, &Port) -> Told),
    /// Each counter.
    Counter(fn(&Counter) -> Told),
}
