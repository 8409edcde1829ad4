//! Echo requests (RFC 792, RFC 4443 section 4), and a count of the replies.
//!
//! The command `ping` does not wait for its last reply once it has had one, longer than the interval or two round trips: where many
//! tests share a CPU some come later.

use std::{
    fmt::Write as _,
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{netns::Netns, packet::internet_checksum};

/// How long the last reply may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where every reply is wanted.
const MUCH_PATIENCE: Duration = Duration::from_secs(10);

/// Requests that may be without an answer when the next one goes out: a path that is slow for want of a processor carries fewer, and
/// need lose none.
const WINDOW: usize = 16;
/// Room for replies, in bytes. The socket gets those to all pings of its namespace.
const ROOM: i32 = 4 << 20;

/// A ping to be run.
#[derive(Clone, Copy, Debug)]
pub struct Ping<'a> {
    destination: &'a str,
    size: usize,
    count: u16,
    interval: Duration,
    dont_fragment: bool,
    patience: Duration,
}

/// How a ping went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingResult {
    /// Requests sent.
    pub sent: usize,
    /// Replies received, whatever their number.
    pub received: usize,
    /// When each request was answered first, counted from the first one; and which the kernel did not send, and why.
    pub log: String,
}

impl<'a> Ping<'a> {
    /// Three requests of 56 bytes, 100 ms apart.
    pub const fn to(destination: &'a str) -> Self {
        let interval = Duration::from_millis(100);
        let patience = PATIENCE;
        Self { destination, size: 56, count: 3, interval, dont_fragment: false, patience }
    }

    /// Bytes of payload.
    #[must_use]
    pub const fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// How many, and how far apart in milliseconds.
    #[must_use]
    pub const fn times(self, count: u16, interval_ms: u64) -> Self {
        Self { count, interval: Duration::from_millis(interval_ms), ..self }
    }

    /// Never fragmented.
    #[must_use]
    pub const fn dont_fragment(self) -> Self {
        Self { dont_fragment: true, ..self }
    }

    /// Starts it in the background.
    #[track_caller]
    pub fn start(self, ns: &Netns) -> Pinging {
        let destination = self.destination.parse().expect("an IP address");
        let socket = ns.run_in(|| open(destination, self.dont_fragment)).expect("a raw socket");
        let run = Run { socket, destination, identifier: identifier(), size: self.size };
        let Self { count, interval, patience, .. } = self;
        Pinging { thread: thread::spawn(move || run.all(count, interval, patience)) }
    }

    /// Runs it.
    #[track_caller]
    pub fn run(self, ns: &Netns) -> PingResult {
        self.start(ns).wait()
    }

    /// Runs it and wants an answer to every request.
    #[track_caller]
    pub fn all_answered(self, ns: &Netns) {
        let result = Self { patience: MUCH_PATIENCE, ..self }.run(ns);
        let count = usize::from(self.count);
        assert_eq!((result.sent, result.received), (count, count), "{}", result.log);
    }

    /// Runs it and wants no answer.
    #[track_caller]
    pub fn unanswered(self, ns: &Netns) {
        let result = self.run(ns);
        assert_eq!(result.received, 0, "{}", result.log);
    }
}

/// A ping that is running.
#[derive(Debug)]
pub struct Pinging {
    thread: JoinHandle<PingResult>,
}

impl Pinging {
    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> PingResult {
        self.thread.join().expect("a ping that runs to its end")
    }
}

/// Tells the replies to one ping from those to others in its namespace.
fn identifier() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Relaxed)
}

fn open(destination: IpAddr, dont_fragment: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(destination, 0));
    let (protocol, level, option) = match destination {
        IpAddr::V4(_) => (Protocol::ICMPV4, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        IpAddr::V6(_) => (Protocol::ICMPV6, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, ROOM)?;
    let discover = if dont_fragment { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
    set(&socket, level, option, discover)?;
    if destination.is_ipv6() && dont_fragment {
        set(&socket, level, libc::IPV6_DONTFRAG, 1)?;
    }
    Ok(socket)
}

fn set(socket: &Socket, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads an `i32`, which outlives the call.
    let code = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One ping.
struct Run {
    socket: Socket,
    destination: IpAddr,
    identifier: u16,
    /// Bytes of payload.
    size: usize,
}

impl Run {
    fn all(self, count: u16, interval: Duration, patience: Duration) -> PingResult {
        let begin = Instant::now();
        let (mut replies, mut log) = (0, String::new());
        let hear = |until, log: &mut String| {
            let number = self.receive(until);
            let answered =
                number.map(|it| writeln!(log, "{it}: answered at {:?}", begin.elapsed()));
            answered.is_some()
        };
        let count = usize::from(count);
        // Where requests are lost nobody is waited for.
        let mut holds_back = true;
        for number in 0..count {
            let until = Instant::now() + patience;
            while holds_back && replies + WINDOW <= number {
                holds_back = hear(until, &mut log);
                replies += usize::from(holds_back);
            }
            if let Err(error) = self.send(number as u16) {
                let _ = writeln!(log, "{number}: {error}");
            }
            let last = number + 1 == count;
            let until = Instant::now() + if last { patience } else { interval };
            while (!last || replies < count) && hear(until, &mut log) {
                replies += 1;
            }
        }
        PingResult { sent: count, received: replies, log }
    }

    /// An echo message of this ping.
    fn message(&self, kind: u8, number: u16) -> Vec<u8> {
        let [i0, i1] = self.identifier.to_be_bytes();
        let [n0, n1] = number.to_be_bytes();
        let payload = (0..self.size).map(|at| at as u8);
        [kind, 0, 0, 0, i0, i1, n0, n1].into_iter().chain(payload).collect()
    }

    fn send(&self, number: u16) -> io::Result<()> {
        let message = if self.destination.is_ipv4() {
            let mut message = self.message(8, number);
            let checksum = internet_checksum(&message).to_be_bytes();
            message[2..4].copy_from_slice(&checksum);
            message
        } else {
            // The kernel adds the checksum.
            self.message(128, number)
        };
        self.socket.send_to(&message, &SocketAddr::new(self.destination, 0).into()).map(drop)
    }

    /// The number of the next reply that comes in time, whole and unchanged.
    fn receive(&self, until: Instant) -> Option<u16> {
        let mut buffer = vec![0; 65_536];
        loop {
            let left =
                until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            // Less than a microsecond would be none at all, which means for ever.
            let left = left.max(Duration::from_micros(1));
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(len) = (&self.socket).read(&mut buffer) else { continue };
            // Over IPv4 with its IP header.
            let (begin, kind) = if self.destination.is_ipv4() {
                (usize::from(buffer[0] & 15) * 4, 0)
            } else {
                (0, 129)
            };
            let message = &buffer[begin..len];
            let Some(&[n0, n1]) = message.get(6..8) else { continue };
            let number = u16::from_be_bytes([n0, n1]);
            let mut expected = self.message(kind, number);
            expected[2..4].copy_from_slice(&message[2..4]);
            if message == expected {
                return Some(number);
            }
        }
    }
}
