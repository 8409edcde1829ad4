//! Frames that arrive at the devices of a namespace, in the order in which they do.

use std::{
    cell::RefCell,
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, OwnedFd},
    ptr::from_mut,
};

use nix::{
    libc,
    sys::{
        socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt},
        time::{TimeVal, TimeValLike},
    },
};
use testbed::Netns;

/// Room for all that a window of frames may bring, in bytes.
const BUFFER: usize = 16 << 20;
/// The longest frame.
const LONGEST: usize = 65536;

/// A frame that arrived.
pub struct Arrival {
    /// Index of the device.
    pub device: u32,
    /// Type of what the device carries.
    pub protocol: u16,
    /// From the device's link layer header on, with a VLAN tag that the kernel had taken off.
    pub bytes: Vec<u8>,
}

/// A packet socket on all devices of a namespace.
pub struct Arrivals {
    socket: OwnedFd,
    buffer: RefCell<Vec<u8>>,
}

impl Arrivals {
    /// Starts to collect. `patience_ms` bounds each wait.
    pub fn new(ns: &Netns, patience_ms: i64) -> Self {
        let (family, kind) = (AddressFamily::Packet, SockType::Raw);
        let socket = ns
            .run_in(|| socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll))
            .unwrap_or_else(|error| panic!("packet socket: {error}"));
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).expect("a large buffer");
        let patience = TimeVal::milliseconds(patience_ms);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).expect("a timeout");
        set(&socket, libc::PACKET_AUXDATA);
        set(&socket, libc::PACKET_IGNORE_OUTGOING);
        Self { socket, buffer: RefCell::new(vec![0; LONGEST]) }
    }

    /// The next one; `None` if there is none for too long.
    pub fn next(&self) -> Option<Arrival> {
        let mut buffer = self.buffer.borrow_mut();
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut from = MaybeUninit::<libc::sockaddr_ll>::zeroed();
        // Words, for the alignment of what is read from it.
        let mut control = [0_u64; 16];
        // SAFETY: zeros are a valid `msghdr`.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = from.as_mut_ptr().cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
        message.msg_iov = from_mut(&mut part);
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: all that the message points to outlives the call, with the lengths given.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), from_mut(&mut message), 0) };
        if len < 0 {
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            return None;
        }
        let mut bytes = buffer[..len.cast_unsigned()].to_vec();
        // SAFETY: zeros were valid, and so is what the kernel wrote.
        let from = unsafe { from.assume_init() };
        if let Some(tag) = vlan_tag(&message) {
            bytes.splice(12..12, tag);
        }
        let device = from.sll_ifindex.cast_unsigned();
        Some(Arrival { device, protocol: u16::from_be(from.sll_protocol), bytes })
    }
}

/// The tag that stands beside the frame.
fn vlan_tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: `recvmsg` filled in the message and its control buffer, which is still there.
    let auxiliary = unsafe {
        let header = libc::CMSG_FIRSTHDR(message).as_ref()?;
        assert_eq!((header.cmsg_level, header.cmsg_type), (libc::SOL_PACKET, libc::PACKET_AUXDATA));
        libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned()
    };
    let valid = auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    let ([t0, t1], [v0, v1]) =
        (auxiliary.tp_vlan_tpid.to_be_bytes(), auxiliary.tp_vlan_tci.to_be_bytes());
    valid.then_some([t0, t1, v0, v1])
}

/// Sets an option of packet sockets to 1.
fn set(socket: &OwnedFd, option: libc::c_int) {
    let one: libc::c_int = 1;
    let len = size_of_val(&one) as u32;
    // SAFETY: the value is an integer of the length given.
    let code = unsafe {
        let value = (&raw const one).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, len)
    };
    assert_eq!(code, 0, "option {option}: {}", io::Error::last_os_error());
}
