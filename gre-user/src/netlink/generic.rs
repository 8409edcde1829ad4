//! Generic netlink, as far as the family `netdev` needs it (Linux `include/uapi/linux/genetlink.h`, `netdev.h`):
//! what XDP can do on a device.

use futures_util::{Stream, StreamExt};
use gre_common::tables::IfIndex;
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{
        DecodeError, DefaultNla, Emitable, ErrorMessage, NLM_F_REQUEST, NetlinkDeserializable,
        NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlaBuffer,
        NlasIterator,
    },
    proto::{ConnectionHandle, new_connection},
    sys::{AsyncSocket, SocketAddr, protocols::NETLINK_GENERIC},
};

use super::{Error, Netlink, PATIENCE, link::Link};

/// The family that tells the ids of others (`GENL_ID_CTRL`).
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const FAMILY_GROUPS: u16 = 7;
const GROUP_ID: u16 = 2;

/// The family that tells what XDP can do on a device; Linux 6.3 and later.
const NETDEV: &str = "netdev";
const DEVICE_GET: u8 = 1;
const DEVICE_IFINDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;

/// A message: command, version, two bytes that are zero, attributes.
#[derive(Clone, Debug)]
pub struct Message {
    family: u16,
    bytes: Vec<u8>,
}

pub(super) type Handle = ConnectionHandle<Message>;

/// What XDP can do on a device (`enum netdev_xdp_act`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures(pub u64);

impl XdpFeatures {
    /// Programs run in its driver.
    pub const BASIC: Self = Self(1);
    /// It transmits frames that XDP redirects to it (`NETDEV_XDP_ACT_NDO_XMIT`).
    pub const TRANSMIT: Self = Self(4);
    /// Frames may be longer than a page (`NETDEV_XDP_ACT_RX_SG`).
    pub const FRAGMENTS: Self = Self(32);

    /// Whether all of these are among them.
    pub const fn has(self, these: Self) -> bool {
        self.0 & these.0 == these.0
    }
}

/// A family that this kernel has.
struct Family {
    id: u16,
    /// Its one multicast group.
    group: Option<u32>,
}

impl Message {
    const HEADER_LEN: usize = 4;

    fn new(family: u16, command: u8, attribute: &DefaultNla) -> Self {
        let mut bytes = vec![0; Self::HEADER_LEN + attribute.buffer_len()];
        bytes[0] = command;
        bytes[1] = 1;
        attribute.emit(&mut bytes[Self::HEADER_LEN..]);
        Self { family, bytes }
    }

    fn attribute(&self, kind: u16) -> Option<Vec<u8>> {
        attribute(self.bytes.get(Self::HEADER_LEN..)?, kind)
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { family: header.message_type, bytes: payload.to_vec() })
    }
}

/// Connects, and spawns the connection's task on the current tokio runtime.
pub(super) fn connect() -> Result<Handle, Error> {
    let (connection, handle, _) = new_connection(NETLINK_GENERIC).map_err(Error::Socket)?;
    tokio::spawn(connection);
    Ok(handle)
}

impl Netlink {
    /// Whether a device transmits the frames that XDP redirects to it. Where it does not, they vanish without a
    /// word. A veth device does while its other end has XDP or GRO on.
    ///
    /// Before Linux 6.3 nobody tells, and only of a tap is it certain.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn transmits_xdp(&self, link: &Link) -> Result<bool, Error> {
        let features = self.xdp_features(link).await?;
        let is_tap = link.kind.as_deref() == Some("tun");
        Ok(features.map_or(is_tap, |features| features.has(XdpFeatures::TRANSMIT)))
    }

    /// What XDP can do on a device; `None` before Linux 6.3, where nobody tells.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn xdp_features(&self, link: &Link) -> Result<Option<XdpFeatures>, Error> {
        let Some(netdev) = family(&self.generic, NETDEV).await? else { return Ok(None) };
        let ifindex = DefaultNla::new(DEVICE_IFINDEX, link.ifindex.0.to_ne_bytes().to_vec());
        let device = request(&self.generic, Message::new(netdev.id, DEVICE_GET, &ifindex)).await?;
        let features = device.as_ref().and_then(|device| device.attribute(DEVICE_XDP_FEATURES));
        let features = features.and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        Ok(Some(XdpFeatures(features.unwrap_or(0))))
    }
}

/// Devices of which it changed what XDP can do on them; `None` where this kernel does not tell.
pub(super) async fn changes() -> Result<Option<impl Stream<Item = IfIndex>>, Error> {
    let (mut connection, handle, messages) =
        new_connection::<Message>(NETLINK_GENERIC).map_err(Error::Socket)?;
    let group = family(&connect()?, NETDEV).await?.and_then(|family| family.group);
    let Some(group) = group else { return Ok(None) };
    let socket = connection.socket_mut().socket_mut();
    // The kernel sends no one else's messages to a socket without an address, which it takes for its own.
    socket.bind_auto().and_then(|_| socket.add_membership(group)).map_err(Error::Socket)?;
    tokio::spawn(connection);
    let ifindex = |message: &Message| {
        let bytes = message.attribute(DEVICE_IFINDEX)?.try_into().ok()?;
        Some(IfIndex(u32::from_ne_bytes(bytes)))
    };
    let changes = messages.filter_map(move |(message, _)| {
        // Without a handle the connection would end.
        let _connected = &handle;
        std::future::ready(match message.payload {
            NetlinkPayload::InnerMessage(message) => ifindex(&message),
            _ => None,
        })
    });
    Ok(Some(changes))
}

async fn family(handle: &Handle, name: &str) -> Result<Option<Family>, Error> {
    let name = DefaultNla::new(FAMILY_NAME, [name.as_bytes(), &[0]].concat());
    let found = request(handle, Message::new(CONTROLLER, GET_FAMILY, &name)).await?;
    Ok(found.and_then(|found| {
        let id = u16::from_ne_bytes(found.attribute(FAMILY_ID)?.try_into().ok()?);
        Some(Family { id, group: found.attribute(FAMILY_GROUPS).as_deref().and_then(first_group) })
    }))
}

fn first_group(groups: &[u8]) -> Option<u32> {
    let first = attributes(groups).next()?;
    Some(u32::from_ne_bytes(attribute(first.value(), GROUP_ID)?.try_into().ok()?))
}

fn attribute(bytes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let found = attributes(bytes).find(|attribute| attribute.kind() == kind)?;
    Some(found.value().to_vec())
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// Asks for one thing; `None`: the kernel has no such thing.
async fn request(handle: &Handle, message: Message) -> Result<Option<Message>, Error> {
    const ACTION: &str = "ask what XDP can do on a device";
    let mut message =
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
    message.header.flags = NLM_F_REQUEST;
    let refused = |cause: &dyn std::fmt::Display| Error::Refused {
        action: ACTION.to_owned(),
        cause: cause.to_string(),
    };
    let mut answers =
        handle.request(message, SocketAddr::new(0, 0)).map_err(|error| refused(&error))?;
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await.ok().flatten();
    match answer.map(|answer| answer.payload) {
        Some(NetlinkPayload::InnerMessage(message)) => Ok(Some(message)),
        Some(NetlinkPayload::Error(error)) if is_absent(&error) => Ok(None),
        Some(NetlinkPayload::Error(error)) => Err(refused(&error)),
        _ => Err(Error::NoAnswer { action: ACTION.to_owned() }),
    }
}

fn is_absent(error: &ErrorMessage) -> bool {
    error.code.is_some_and(|code| {
        matches!(Errno::from_raw(-code.get()), Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP)
    })
}
