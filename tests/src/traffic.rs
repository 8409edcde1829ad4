//! Traffic with a result: TCP, UDP.

use std::{
    io::{self, Read, Write},
    iter,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{LazyLock, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use crate::netns::Netns;

/// Longest silence of a peer.
const PATIENCE: Duration = Duration::from_secs(10);

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
