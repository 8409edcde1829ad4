//! What changed in the kernel's stack.

use std::{net::IpAddr, pin::Pin};

use futures_util::{
    Stream, StreamExt,
    future::ready,
    stream::{once, select},
};
use gre_common::tables::IfIndex;
use rtnetlink::{
    MulticastGroup,
    packet_core::NetlinkPayload,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    },
};

use super::{Error, generic, ipsec};

/// Something that a next hop or a device may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is new, or anything about it changed.
    Link(IfIndex),
    /// An interface was deleted or moved to another namespace.
    LinkGone(IfIndex),
    /// A route, rule or address of this host.
    Route,
    /// A neighbour.
    Neighbour {
        /// The device it is on.
        ifindex: IfIndex,
        /// Its address.
        address: IpAddr,
        /// What the kernel says of it.
        news: News,
    },
    /// An IPsec policy.
    IpsecPolicy,
    /// Changes came faster than they were read and some are lost: resolve everything anew.
    Lost,
}

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It will not confirm the MAC address unless someone asks.
    Stale,
    /// Nobody has answered.
    Failed,
    /// Anything else.
    Other,
}

/// Ends with `None` where a socket failed.
type Changes = Pin<Box<dyn Stream<Item = Option<Change>> + Send>>;

/// Receives changes from the moment it connects.
pub struct Monitor {
    changes: Changes,
}

impl Monitor {
    /// Connects, and spawns the connections' tasks on the current tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub async fn connect() -> Result<Self, Error> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv6Rule,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(Error::Socket)?;
        tokio::spawn(connection);
        let of_routing = messages.filter_map(|(message, _)| ready(change(message.payload)));
        let mut changes: Changes = Box::pin(until_failure(of_routing));
        if let Some(devices) = generic::changes().await? {
            changes = Box::pin(select(changes, until_failure(devices.map(Change::Link))));
        }
        if let Some(policies) = ipsec::changes()? {
            let policies = policies.map(|()| Change::IpsecPolicy);
            changes = Box::pin(select(changes, until_failure(policies)));
        }
        Ok(Self { changes })
    }

    /// Waits for the next change; `None` after the socket failed: connect again and resolve everything anew.
    /// Can be cancelled without losing a change.
    pub async fn next(&mut self) -> Option<Change> {
        self.changes.next().await.flatten()
    }
}

/// What a socket brings, and `None` when it fails.
fn until_failure(changes: impl Stream<Item = Change>) -> impl Stream<Item = Option<Change>> {
    changes.map(Some).chain(once(ready(None)))
}

fn change(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    use RouteNetlinkMessage as Message;

    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Change::Lost),
        _ => return None,
    };
    match message {
        // A bridge announces its ports here too: there "deleted" only means that a port left it.
        Message::NewLink(link) | Message::DelLink(link)
            if link.header.interface_family == AddressFamily::Bridge =>
        {
            None
        }
        Message::NewLink(link) => Some(Change::Link(IfIndex(link.header.index))),
        Message::DelLink(link) => Some(Change::LinkGone(IfIndex(link.header.index))),
        Message::NewRoute(_)
        | Message::DelRoute(_)
        | Message::NewRule(_)
        | Message::DelRule(_)
        | Message::NewAddress(_)
        | Message::DelAddress(_) => Some(Change::Route),
        Message::NewNeighbour(entry) => {
            let news = match entry.header.state {
                NeighbourState::Stale => News::Stale,
                NeighbourState::Failed => News::Failed,
                _ => News::Other,
            };
            neighbour(&entry, news)
        }
        Message::DelNeighbour(entry) => neighbour(&entry, News::Other),
        _ => None,
    }
}

/// `None` for an entry of a bridge's forwarding table.
fn neighbour(entry: &NeighbourMessage, news: News) -> Option<Change> {
    let ifindex = IfIndex(entry.header.ifindex);
    let address = entry.attributes.iter().find_map(|attribute| match *attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(address.into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(address.into()),
        _ => None,
    });
    address.map(|address| Change::Neighbour { ifindex, address, news })
}
