//! Traffic with a result: ping, TCP, UDP.

use std::{
    io::{self, Read, Write},
    iter,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::{bounded, die_with_parent},
    netns::Netns,
};

/// Longest silence of a peer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A ping to be run.
#[derive(Clone, Copy, Debug)]
pub struct Ping<'a> {
    destination: &'a str,
    size: usize,
    count: u32,
    interval_ms: u32,
    dont_fragment: bool,
}

/// How a ping went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingResult {
    /// Requests sent.
    pub sent: u32,
    /// Replies received.
    pub received: u32,
    /// All it printed.
    pub output: String,
}

impl<'a> Ping<'a> {
    /// Three requests of 56 bytes, 100 ms apart.
    pub const fn to(destination: &'a str) -> Self {
        Self { destination, size: 56, count: 3, interval_ms: 100, dont_fragment: false }
    }

    /// Bytes of payload.
    #[must_use]
    pub const fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// How many, and how far apart in milliseconds. Once there was an answer `ping` waits for the last one only so long, or
    /// twice as long as any took.
    #[must_use]
    pub const fn times(self, count: u32, interval_ms: u32) -> Self {
        Self { count, interval_ms, ..self }
    }

    /// Never fragmented.
    #[must_use]
    pub const fn dont_fragment(self) -> Self {
        Self { dont_fragment: true, ..self }
    }

    /// Starts it in the background.
    pub fn start(self, ns: &Netns) -> Pinging {
        let Self { destination, size, count, interval_ms, dont_fragment } = self;
        let mut command = bounded("ping");
        let interval = f64::from(interval_ms) / 1000.0;
        let fragmentation = if dont_fragment { "do" } else { "dont" };
        command.args(["-n", "-W", "2", "-M", fragmentation, "-c", &count.to_string()]);
        command.args(["-i", &interval.to_string(), "-s", &size.to_string(), destination]);
        Pinging { child: spawn(ns, &mut command) }
    }

    /// Runs it.
    pub fn run(self, ns: &Netns) -> PingResult {
        self.start(ns).wait()
    }

    /// Runs it and wants an answer to every request.
    #[track_caller]
    pub fn all_answered(self, ns: &Netns) {
        let result = self.run(ns);
        assert_eq!((result.sent, result.received), (self.count, self.count), "{}", result.output);
    }

    /// Runs it and wants no answer.
    #[track_caller]
    pub fn unanswered(self, ns: &Netns) {
        let result = self.run(ns);
        assert_eq!(result.received, 0, "{}", result.output);
    }
}

fn spawn(ns: &Netns, command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    die_with_parent(ns.enter(command)).spawn().expect("a command that exists")
}

/// A ping that is running.
#[derive(Debug)]
pub struct Pinging {
    child: Child,
}

impl Pinging {
    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> PingResult {
        let output = self.child.wait_with_output().expect("a child");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let summary = text.lines().find(|line| line.contains("packets transmitted"));
        let summary = summary.unwrap_or_else(|| panic!("ping: {text}"));
        let mut numbers = summary.split(' ').filter_map(|word| word.parse().ok());
        let mut next = || numbers.next().expect("a number");
        PingResult { sent: next(), received: next(), output: text }
    }
}

/// Sends `len` bytes over TCP from one namespace to an address of another, which must get them all, unchanged.
#[track_caller]
pub fn tcp(from: &Netns, to: (&Netns, SocketAddr), len: usize) {
    let (server, address) = to;
    let listener = server.run_in(|| TcpListener::bind(address)).expect("a free address");
    let address = listener.local_addr().expect("a bound socket");
    let (sender, result) = channel();
    thread::spawn(move || sender.send(receive(&listener)));
    let sent = from.run_in(|| send(address, len));
    let received = result.recv_timeout(PATIENCE);
    assert!(
        sent.is_ok() && matches!(received, Ok(Ok(count)) if count == len),
        "{len} bytes: sent {sent:?}, received {received:?}"
    );
}

/// What goes over TCP, again and again: pseudo-random (Marsaglia's 64-bit generator), the same every time. Its
/// length is a prime number, so that no part takes the place of another that is off by a segment or a page.
static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    iter::repeat_with(next).take(65_521).collect()
});

fn send(address: SocketAddr, len: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut left = len;
    while left > 0 {
        let part = &STREAM[..left.min(STREAM.len())];
        stream.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

/// How many bytes came; an error when one is not what was sent.
fn receive(listener: &TcpListener) -> io::Result<usize> {
    let (mut stream, _) = accept(listener)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut chunk = vec![0; STREAM.len()];
    let mut len = 0;
    loop {
        // Up to the end of the pattern at most.
        let expected = &STREAM[len % STREAM.len()..];
        let received = stream.read(&mut chunk[..expected.len()])?;
        if received == 0 {
            return Ok(len);
        }
        if chunk[..received] != expected[..received] {
            return Err(io::Error::other(format!("wrong bytes behind the first {len}")));
        }
        len += received;
    }
}

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
            connection => return connection,
        }
    }
}

/// Sends a datagram that is echoed.
#[track_caller]
pub fn udp_echo(from: &Netns, to: (&Netns, SocketAddr), payload: &[u8]) {
    let (server, address) = to;
    let socket = server.run_in(|| UdpSocket::bind(address)).expect("a free address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("a bound socket");
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = vec![0; 65536];
        let (len, peer) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..len], peer)?;
        Ok(())
    });
    let any: SocketAddr =
        if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let client = from.run_in(|| UdpSocket::bind(any)).expect("a socket");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.send_to(payload, address).unwrap_or_else(|error| panic!("send: {error}"));
    let mut buffer = vec![0; 65536];
    let len = client.recv(&mut buffer).unwrap_or_else(|error| panic!("no echo: {error}"));
    assert_eq!(&buffer[..len], payload, "the echo");
}
