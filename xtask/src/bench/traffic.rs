//! Traffic of plain sockets from the first end of a way to the second, counted by who receives it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::peers::Way;

/// Longest silence.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes in a read or write of TCP.
const CHUNK: usize = 128 * 1024;
/// UDP payload that makes an Ethernet frame of 64 bytes.
const SMALLEST: usize = 18;

/// What one TCP connection carries, in Gbit/s.
pub fn tcp(way: &Way<'_>, span: Duration) -> Result<f64> {
    let here = (way.address, 0);
    let listener = way.two.run_in(|| TcpListener::bind(here))?;
    let address = listener.local_addr()?;
    let mut sender = way.one.run_in(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    let (mut receiver, _) = listener.accept()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let mut chunk = vec![0; CHUNK];
    // It owns the connection: a sender that waits for room is woken when it ends.
    let mut receive = move || {
        let len = receiver.read(&mut chunk).context("nothing more arrives")?;
        ensure!(len > 0, "the sender is gone");
        Ok(len as u64)
    };
    let zeros = vec![0; CHUNK];
    let send = || sender.write_all(&zeros).is_ok();
    let bytes = while_sending(send, move || rate(span, &mut receive))?;
    Ok(bytes * 8.0 / 1e9)
}

/// The median time of a UDP round trip, in microseconds.
pub fn round_trip(way: &Way<'_>, span: Duration) -> Result<f64> {
    let (client, server) = pair(way)?;
    let message = [0x5a; SMALLEST];
    let done = AtomicBool::new(false);
    let mut times = thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 64];
            while !done.load(Ordering::Relaxed) {
                // Only the end of the measurement makes it wait in vain.
                let Ok((len, peer)) = server.recv_from(&mut buffer) else { return };
                let _ = server.send_to(&buffer[..len], peer);
            }
        });
        let result = ping(&client, &message, span);
        done.store(true, Ordering::Relaxed);
        let _ = client.send(&message);
        result
    })?;
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}

fn ping(client: &UdpSocket, message: &[u8], span: Duration) -> Result<Vec<Duration>> {
    let mut buffer = [0; 64];
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < span {
        let sent = Instant::now();
        client.send(message)?;
        client.recv(&mut buffer).context("no answer")?;
        times.push(sent.elapsed());
    }
    ensure!(!times.is_empty(), "no round trip in time");
    Ok(times)
}

/// A socket at the first end, connected to one at the second.
fn pair(way: &Way<'_>) -> Result<(UdpSocket, UdpSocket)> {
    let here = (way.address, 0);
    let two = way.two.run_in(|| UdpSocket::bind(here))?;
    let address = two.local_addr()?;
    let any: SocketAddr = ([0; 4], 0).into();
    let one = way.one.run_in(|| {
        let one = UdpSocket::bind(any)?;
        one.connect(address).map(|()| one)
    })?;
    for socket in [&one, &two] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    Ok((one, two))
}

/// Runs `receive` while another thread sends.
fn while_sending<T>(mut send: impl FnMut() -> bool + Send, receive: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                if !send() || done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let result = receive();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// What arrives in a second. What arrives in the first quarter of the time is left out: a connection gets up to
/// speed, addresses are resolved.
fn rate(span: Duration, receive: &mut impl FnMut() -> Result<u64>) -> Result<f64> {
    let mut last = 0.0;
    for span in [span / 4, span] {
        let (begin, mut count) = (Instant::now(), 0);
        while begin.elapsed() < span {
            count += receive()?;
        }
        last = count as f64 / begin.elapsed().as_secs_f64();
    }
    Ok(last)
}
