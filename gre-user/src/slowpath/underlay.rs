//! Sends tunnels' packets as the kernel routes them, and as its IPsec policies want.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use gre_common::{
    packet::Packet as _,
    wire::{address::Address, ipv4, ipv6},
};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};

use super::option::set;

/// What nobody sends to. A socket bound to it receives nothing, and no ICMP error is about what it sent.
const NOWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::BROADCAST), IpAddr::V6(Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 0))];

/// A GRE packet that is to leave this host.
pub(super) struct Outgoing<'p> {
    source: IpAddr,
    destination: IpAddr,
    fields: Fields,
    /// What follows the IP header.
    gre: &'p [u8],
}

/// What an IP header says besides addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    tos: u8,
    ttl: u8,
    dont_fragment: bool,
}

impl<'p> Outgoing<'p> {
    /// Reads a packet that begins with its IP header, without options or extension headers. `None`: it is no such packet.
    pub fn parse(packet: &'p [u8]) -> Option<Self> {
        if packet.first()? >> 4 == 6 {
            return Self::parse_v6(packet);
        }
        let header = ipv4::parse(packet.words(0)?);
        let is_ours = ipv4::is_sane(&header) && header.proto == ipv4::PROTO_GRE;
        let fields = Fields {
            tos: header.tos,
            ttl: header.ttl,
            dont_fragment: ipv4::dont_fragment(&header),
        };
        Some(Self {
            source: Ipv4Addr::from(header.src_addr).into(),
            destination: Ipv4Addr::from(header.dst_addr).into(),
            fields,
            gre: packet.get(ipv4::header_len(&header)..ipv4::total_len(&header))?,
        })
        .filter(|_| is_ours)
    }

    fn parse_v6(packet: &'p [u8]) -> Option<Self> {
        let start = ipv6::Start(packet.read(0)?);
        let address = |offset| packet.words(offset).map(|words| Address::v6(words).into());
        let fields =
            Fields { tos: start.traffic_class(), ttl: start.hop_limit(), dont_fragment: true };
        Some(Self {
            source: address(ipv6::SOURCE_OFFSET)?,
            destination: address(ipv6::DESTINATION_OFFSET)?,
            fields,
            gre: packet.get(ipv6::HEADER_LEN..)?.get(..start.payload_len())?,
        })
        .filter(|_| start.next_header() == ipv4::PROTO_GRE)
    }
}

/// The sockets.
pub struct Underlay {
    v4: Way,
    /// `None` where the kernel knows no IPv6.
    v6: Option<Way>,
}

/// A socket for one IP version. The kernel writes the IP headers: of what comes with one it does not see, before Linux 6.4, that it is
/// GRE, which an IPsec policy may ask.
struct Way {
    socket: Socket,
    /// What it writes into them.
    fields: Option<Fields>,
}

impl Underlay {
    /// Opens them. Later nobody has the privilege.
    ///
    /// # Errors
    /// The privilege is missing now.
    pub fn open() -> io::Result<Self> {
        let [nowhere4, nowhere6] = NOWHERE;
        let v6 = match Way::open(nowhere6) {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            way => Some(way?),
        };
        Ok(Self { v4: Way::open(nowhere4)?, v6 })
    }

    /// Sends a packet. The kernel chooses identification and flow label, and cuts what may be cut.
    pub(super) fn send(&mut self, packet: &Outgoing<'_>) -> io::Result<()> {
        match (packet.source, packet.destination, &mut self.v6) {
            (IpAddr::V4(source), IpAddr::V4(destination), _) => {
                self.v4.write(packet.fields)?;
                self.v4.send_v4(source, destination, packet.gre)
            }
            (IpAddr::V6(source), IpAddr::V6(destination), Some(v6)) => {
                v6.write(packet.fields)?;
                v6.send_v6(source, destination, packet.gre)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Way {
    fn open(nowhere: IpAddr) -> io::Result<Self> {
        let address = SocketAddr::new(nowhere, 0);
        let protocol = Protocol::from(i32::from(ipv4::PROTO_GRE));
        let socket = Socket::new(Domain::for_address(address), Type::RAW, Some(protocol))?;
        socket.bind(&address.into())?;
        if nowhere.is_ipv6() {
            let never = libc::IPV6_PMTUDISC_DO.to_ne_bytes();
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &never)?;
        }
        Ok(Self { socket, fields: None })
    }

    /// Has the kernel write these fields into the headers of what follows.
    fn write(&mut self, fields: Fields) -> io::Result<()> {
        if self.fields == Some(fields) {
            return Ok(());
        }
        let Fields { tos, ttl, dont_fragment } = fields;
        if self.socket.domain()? == Domain::IPV6 {
            self.socket.set_tclass_v6(tos.into())?;
            self.socket.set_unicast_hops_v6(ttl.into())?;
        } else {
            let discover =
                if dont_fragment { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
            set(&self.socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &discover.to_ne_bytes())?;
            self.socket.set_tos_v4(tos.into())?;
            self.socket.set_ttl_v4(ttl.into())?;
        }
        self.fields = Some(fields);
        Ok(())
    }

    fn send_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, gre: &[u8]) -> io::Result<()> {
        let none = libc::in_addr { s_addr: 0 };
        let source = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        let (fd, bytes) = (self.socket.as_raw_fd(), [IoSlice::new(gre)]);
        sendmsg(fd, &bytes, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    fn send_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, gre: &[u8]) -> io::Result<()> {
        let source = libc::in6_addr { s6_addr: source.octets() };
        let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
        let control = [ControlMessage::Ipv6PacketInfo(&info)];
        let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, 0));
        let (fd, bytes) = (self.socket.as_raw_fd(), [IoSlice::new(gre)]);
        sendmsg(fd, &bytes, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }
}
