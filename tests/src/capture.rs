//! Frames off and onto an interface, through packet sockets.

use std::{
    fmt,
    mem::size_of,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    libc,
    sys::{
        socket::{
            AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike,
            bind, recvfrom, send, setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::netns::Netns;

/// Room for bursts, in bytes.
const BUFFER: usize = 64 << 20;
/// How often the collector looks whether it is to stop.
const TICK_MS: i64 = 20;
/// Frames of a flood that follow each other, and the pause behind them.
const FLOOD_BURST: usize = 64;
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// A packet under way gets this long to arrive before the collection ends.
const SETTLE: Duration = Duration::from_millis(200);

/// A captured frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes, from the Ethernet header on. The kernel has taken off an outermost VLAN tag.
    pub bytes: Vec<u8>,
    /// Whether it left through the interface.
    pub outgoing: bool,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.outgoing { "->" } else { "<-" };
        write!(f, "{arrow} {}", hex(&self.bytes))
    }
}

impl Frame {
    /// Whether `mark` stands anywhere in the frame.
    pub fn contains(&self, mark: &[u8]) -> bool {
        self.bytes.windows(mark.len()).any(|window| window == mark)
    }

    /// The GRE part of a frame without VLAN tag: flags, protocol, fields and payload. Over IPv6 it may be behind
    /// destination options, which Linux sends.
    pub fn gre(&self) -> Option<&[u8]> {
        const GRE: u8 = 47;
        const OPTIONS: u8 = 60;
        let bytes = self.bytes.as_slice();
        let byte = |at: usize| bytes.get(at).copied();
        let offset = match (bytes.get(12..14)?, byte(20)?) {
            ([8, 0], _) if byte(23)? == GRE => 14 + usize::from(byte(14)? & 15) * 4,
            ([0x86, 0xdd], GRE) => 54,
            ([0x86, 0xdd], OPTIONS) if byte(54)? == GRE => 54 + 8 + usize::from(byte(55)?) * 8,
            _ => return None,
        };
        bytes.get(offset..)
    }
}

/// Bytes as a person reads them.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Collects the frames of an interface, both ways, until it is stopped.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    collector: JoinHandle<Vec<Frame>>,
}

impl Capture {
    /// Starts to collect.
    #[track_caller]
    pub fn start(ns: &Netns, device: &str) -> Self {
        let socket = packet_socket(ns, device, SockProtocol::EthAll);
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).expect("a large buffer");
        let tick = TimeVal::milliseconds(TICK_MS);
        setsockopt(&socket, sockopt::ReceiveTimeout, &tick).expect("a timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let collector = thread::spawn({
            let stop = Arc::clone(&stop);
            move || collect(&socket, &stop)
        });
        Self { stop, collector }
    }

    /// Waits for what is under way and gives all that was collected.
    pub fn stop(self) -> Vec<Frame> {
        thread::sleep(SETTLE);
        self.stop.store(true, Ordering::Relaxed);
        self.collector.join().expect("the collector")
    }
}

/// Receives until told to stop, and then until nothing is left.
fn collect(socket: &OwnedFd, stop: &AtomicBool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((len, address)) => frames.push(Frame {
                bytes: buffer[..len].to_vec(),
                outgoing: address.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING),
            }),
            Err(_) if stop.load(Ordering::Relaxed) => return frames,
            Err(_) => {}
        }
    }
}

/// Sends a frame, complete with its Ethernet header, out of an interface.
#[track_caller]
pub fn send_frame(ns: &Netns, device: &str, frame: &[u8]) {
    send_frames(ns, device, [frame]);
}

/// Sends frames one after the other.
#[track_caller]
pub fn send_frames<'a>(ns: &Netns, device: &str, frames: impl IntoIterator<Item = &'a [u8]>) {
    // Protocol 0 receives nothing.
    let socket = packet_socket(ns, device, None);
    for frame in frames {
        let sent = send(socket.as_raw_fd(), frame, MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()), "send {}", hex(frame));
    }
}

/// Sends frames over and over until it is stopped: some ten thousand a second, less than a wire has room for. A frame
/// that the device refuses is lost.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
}

impl Flood {
    /// Starts to send.
    #[track_caller]
    pub fn start(ns: &Netns, device: &str, frames: Vec<Vec<u8>>) -> Self {
        let socket = packet_socket(ns, device, None);
        let stop = Arc::new(AtomicBool::new(false));
        let sender = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut frames = frames.iter().cycle();
                let mut sent = 0;
                while !stop.load(Ordering::Relaxed) {
                    for frame in frames.by_ref().take(FLOOD_BURST) {
                        let result = send(socket.as_raw_fd(), frame, MsgFlags::empty());
                        sent += u64::from(result.is_ok());
                    }
                    thread::sleep(FLOOD_PAUSE);
                }
                sent
            }
        });
        Self { stop, sender }
    }

    /// Ends it, and tells how many frames were sent.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("the sender")
    }
}

/// A packet socket on an interface. It receives frames of this protocol; of none without.
#[track_caller]
pub fn packet_socket(
    ns: &Netns,
    device: &str,
    protocol: impl Into<Option<SockProtocol>>,
) -> OwnedFd {
    let protocol = protocol.into();
    let (family, kind) = (AddressFamily::Packet, SockType::Raw);
    let socket = ns
        .run_in(|| socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol))
        .unwrap_or_else(|error| panic!("packet socket: {error}"));
    let address = link_address(ns.ifindex(device), protocol);
    bind(socket.as_raw_fd(), &address).unwrap_or_else(|error| panic!("{device}: {error}"));
    socket
}

fn link_address(ifindex: u32, protocol: Option<SockProtocol>) -> LinkAddr {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        // `SockProtocol` has the number in network byte order already.
        sll_protocol: protocol.map_or(0, |protocol| protocol as u16),
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a complete address of the length given, of the family it names.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(len)) }.expect("a link address")
}
