//! Sends what the kernel is to protect by IPsec.
//!
//! What a program redirects to a device has passed the place where the kernel looks at its policies. So the way to a remote
//! address that a policy is about leads into a tap device, and what comes out of that is sent again, by a socket.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    iter, mem,
    os::fd::{AsFd as _, AsRawFd as _},
    os::unix::fs::OpenOptionsExt as _,
};

use gre_common::{tables::IfIndex, verdict::DropReason, wire::ethernet};

use super::{
    thread::{Stop, Thread},
    underlay::{Outgoing, Underlay},
};
use crate::{
    datapath::{Error, Result},
    netlink::Netlink,
    state::live::Live,
};

/// Name of the tap device.
pub const DEVICE: &str = "xgre-ipsec";

/// How many packets are sent before it is looked whether to end.
const BURST: usize = 64;
/// Longest frame, in bytes.
const MAX_FRAME: usize = ethernet::HEADER_LEN + 65_535;

/// The tap device, as long as this lives.
pub struct Device(File);

impl Device {
    /// Makes it, and sets it up.
    ///
    /// # Errors
    /// The kernel gives none.
    pub async fn make(netlink: &Netlink) -> Result<Self> {
        let device = open(DEVICE).map_err(Error::Ipsec)?;
        netlink.settle(DEVICE).await?;
        Ok(Self(device))
    }
}

/// The thread that reads the device; both go with this.
pub struct Sender {
    _thread: Thread,
}

impl Sender {
    /// Begins.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(Device(device): Device, underlay: Underlay, live: Live) -> Result<Self> {
        let work = Work { device, underlay, live };
        let thread = Thread::start("way to IPsec", |stop| work.run(&stop)).map_err(Error::Ipsec)?;
        Ok(Self { _thread: thread })
    }
}

struct Work {
    device: File,
    underlay: Underlay,
    live: Live,
}

impl Work {
    fn run(mut self, stop: &Stop) -> io::Result<()> {
        let mut frame = vec![0; MAX_FRAME];
        while stop.wait(iter::once(self.device.as_fd()), None)? {
            for _ in 0..BURST {
                match self.device.read(&mut frame) {
                    Ok(len) => self.send(&frame[..len]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) {
        let packet = frame.get(ethernet::HEADER_LEN..).and_then(Outgoing::parse);
        // The host greets its neighbours on every device.
        let Some(packet) = packet else { return };
        let Err(error) = self.underlay.send(&packet) else { return };
        log::debug!("cannot hand a packet to IPsec: {error}");
        let discard = DropReason::Ipsec.unattributed();
        if let Err(error) = self.live.count_dropped(IfIndex::NONE, discard) {
            log::debug!("cannot count a packet: {error}");
        }
    }
}

/// A tap device, as long as the file is open.
fn open(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: the call reads and writes an `ifreq`, which outlives it.
    let code = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if code == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}
