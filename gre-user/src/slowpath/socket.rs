//! Raw sockets, and packets off them in the form that the decision reads.

use std::{
    io::{self, IoSliceMut},
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use gre_common::{
    tables::IfIndex,
    wire::{
        address::Address,
        be32::Be32,
        ethernet::{self, EtherType},
        icmp, ipv4, ipv6,
    },
};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, LinkAddr, MsgFlags, SockaddrLike as _, SockaddrStorage, recvmsg,
        sendto, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{option::set, underlay::Underlay};
use crate::datapath::{Error, Result};

/// Option of a raw ICMP socket: a bit for each type, set for those that it does not get (`linux/icmp.h`).
const ICMP_FILTER: i32 = 1;
/// The same for IPv6 (RFC 3542 section 3.2; `linux/icmpv6.h`).
const ICMPV6_FILTER: i32 = 1;

/// Room for packets not received yet, in bytes as the kernel counts them, for each IP version.
const BUFFER: usize = 4 << 20;
/// Longest IP packet, in bytes.
const MAX_PACKET: usize = 65_535;
/// Where what a socket gives begins: behind the headers that the kernel leaves out.
const START: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;

/// All sockets of the slow path.
pub struct Sockets {
    pub(super) raw: Vec<Raw>,
    pub(super) port: Port,
    pub(super) underlay: Underlay,
    /// The same, for fragments.
    pub(super) fragments: Underlay,
}

impl Sockets {
    /// Opens them. Later nobody has the privilege.
    ///
    /// # Errors
    /// The privilege is missing now.
    pub fn open() -> Result<Self> {
        let port = Port::open().map_err(Error::SlowPath)?;
        let mut raw = Vec::new();
        for kind in [Kind::GreOverIpv4, Kind::GreOverIpv6, Kind::Icmp, Kind::Icmpv6] {
            match Raw::open(kind) {
                Ok(socket) => raw.push(socket),
                // The kernel knows no IPv6.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => return Err(Error::SlowPath(error)),
            }
        }
        let [underlay, fragments] = [Underlay::open(), Underlay::open()];
        let underlay = underlay.map_err(Error::SlowPath)?;
        let fragments = fragments.map_err(Error::SlowPath)?;
        Ok(Self { raw, port, underlay, fragments })
    }
}

/// Sends frames out of any interface.
pub(super) struct Port {
    socket: Socket,
}

impl Port {
    fn open() -> io::Result<Self> {
        // Protocol 0 receives nothing.
        Ok(Self { socket: Socket::new(Domain::PACKET, Type::RAW, None)? })
    }

    /// Sends a frame, complete with its Ethernet header.
    pub fn send(&self, ifindex: IfIndex, frame: &[u8]) -> io::Result<()> {
        let address = link_address(ifindex);
        let len = sendto(self.socket.as_raw_fd(), frame, &address, MsgFlags::MSG_DONTWAIT)?;
        if len == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

fn link_address(ifindex: IfIndex) -> LinkAddr {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: ifindex.0.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a complete address of the length given, of the family it names.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(len)) }.expect("a link address")
}

/// What a raw socket gets, of all that is for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// GRE packets.
    GreOverIpv4,
    /// The same over IPv6.
    GreOverIpv6,
    /// ICMP messages that a destination is unreachable.
    Icmp,
    /// messages of ICMP for IPv6 that a packet is too big.
    Icmpv6,
}

/// A raw socket.
pub(super) struct Raw {
    socket: Socket,
    /// What it gets.
    pub kind: Kind,
}

impl Raw {
    fn open(kind: Kind) -> io::Result<Self> {
        let gre = i32::from(ipv4::PROTO_GRE);
        let (domain, protocol) = match kind {
            Kind::GreOverIpv4 => (Domain::IPV4, gre),
            Kind::GreOverIpv6 => (Domain::IPV6, gre),
            Kind::Icmp => (Domain::IPV4, libc::IPPROTO_ICMP),
            Kind::Icmpv6 => (Domain::IPV6, libc::IPPROTO_ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
        socket.set_nonblocking(true)?;
        match kind {
            Kind::GreOverIpv4 => {
                setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
                // Else ICMP errors about GRE would change the route's MTU, whatever key they quote.
                let never = libc::IP_PMTUDISC_INTERFACE.to_ne_bytes();
                set(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &never)?;
            }
            Kind::GreOverIpv6 => {
                setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvTClass, &true)?;
            }
            Kind::Icmp => {
                let blocked = !(1u32 << icmp::UNREACHABLE);
                set(&socket, libc::SOL_RAW, ICMP_FILTER, &blocked.to_ne_bytes())?;
            }
            Kind::Icmpv6 => {
                let mut blocked = [0xff; 32];
                blocked[..4].copy_from_slice(&(!(1u32 << icmp::TOO_BIG_V6)).to_ne_bytes());
                set(&socket, libc::SOL_ICMPV6, ICMPV6_FILTER, &blocked)?;
            }
        }
        Ok(Self { socket, kind })
    }

    /// Takes a packet, if there is one.
    pub fn receive(&self, received: &mut Received) -> io::Result<bool> {
        let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut iov = [IoSliceMut::new(&mut received.buffer[START..])];
        let fd = self.socket.as_raw_fd();
        let message =
            match recvmsg::<SockaddrStorage>(fd, &mut iov, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            };
        let (mut arrival, mut local, mut traffic_class) = (IfIndex::NONE, None, 0);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    arrival = IfIndex(info.ipi_ifindex.cast_unsigned());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    arrival = IfIndex(info.ipi6_ifindex);
                    local = Some(Address::v6(Be32::words(info.ipi6_addr.s6_addr)));
                }
                ControlMessageOwned::Ipv6TClass(class) => {
                    traffic_class = class.cast_unsigned() as u8;
                }
                _ => {}
            }
        }
        let remote = message.address.as_ref().and_then(SockaddrStorage::as_sockaddr_in6);
        let remote = remote.map(|remote| Address::from(IpAddr::from(remote.ip())));
        let len = message.bytes;
        (received.arrival, received.end) = (arrival, START + len);
        match (self.kind, local, remote) {
            (Kind::GreOverIpv4, ..) => received.complete(EtherType::IPV4, &[]),
            (Kind::GreOverIpv6, Some(local), Some(remote)) if len <= MAX_PACKET => {
                // The header that the kernel took off, as far as the decision reads it; without extension headers.
                let (flow_label, payload_len, hop_limit) = (0, len as u16, 64);
                let start = ipv6::Outer { traffic_class, flow_label, payload_len, hop_limit };
                let header = start.between(remote, local).map(Be32::bytes);
                received.complete(EtherType::IPV6, header.as_flattened());
            }
            (Kind::Icmp | Kind::Icmpv6, ..) => {}
            (Kind::GreOverIpv6, ..) => return Ok(false),
        }
        Ok(true)
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A packet that was received, with an Ethernet header.
pub(super) struct Received {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The interface that it came by.
    pub arrival: IfIndex,
}

impl Received {
    pub fn new() -> Self {
        let buffer = vec![0; START + MAX_PACKET];
        Self { buffer, begin: START, end: START, arrival: IfIndex::NONE }
    }

    /// What the socket gave.
    pub fn message(&self) -> &[u8] {
        &self.buffer[START..self.end]
    }

    /// A GRE packet as a frame.
    pub fn frame(&mut self) -> &mut [u8] {
        &mut self.buffer[self.begin..self.end]
    }

    /// Puts an IP header, and an Ethernet header without addresses, in front of what came.
    fn complete(&mut self, ether_type: EtherType, ip: &[u8]) {
        let ip_begin = START - ip.len();
        self.buffer[ip_begin..START].copy_from_slice(ip);
        self.begin = ip_begin - ethernet::HEADER_LEN;
        let link = ethernet::Ends::NONE.header(ether_type);
        self.buffer[self.begin..ip_begin].copy_from_slice(&link);
    }
}
