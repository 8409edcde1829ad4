//! Traffic with a result: ping, TCP, UDP.

use std::{
    hash::{DefaultHasher, Hasher},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
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

    /// How many, and how far apart in milliseconds.
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

/// Sends `len` pseudo-random bytes over TCP from one namespace to an address of another. Both ends compute
/// a checksum.
#[track_caller]
pub fn tcp(from: &Netns, to: (&Netns, SocketAddr), len: usize) {
    let (server, address) = to;
    let listener = server.run_in(|| TcpListener::bind(address)).expect("a free address");
    let address = listener.local_addr().expect("a bound socket");
    let (sender, result) = channel();
    thread::spawn(move || sender.send(receive(&listener)));
    let sent = from.run_in(|| send(address, len)).unwrap_or_else(|error| panic!("send: {error}"));
    let received = result.recv_timeout(PATIENCE).expect("the receiver's end");
    let received = received.unwrap_or_else(|error| panic!("receive: {error}"));
    assert_eq!(received, sent, "length and checksum");
}

type Checksum = (usize, u64);

fn send(address: SocketAddr, len: usize) -> std::io::Result<Checksum> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut hasher = DefaultHasher::new();
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut chunk = vec![0; 64 * 1024];
    let mut left = len;
    while left > 0 {
        random.fill(&mut chunk);
        let part = &chunk[..left.min(chunk.len())];
        hasher.write(part);
        stream.write_all(part)?;
        left -= part.len();
    }
    Ok((len, hasher.finish()))
}

fn receive(listener: &TcpListener) -> std::io::Result<Checksum> {
    let (mut stream, _) = accept(listener)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut hasher = DefaultHasher::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut len = 0;
    // Whole chunks, because the hash depends on how the bytes are grouped.
    loop {
        let mut filled = 0;
        while filled < chunk.len() {
            match stream.read(&mut chunk[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return Ok((len, hasher.finish()));
        }
        hasher.write(&chunk[..filled]);
        len += filled;
    }
}

fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
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

/// Marsaglia's 64-bit generator: fast, and the same bytes every time.
struct Xorshift(u64);

impl Xorshift {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_ne_bytes());
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
    thread::spawn(move || -> std::io::Result<()> {
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
