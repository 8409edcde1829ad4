//! What a device does with frames before programs see them (Linux `include/uapi/linux/ethtool.h`).

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

const GET_FLAGS: u32 = 0x25;
const SET_TX_CHECKSUM: u32 = 0x17;
const RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
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
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut value = Value { command, data };
    // SAFETY: zeros are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the call reads an `ifreq`, and reads and writes the `Value` it points to; both outlive it.
    let code =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if code == 0 { Ok(value.data) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::strips_vlan;

    #[test]
    fn the_loopback_device_leaves_frames_alone() {
        assert!(!strips_vlan("lo"));
    }

    #[test]
    fn a_device_that_nobody_knows_may_do_anything() {
        assert!(strips_vlan("no-such-device"));
    }
}
