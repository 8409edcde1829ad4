//! What a device does with frames before programs see them (Linux `include/uapi/linux/ethtool.h`).

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

const GET_TX_CHECKSUM: u32 = 0x16;
const SET_TX_CHECKSUM: u32 = 0x17;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
const GET_CHANNELS: u32 = 0x3c;
const TX_VLAN: u32 = 1 << 7;
const RX_VLAN: u32 = 1 << 8;
const LRO: u32 = 1 << 15;

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_channels`
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// What a device does with frames; `None` where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// It merges received packets, whatever their headers.
    pub lro: Option<bool>,
    /// The kernel merges received packets of one TCP connection.
    pub gro: Option<bool>,
    /// It takes VLAN tags out of received frames.
    pub rx_vlan: Option<bool>,
    /// It puts VLAN tags into frames to send, which the kernel gives it beside them.
    pub tx_vlan: Option<bool>,
    /// It calculates checksums of packets to send.
    pub tx_checksum: Option<bool>,
}

/// Queues of received packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// How many there are.
    pub used: u32,
    /// How many there could be.
    pub max: u32,
    /// Whether each is one for packets to send, too.
    pub combined: bool,
}

/// What a device does with frames.
pub fn offloads(interface: &str) -> Offloads {
    let get = |command| ask(interface, command, 0).ok();
    let flags = get(GET_FLAGS);
    let flag = |bit| flags.map(|flags| flags & bit != 0);
    let value = |command| get(command).map(|value| value != 0);
    Offloads {
        lro: flag(LRO),
        gro: value(GET_GRO),
        rx_vlan: flag(RX_VLAN),
        tx_vlan: flag(TX_VLAN),
        tx_checksum: value(GET_TX_CHECKSUM),
    }
}

/// A device's queues of received packets; `None` where its driver does not tell.
pub fn receive_queues(interface: &str) -> Option<Queues> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    call(interface, &mut channels).ok()?;
    let Channels { rx, combined, max_rx, max_combined, .. } = channels;
    Some(Queues { used: rx + combined, max: max_rx.max(max_combined), combined: max_combined > 0 })
}

/// Whether received frames have lost their VLAN tag, which the kernel keeps beside them, when XDP sees them. True
/// where the kernel does not tell.
pub fn strips_vlan(interface: &str) -> bool {
    ask(interface, GET_FLAGS, 0).map_or(true, |flags| flags & RX_VLAN != 0)
}

/// Says whether the device gets packets without checksum, and large ones whole. If not, the kernel calculates every
/// checksum, and by that cuts every large packet, before, as `ethtool --offload DEVICE tx off` has it.
///
/// # Errors
/// The device is gone or cannot change, or a privilege is missing.
pub fn leave_checksums(interface: &str, to_device: bool) -> io::Result<()> {
    ask(interface, SET_TX_CHECKSUM, to_device.into()).map(drop)
}

fn ask(interface: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut value = Value { command, data };
    call(interface, &mut value)?;
    Ok(value.data)
}

/// One call. `subject` is what the command that it begins with reads and writes.
fn call<T>(interface: &str, subject: &mut T) -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut *subject).cast();
    // SAFETY: the call reads an `ifreq`, and reads and writes the subject it points to, as long as the command's
    // structure; both outlive it.
    let code =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::{Offloads, offloads, receive_queues, strips_vlan};

    #[test]
    fn the_loopback_device_leaves_frames_alone() {
        assert!(!strips_vlan("lo"));
        let Offloads { lro, rx_vlan, tx_checksum, .. } = offloads("lo");
        assert_eq!((lro, rx_vlan, tx_checksum), (Some(false), Some(false), Some(true)));
        assert_eq!(receive_queues("lo"), None);
    }

    #[test]
    fn a_device_that_nobody_knows_may_do_anything() {
        assert!(strips_vlan("no-such-device"));
        assert_eq!(offloads("no-such-device"), Offloads::default());
    }
}
