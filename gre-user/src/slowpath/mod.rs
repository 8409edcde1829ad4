//! Receives what the hook leaves to the kernel and nobody there wants: outer fragments, which the kernel has put
//! together, GRE behind IPv6 extension headers that the kernel judges, and ICMP errors about tunnels' packets. Sends what the hook
//! hands up because it does not fit, in fragments.
//!
//! - [`socket`]: raw sockets, and packets off them in the form that the decision reads.
//! - [`arrivals`]: which interfaces such a packet may come by.
//! - [`receipt`]: decides as the hook does, delivers, counts; [`rewrite`] makes the frame.
//! - [`handed_up`]: frames that are to be cut; [`fragmenter`] cuts and sends them.
//! - [`keepalive`]: asks the other ends of tunnels whether they are there, and answers them.
//! - [`icmp`]: what routers say of the path; [`reports`] takes it to the daemon.
//! - [`budget`]: how many packets a second are received and sent at most.
//! - [`underlay`]: sends tunnels' packets by sockets; [`ipsec`] so sends what the kernel is to protect.
//! - [`thread`]: where all that is done; [`option`]: what sockets are told besides.
//!
//! A raw socket gets every GRE packet that reaches the kernel's stack for an address of this host. What came whole by an
//! uplink the hook has decided, and passed: the same decision passes it again, to nobody. So what is forwarded
//! here is what the hook could not read, or what the kernel made of it: reassembled, or decrypted.

pub mod arrivals;
mod budget;
mod fragmenter;
pub mod handed_up;
pub mod icmp;
pub mod ipsec;
mod keepalive;
mod option;
mod receipt;
pub mod reports;
pub(crate) mod rewrite;
mod socket;
mod thread;
mod underlay;

use std::{
    io, iter,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    arrivals::Arrivals,
    budget::Budget,
    fragmenter::Fragmenter,
    keepalive::Keepalives,
    receipt::Receipt,
    socket::{Kind, Raw, Received},
    thread::{Stop, Thread},
};
pub use self::{socket::Sockets, underlay::Underlay};
use crate::{
    datapath::{Error, Result, ring::Rings},
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
        Sockets { raw, port, underlay, fragments }: Sockets,
        rings: Rings,
        live: Live,
        arrivals: Arrivals,
        reports: reports::Sender,
    ) -> Result<Self> {
        let port = Arc::new(port);
        let fragmenter = Fragmenter::new(Arc::clone(&port), fragments);
        let keepalives = Keepalives::new(underlay, Instant::now());
        let receipt = Receipt::new(arrivals, port, keepalives);
        let budget = Budget::new(Instant::now());
        let worker = Worker { raw, rings, live, receipt, fragmenter, reports, budget };
        let thread = Thread::start("slow path", |stop| worker.run(&stop));
        Ok(Self { _thread: thread.map_err(Error::SlowPath)? })
    }
}

struct Worker {
    raw: Vec<Raw>,
    rings: Rings,
    live: Live,
    receipt: Receipt,
    fragmenter: Fragmenter,
    reports: reports::Sender,
    budget: Budget,
}

impl Worker {
    fn run(mut self, stop: &Stop) -> io::Result<()> {
        let mut received = Received::new();
        let mut frame = Vec::new();
        loop {
            let time = self.receipt.ask(&mut self.live, Instant::now());
            let time = if self.rings.is_waiting() { Duration::ZERO } else { time };
            let sockets = self.raw.iter().map(AsFd::as_fd);
            if !stop.wait(sockets.chain(self.rings.iter().map(AsFd::as_fd)), Some(time))? {
                return Ok(());
            }
            // One of each in turn: a flood of one kind does not keep the other from coming.
            for socket in &self.raw {
                if !socket.receive(&mut received)? {
                    continue;
                }
                self.budget.spend(1);
                match socket.kind {
                    Kind::GreOverIpv4 | Kind::GreOverIpv6 => {
                        self.receipt.handle(&mut received, &mut self.live);
                    }
                    Kind::Icmp => self.reports.send(icmp::too_big_v4(received.message())),
                    Kind::Icmpv6 => self.reports.send(icmp::too_big_v6(received.message())),
                }
            }
            for ring in self.rings.iter_mut() {
                if let Some(note) = handed_up::take(ring, &mut frame) {
                    let fragments = self.fragmenter.handle(&mut frame, &note, &mut self.live);
                    self.budget.spend(fragments.max(1));
                }
            }
            // The kernel discards what the sockets and rings have no room for meanwhile.
            if let Some(pause) = self.budget.pause(Instant::now())
                && !stop.wait(iter::empty(), Some(pause))?
            {
                return Ok(());
            }
        }
    }
}
