//! Receives what the hook leaves to the kernel and nobody there wants: outer fragments, which the kernel has put
//! together, GRE behind IPv6 extension headers that the kernel judges, and ICMP errors about tunnels' packets.
//!
//! - [`socket`]: raw sockets, and packets off them in the form that the decision reads.
//! - [`arrivals`]: which interfaces such a packet may come by.
//! - [`receipt`]: decides as the hook does, delivers, counts.
//! - [`keepalive`]: asks the other ends of tunnels whether they are there, and answers them.
//! - [`icmp`]: what routers say of the path; [`reports`] takes it to the daemon.
//! - [`budget`]: how many packets a second are received at most.
//! - [`underlay`]: sends tunnels' packets by sockets; [`ipsec`] so sends what the kernel is to protect.
//! - [`thread`]: where all that is done.
//!
//! A raw socket gets every GRE packet that reaches the kernel's stack for an address of this host. What came whole by an
//! uplink the hook has decided, and passed: the same decision passes it again, to nobody. So what is forwarded
//! here is what the hook could not read, or what the kernel made of it: reassembled, or decrypted.

pub mod arrivals;
mod budget;
pub mod icmp;
pub mod ipsec;
mod keepalive;
mod receipt;
pub mod reports;
mod socket;
mod thread;
mod underlay;

use std::{io, iter, os::fd::AsFd, time::Instant};

use self::{
    arrivals::Arrivals,
    budget::Budget,
    keepalive::Keepalives,
    receipt::Receipt,
    socket::{Kind, Raw, Received},
    thread::{Stop, Thread},
};
pub use self::{socket::Sockets, underlay::Underlay};
use crate::{
    datapath::{Error, Result},
    state::live::Live,
};

/// The thread that receives; it ends when this is dropped.
pub struct SlowPath {
    _thread: Thread,
}

impl SlowPath {
    /// Begins to receive.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        Sockets { raw, port, underlay }: Sockets,
        live: Live,
        arrivals: Arrivals,
        reports: reports::Sender,
    ) -> Result<Self> {
        let keepalives = Keepalives::new(underlay, Instant::now());
        let receipt = Receipt::new(live, arrivals, port, keepalives);
        let budget = Budget::new(Instant::now());
        let worker = Worker { raw, receipt, reports, budget };
        let thread = Thread::start("slow path", |stop| worker.run(&stop));
        Ok(Self { _thread: thread.map_err(Error::SlowPath)? })
    }
}

struct Worker {
    raw: Vec<Raw>,
    receipt: Receipt,
    reports: reports::Sender,
    budget: Budget,
}

impl Worker {
    fn run(mut self, stop: &Stop) -> io::Result<()> {
        let mut received = Received::new();
        loop {
            let time = self.receipt.ask(Instant::now());
            if !stop.wait(self.raw.iter().map(AsFd::as_fd), Some(time))? {
                return Ok(());
            }
            // One of each in turn: a flood of one kind does not keep the other from coming.
            for socket in &self.raw {
                if !socket.receive(&mut received)? {
                    continue;
                }
                self.budget.spend();
                match socket.kind {
                    Kind::GreOverIpv4 | Kind::GreOverIpv6 => self.receipt.handle(&mut received),
                    Kind::Icmp => self.reports.send(icmp::too_big_v4(received.message())),
                    Kind::Icmpv6 => self.reports.send(icmp::too_big_v6(received.message())),
                }
            }
            // The kernel discards what the sockets have no room for meanwhile.
            if let Some(pause) = self.budget.pause(Instant::now())
                && !stop.wait(iter::empty(), Some(pause))?
            {
                return Ok(());
            }
        }
    }
}
