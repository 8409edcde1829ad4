//! Receives what the hook leaves to the kernel and nobody there wants: outer fragments, which the kernel has put
//! together, GRE behind IPv6 extension headers that the kernel judges, and ICMP errors about tunnels' packets.
//!
//! - [`socket`]: raw sockets, and packets off them in the form that the decision reads.
//! - [`arrivals`]: which interfaces such a packet may come by.
//! - [`receipt`]: decides as the hook does, delivers, counts.
//! - [`keepalive`]: asks the other ends of tunnels whether they are there, and answers them.
//! - [`icmp`]: what routers say of the path; [`reports`] takes it to the daemon.
//! - [`budget`]: how many packets a second are received at most.
//!
//! A raw socket gets every GRE packet that reaches the kernel's stack for an address of this host. What came whole by an
//! uplink the hook has decided, and passed: the same decision passes it again, to nobody. So what is forwarded
//! here is what the hook could not read, or what the kernel made of it: reassembled, or decrypted.

pub mod arrivals;
mod budget;
pub mod icmp;
mod keepalive;
mod receipt;
pub mod reports;
mod socket;

use std::{
    io::{self, PipeReader, PipeWriter, pipe},
    iter,
    os::fd::AsFd,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

pub use self::socket::Sockets;
use self::{
    arrivals::Arrivals,
    budget::Budget,
    keepalive::Keepalives,
    receipt::Receipt,
    socket::{Kind, Raw, Received},
};
use crate::{
    datapath::{Error, Result},
    state::live::Live,
};

/// The thread that receives; it ends when this is dropped.
pub struct SlowPath {
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl SlowPath {
    /// Begins to receive.
    ///
    /// # Errors
    /// There is no thread or pipe to be had.
    pub fn start(
        sockets: Sockets,
        live: Live,
        arrivals: Arrivals,
        reports: reports::Sender,
    ) -> Result<Self> {
        let (stopped, stop) = pipe().map_err(Error::SlowPath)?;
        let Sockets { raw, port, underlay } = sockets;
        let keepalives = Keepalives::new(underlay, Instant::now());
        let receipt = Receipt::new(live, arrivals, port, keepalives);
        let budget = Budget::new(Instant::now());
        let worker = Worker { raw, receipt, reports, budget, stopped };
        let thread = thread::Builder::new().name("slow path".to_owned()).spawn(|| {
            if let Err(error) = worker.run() {
                eprintln!("xgre: the slow path has ended: {error}");
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread.map_err(Error::SlowPath)?) })
    }
}

impl Drop for SlowPath {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("xgre: the slow path has panicked");
        }
    }
}

struct Worker {
    raw: Vec<Raw>,
    receipt: Receipt,
    reports: reports::Sender,
    budget: Budget,
    stopped: PipeReader,
}

impl Worker {
    fn run(mut self) -> io::Result<()> {
        let mut received = Received::new();
        loop {
            let time = self.receipt.ask(Instant::now());
            if !self.wait(&self.raw, time)? {
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
                && !self.wait(&[], pause)?
            {
                return Ok(());
            }
        }
    }

    /// Waits for a packet on these sockets, so long at most. False: it is time to end.
    fn wait(&self, sockets: &[Raw], time: Duration) -> io::Result<bool> {
        let watch = |file| PollFd::new(file, PollFlags::POLLIN);
        let sockets = sockets.iter().map(|socket| watch(socket.as_fd()));
        let mut files: Vec<_> = iter::once(watch(self.stopped.as_fd())).chain(sockets).collect();
        match poll(&mut files, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {
                Ok(files[0].revents().is_none_or(|events| events.is_empty()))
            }
            Err(errno) => Err(errno.into()),
        }
    }
}
