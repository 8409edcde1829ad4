//! What is measured.

mod cli;
mod decap;
mod encap;
mod encap_tc;
mod encap_xdp;
mod fleet;
mod latency;
mod load;
mod memory;
mod nic;
mod ovs;
mod path;
mod scale;
mod steer;
mod tcp;
mod verifier;

use anyhow::Result;
use clap::ValueEnum;
use testbed::Host;

use super::{
    Bench,
    peers::{self, Peer, Way},
    rounds::{Series, interleave},
    row::Row,
};
use crate::say;

/// A case by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Decapsulation in XDP, packets per second against the number of tenants
    Decap,
    /// Decapsulation in XDP on a device of its own: see --iface
    Nic,
    /// Encapsulation in TC and in XDP, packets per second
    Encap,
    /// A packet's whole way through a tunnel, beside the kernel's tunnels and ways without any
    Path,
    /// Many flows of one tunnel, spread over the CPUs and not
    Steer,
    /// One TCP connection, beside plain veth and kernel VXLAN
    Tcp,
    /// UDP round trips, beside plain veth and kernel VXLAN
    Latency,
    /// The smallest UDP packets and TCP, beside Open vSwitch's userspace datapath
    Ovs,
    /// Entering all tenants at once
    Load,
    /// `xgre tenant add` among many tenants
    Cli,
    /// Kernel memory of a tenant
    Memory,
    /// A cloud: 1,000 tunnels, 100,000 tenants, a million bindings and stations; loading, changing, memory
    Scale,
    /// Many hosts that follow one etcd: starting at once, moves, watches, bytes, memory
    Fleet,
    /// What the verifier and the compiler in the kernel make of the programs
    Verifier,
}

impl Case {
    /// Measures.
    pub fn run(self, bench: &Bench<'_>) -> Result<Vec<Row>> {
        match self {
            Self::Decap => decap::run(bench),
            Self::Nic => nic::run(bench),
            Self::Encap => {
                let tc = encap_tc::run(bench)?;
                Ok(tc.into_iter().chain(encap_xdp::run(bench)?).collect())
            }
            Self::Path => path::run(bench),
            Self::Steer => steer::run(bench),
            Self::Tcp => tcp::run(bench),
            Self::Latency => latency::run(bench),
            Self::Ovs => ovs::run(bench),
            Self::Load => load::run(bench),
            Self::Cli => cli::run(bench),
            Self::Memory => memory::run(bench),
            Self::Scale => scale::run(bench),
            Self::Fleet => fleet::run(bench),
            Self::Verifier => verifier::run(bench),
        }
    }
}

/// Measures several ways in turns.
fn compare(
    bench: &Bench<'_>,
    peers: &[Peer],
    measure: impl Fn(&Way<'_>) -> Result<f64>,
) -> Result<Vec<(Peer, Series)>> {
    let mut present = Vec::new();
    for &peer in peers {
        match peer.missing() {
            Some(why) => bench.progress.suspend(|| say::skipped(peer.name(), &why)),
            None => present.push(peer),
        }
    }
    let hosts: Vec<(Host, Host)> = present.iter().map(|_| peers::hosts()).collect();
    let ways: Vec<_> =
        present.iter().zip(&hosts).map(|(&peer, hosts)| Way::new(peer, hosts)).collect();
    let series = interleave(&ways, bench.args.runs, |way| {
        bench.doing(way.peer.name());
        measure(way)
    })?;
    Ok(present.into_iter().zip(series).collect())
}

/// The figures of one of several ways, if it was there.
fn of(peer: Peer, measured: &[(Peer, Series)]) -> Option<&Series> {
    measured.iter().find(|(other, _)| *other == peer).map(|(_, series)| series)
}
