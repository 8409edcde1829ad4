//! A stream of numbered datagrams: which arrive, and whose.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::netns::Netns;

/// Room for datagrams that nobody has read yet, in bytes.
const ROOM: usize = 8 << 20;
/// How often a reader looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);
/// How long the last datagrams may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream at work.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Tally>,
}

/// What became of a stream's datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those sent.
    pub sent: u64,
    /// Different ones received.
    pub received: u64,
    /// Those that came again.
    pub doubled: u64,
    /// Those of another stream, or of none.
    pub foreign: u64,
}

impl Tally {
    /// Those that did not come.
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }
}

impl Stream {
    /// Sends a datagram of `len` bytes after every `pause`, from one namespace to an address of another. `mark` tells the stream
    /// from others.
    ///
    /// # Panics
    /// There is no socket to be had.
    #[track_caller]
    pub fn start(
        from: &Netns,
        (to, address): (&Netns, SocketAddr),
        mark: u64,
        len: usize,
        pause: Duration,
    ) -> Self {
        let input = to.run_in(|| UdpSocket::bind(address)).expect("a free address");
        SockRef::from(&input).set_recv_buffer_size(ROOM).expect("room");
        input.set_read_timeout(Some(TICK)).expect("a timeout");
        let address = input.local_addr().expect("a bound socket");
        let output = from.run_in(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let sender = {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            thread::spawn(move || send(&output, address, (mark, len, pause), (&stop, &sent)))
        };
        let receiver = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || receive(&input, mark, (&stop, &sent)))
        };
        Self { stop, sender, receiver }
    }

    /// Ends it, and waits for what is on the way.
    ///
    /// # Panics
    /// One of its threads did.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Relaxed);
        self.sender.join().expect("the sender");
        self.receiver.join().expect("the receiver")
    }
}

fn send(
    output: &UdpSocket,
    address: SocketAddr,
    (mark, len, pause): (u64, usize, Duration),
    (stop, sent): (&AtomicBool, &AtomicU64),
) {
    let mut datagram = vec![0; len.max(16)];
    datagram[..8].copy_from_slice(&mark.to_be_bytes());
    for number in 0u64.. {
        if stop.load(Relaxed) {
            return;
        }
        datagram[8..16].copy_from_slice(&number.to_be_bytes());
        // Before it goes: who receives must not see more than were sent. What the stack refuses was not sent.
        sent.store(number + 1, Relaxed);
        while output.send_to(&datagram, address).is_err() {
            if stop.load(Relaxed) {
                sent.store(number, Relaxed);
                return;
            }
            thread::sleep(pause);
        }
        thread::sleep(pause);
    }
}

fn receive(input: &UdpSocket, mark: u64, (stop, sent): (&AtomicBool, &AtomicU64)) -> Tally {
    let mut tally = Tally::default();
    let mut seen: Vec<bool> = Vec::new();
    let mut buffer = vec![0; 65_536];
    let mut deadline = None;
    loop {
        if let Ok(len) = input.recv(&mut buffer) {
            count(&buffer[..len], mark, &mut seen, &mut tally);
        }
        if !stop.load(Relaxed) {
            continue;
        }
        tally.sent = sent.load(Relaxed);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        if tally.received >= tally.sent || Instant::now() > deadline {
            return tally;
        }
    }
}

fn count(datagram: &[u8], mark: u64, seen: &mut Vec<bool>, tally: &mut Tally) {
    let word = |at: usize| {
        let bytes = datagram.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let (Some(whose), Some(number)) = (word(0), word(8)) else {
        tally.foreign += 1;
        return;
    };
    if whose != mark {
        tally.foreign += 1;
        return;
    }
    let at = number as usize;
    if seen.len() <= at {
        seen.resize(at + 1, false);
    }
    if std::mem::replace(&mut seen[at], true) {
        tally.doubled += 1;
    } else {
        tally.received += 1;
    }
}
