//! A host that receives frames from a wire, and what became of each.
//!
//! Each frame is followed by a fence: a packet that is known to be delivered, with a serial number. What arrives
//! before it is what became of the frame; nothing has to be waited for.

use std::{
    any::Any,
    cell::Cell,
    collections::HashMap,
    fmt,
    mem::take,
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use nix::{
    libc,
    sched::{CpuSet, sched_setaffinity},
    sys::socket::{MsgFlags, send},
    unistd::Pid,
};
use testbed::{
    Netns,
    capture::{hex, packet_socket},
    packet::{ETHERNET, Gre, PEER_MAC},
};

use crate::{
    arrivals::{Arrival, Arrivals},
    facts::STATION,
    tenants::GREEN,
    underlay::Underlay,
};

/// So many frames, and their fences, are under way at once. What queues of the kernel hold is more.
const WINDOW: usize = 32;
/// Longest wait for a fence.
const PATIENCE_MS: i64 = 2000;
/// How long a receiver may take for a window of frames that are new to it.
const LEARNING: Duration = Duration::from_millis(100);
/// Times a fence is sent before a receiver that answers to none is given up.
const TRIES: u32 = 20;

/// Ethernet type of fences: for local experiments (IEEE 802).
const FENCE: u16 = 0x88b5;

/// Where a tenant's packets come out.
pub struct Port {
    pub tenant: &'static str,
    pub device: String,
    pub framing: Framing,
}

/// What a packet socket sees there.
#[derive(Clone, Copy)]
pub enum Framing {
    /// The tenant's frame.
    Ethernet,
    /// The tenant's packet.
    Ip,
    /// The tenant's packet behind an Ethernet header that is not the tenant's.
    IpInEthernet,
}

/// A packet that came out.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivered {
    pub tenant: &'static str,
    /// A frame, or the Ethernet type of a packet and the packet.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tenant, hex(&self.bytes))
    }
}

/// What became of a frame: nothing, or a packet that came out. More than one would be strange.
pub type Outcome = Vec<Delivered>;

/// A host, and the far end of its wire.
pub struct Receiver {
    wire: OwnedFd,
    mac: [u8; 6],
    ports: HashMap<u32, Port>,
    arrivals: Arrivals,
    underlay: Underlay,
    order: Order,
    next_serial: Cell<u32>,
    kept: Option<Box<dyn Any>>,
}

/// In which order packets come out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In that in which they went in.
    Kept,
    /// Those received at once come out in any order, before those received later.
    Batched,
    /// What is new comes out late; the rest in that in which it went in.
    Learned,
}

impl Receiver {
    /// A host that receives at `device`, once it does. The wire's `eth0` leads there.
    pub fn new(
        (host, device): (&Netns, &str),
        wire: &Netns,
        underlay: Underlay,
        ports: Vec<Port>,
        order: Order,
    ) -> Self {
        stay_on_this_cpu();
        let this = Self {
            wire: packet_socket(wire, "eth0", None),
            mac: host.mac(device),
            ports: ports.into_iter().map(|port| (host.ifindex(&port.device), port)).collect(),
            arrivals: Arrivals::new(host, PATIENCE_MS),
            underlay,
            order,
            next_serial: Cell::new(0),
            kept: None,
        };
        let ready = (0..TRIES).any(|_| this.delivered(&[vec![]]).is_some());
        assert!(ready, "a receiver that receives nothing");
        this
    }

    /// Keeps what the host is made of as long as itself.
    pub fn keeping(mut self, parts: impl Any) -> Self {
        self.kept = Some(Box::new(parts));
        self
    }

    /// What becomes of each frame.
    #[track_caller]
    pub fn ask(&self, frames: &[Vec<u8>]) -> Vec<Outcome> {
        match self.order {
            Order::Kept => self.ask_in_order(frames),
            Order::Batched => self.ask_one_by_one(frames),
            Order::Learned => {
                self.learn(frames);
                // What is late all the same is another frame's each time.
                let [first, second] = [(), ()].map(|()| self.ask_in_order(frames));
                first.into_iter().zip(&second).map(|(one, other)| common(one, other)).collect()
            }
        }
    }

    #[track_caller]
    fn ask_in_order(&self, frames: &[Vec<u8>]) -> Vec<Outcome> {
        let delivered = |window: &[Vec<u8>]| self.delivered(window).expect("a fence that arrives");
        frames.chunks(WINDOW).flat_map(delivered).collect()
    }

    #[track_caller]
    fn ask_one_by_one(&self, frames: &[Vec<u8>]) -> Vec<Outcome> {
        let delivered = |frame| self.delivered(&[frame]).expect("a fence that arrives");
        // The first fence may have overtaken its frame. The second was sent when that was on its way out.
        let twice = |frame: &Vec<u8>| [frame.clone(), vec![]].map(delivered);
        frames.iter().map(|frame| twice(frame).concat().concat()).collect()
    }

    /// Shows it the frames, and waits until nothing more comes of that.
    fn learn(&self, frames: &[Vec<u8>]) {
        for window in frames.chunks(WINDOW) {
            for frame in window {
                self.send(frame);
            }
            thread::sleep(LEARNING);
        }
        thread::sleep(10 * LEARNING);
        let quiet = (0..TRIES).any(|_| self.delivered(&[vec![]]).is_some());
        assert!(quiet, "a receiver that receives nothing any more");
    }

    /// The outcomes of a few frames, if all fences arrive. An empty frame is not sent.
    fn delivered(&self, frames: &[Vec<u8>]) -> Option<Vec<Outcome>> {
        let first = self.next_serial.get();
        let last = first + frames.len() as u32;
        self.next_serial.set(last);
        for (serial, frame) in (first..).zip(frames) {
            if !frame.is_empty() {
                self.send(frame);
            }
            self.send(&self.underlay.carry(fence(serial)));
        }
        let (mut outcomes, mut outcome) = (vec![], vec![]);
        while outcomes.len() < frames.len() {
            let Some(delivered) = self.packet(self.arrivals.next()?) else { continue };
            match serial(&delivered) {
                Some(old) if old < first => outcome.clear(),
                Some(serial) => {
                    assert_eq!(serial as usize, first as usize + outcomes.len(), "a fence is lost");
                    outcomes.push(take(&mut outcome));
                }
                None => outcome.push(delivered),
            }
        }
        Some(outcomes)
    }

    /// Sends a frame to this host: what differs from [`STATION`] in its address differs from the host's.
    fn send(&self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        for (index, byte) in frame[..6].iter_mut().enumerate() {
            *byte ^= STATION[index] ^ self.mac[index];
        }
        let sent = send(self.wire.as_raw_fd(), &frame, MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()), "send {}", hex(&frame));
    }

    /// What came out of a port; `None` where it is another device.
    fn packet(&self, arrival: Arrival) -> Option<Delivered> {
        let port = self.ports.get(&arrival.device)?;
        let bytes = match port.framing {
            Framing::Ethernet => arrival.bytes,
            Framing::Ip => [&arrival.protocol.to_be_bytes()[..], &arrival.bytes].concat(),
            Framing::IpInEthernet => arrival.bytes[12..].to_vec(),
        };
        Some(Delivered { tenant: port.tenant, bytes })
    }
}

/// What came out both times.
fn common(mut one: Outcome, other: &Outcome) -> Outcome {
    one.retain(|delivered| other.contains(delivered));
    one
}

/// Packets take the CPU's queues in turn, and no queue overtakes itself.
fn stay_on_this_cpu() {
    // SAFETY: there is nothing it needs.
    let cpu = unsafe { libc::sched_getcpu() };
    let mut cpus = CpuSet::new();
    cpus.set(cpu.cast_unsigned() as usize).expect("a CPU's number");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("a CPU that is there");
}

/// It has a sequence number for receivers that want one.
fn fence(serial: u32) -> Vec<u8> {
    let header = [STATION, PEER_MAC].concat();
    let mut frame = [&header[..], &FENCE.to_be_bytes(), &serial.to_be_bytes()].concat();
    // None of the receivers adds anything to a frame of this length.
    frame.resize(60, 0);
    Gre::new(Underlay::V4.remote(), Underlay::V4.local(), ETHERNET, frame)
        .key(GREEN.key.expect("a key"))
        .sequence(serial)
        .build()
}

/// The number of a fence.
fn serial(delivered: &Delivered) -> Option<u32> {
    let is_fence = delivered.tenant == GREEN.name && delivered.bytes.len() == 60;
    let serial = delivered.bytes.get(12..)?.strip_prefix(&FENCE.to_be_bytes())?.first_chunk()?;
    is_fence.then(|| u32::from_be_bytes(*serial))
}
