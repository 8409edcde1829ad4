//! A tap device with somebody who reads it, as a virtual machine would.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write as _},
    os::fd::AsRawFd,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use nix::libc;

use crate::netns::Netns;

/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tap device, up, as long as this value lives and nobody else holds it.
#[derive(Debug)]
pub struct Tap {
    file: File,
    frames: Receiver<Vec<u8>>,
}

impl Tap {
    /// Makes the device.
    #[track_caller]
    pub fn new(ns: &Netns, name: &str) -> Self {
        let file = ns.run_in(|| open(name));
        let mut reader = file.try_clone().expect("another descriptor");
        ns.ip(&format!("link set {name} up"));
        let (sender, frames) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(len) = reader.read(&mut buffer)
                && sender.send(buffer[..len].to_vec()).is_ok()
            {}
        });
        Self { file, frames }
    }

    /// Sends a frame, as the machine would.
    #[track_caller]
    pub fn send(&mut self, frame: &[u8]) {
        self.file.write_all(frame).expect("a frame that is taken");
    }

    /// The next frame that contains `mark`.
    #[track_caller]
    pub fn receive(&self, mark: &[u8]) -> Vec<u8> {
        loop {
            let frame = self.frames.recv_timeout(PATIENCE).expect("a frame");
            if frame.windows(mark.len()).any(|window| window == mark) {
                return frame;
            }
        }
    }
}

fn open(name: &str) -> File {
    let file =
        OpenOptions::new().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
    // SAFETY: zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: the call reads and writes an `ifreq`, which outlives it.
    let code = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(code, 0, "{name}: {}", std::io::Error::last_os_error());
    file
}
