//! The way to a tunnel's remote address, down to the Ethernet header.

use std::{net::Ipv4Addr, pin::pin};

use futures_util::{StreamExt, TryStreamExt};
use gre_common::{
    tables::{HopState, IfIndex, NextHop},
    wire::ethernet::{Ends, MacAddr},
};
use nix::errno::Errno;
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType},
    },
};

use super::{Error, Netlink, answer, link::Link, optional};

/// How the kernel says that it would not send: no route, an unreachable one, a blackhole or a foreign source
/// address (both `EINVAL`), a prohibited one.
const NO_ROUTE: [Errno; 4] =
    [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL, Errno::EACCES];

impl Netlink {
    /// How packets from `local` to `remote` leave this host now.
    ///
    /// [`HopState::NO_ROUTE`] where the kernel would not send them to another host, or where `local` is no
    /// address of this one. A route into one of our `own` devices, or into the other end of one, is none
    /// either: it would feed the tunnel with its own packets.
    ///
    /// [`HopState::UNRESOLVED`] where the neighbour's MAC address is unknown, where the device has no Ethernet
    /// header, and (with the unspecified address) where the gateway has an IPv6 address.
    ///
    /// The MTU is the smaller one of the device and the route, which includes what path MTU discovery found.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn next_hop(
        &self,
        local: Ipv4Addr,
        remote: Ipv4Addr,
        own: &[IfIndex],
    ) -> Result<NextHop, Error> {
        let Some(route) = self.route(Some(local), remote).await? else {
            return Ok(NextHop::NONE);
        };
        let Some(link) = self.link_by_index(route.ifindex).await? else {
            return Ok(NextHop::NONE);
        };
        if route.kind != RouteType::Unicast || leads_into(&link, own) {
            return Ok(NextHop::NONE);
        }
        let mtu = link.mtu.min(route.mtu.unwrap_or(u32::MAX));
        let hop = NextHop {
            state: HopState::UNRESOLVED,
            ifindex: link.ifindex,
            address: route.next.octets(),
            mtu: mtu.min(u16::MAX.into()),
            ..NextHop::NONE
        };
        let (Some(src), Some(dst)) = (link.mac, self.station(&link, route.next).await?) else {
            return Ok(hop);
        };
        Ok(NextHop { state: HopState::RESOLVED, ends: Ends::new(dst, src), ..hop })
    }

    /// Asks the kernel to resolve or confirm a next hop: packets that the stack does not see do not keep its
    /// entry alive.
    ///
    /// # Errors
    /// The kernel does not answer, or a privilege is missing.
    pub async fn probe(&self, hop: &NextHop) -> Result<(), Error> {
        let address = Ipv4Addr::from(hop.address);
        if hop.state == HopState::NO_ROUTE || address.is_unspecified() {
            return Ok(());
        }
        // NTF_USE takes the permanence from a permanent entry (`__neigh_update`, since Linux 5.16).
        let neighbour = self.neighbour(hop.ifindex, address).await?;
        if neighbour.is_some_and(|it| it.header.state == NeighbourState::Permanent) {
            return Ok(());
        }
        let request = self
            .handle
            .neighbours()
            .add(hop.ifindex.0, address.into())
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        optional(answer(request.execute()).await, &[Errno::ENODEV])
            .map(drop)
            .map_err(|error| Error::new(format!("resolve {address}"), &error))
    }

    /// Whether packets to `address` are for this host.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn is_local_address(&self, address: Ipv4Addr) -> Result<bool, Error> {
        let route = self.route(None, address).await?;
        Ok(route.is_some_and(|route| route.kind == RouteType::Local))
    }

    /// The route that the kernel takes, with rules, multipath and exceptions applied.
    async fn route(&self, src: Option<Ipv4Addr>, dst: Ipv4Addr) -> Result<Option<Route>, Error> {
        let mut question = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(dst, 32);
        if let Some(src) = src {
            question = question.source_prefix(src, 32);
        }
        let routes = self.handle.route().get(question.build()).execute();
        optional(answer(pin!(routes).try_next()).await, &NO_ROUTE)
            .map(|message| message.flatten().map(|message| Route::new(&message, dst)))
            .map_err(|error| Error::new(format!("look up the route to {dst}"), &error))
    }

    /// Destination of frames for `address`.
    async fn station(&self, link: &Link, address: Ipv4Addr) -> Result<Option<MacAddr>, Error> {
        let neighbour = self.neighbour(link.ifindex, address).await?;
        let known = neighbour.and_then(|message| lladdr(&message));
        // Without ARP the kernel takes the device's own address (`arp_constructor`).
        Ok(known.or(if link.arp { None } else { link.mac }))
    }

    /// One entry of the neighbour table.
    async fn neighbour(
        &self,
        ifindex: IfIndex,
        address: Ipv4Addr,
    ) -> Result<Option<NeighbourMessage>, Error> {
        let mut question = NeighbourMessage::default();
        question.header.family = AddressFamily::Inet;
        question.header.ifindex = ifindex.0;
        question.attributes.push(NeighbourAttribute::Destination(address.into()));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(question));
        request.header.flags = NLM_F_REQUEST;

        // rtnetlink can only list the whole table.
        let entry = async {
            match self.handle.clone().request(request)?.next().await.map(|reply| reply.payload) {
                Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry))) => {
                    Ok(entry)
                }
                Some(NetlinkPayload::Error(error)) => Err(rtnetlink::Error::NetlinkError(error)),
                _ => Err(rtnetlink::Error::RequestFailed),
            }
        };
        optional(answer(entry).await, &[Errno::ENOENT, Errno::ENODEV])
            .map_err(|error| Error::new(format!("look up the neighbour {address}"), &error))
    }
}

/// Whether what is sent to `link` comes out of one of our `own` devices, or goes into it.
fn leads_into(link: &Link, own: &[IfIndex]) -> bool {
    let near_end = link.peer.filter(|peer| peer.netnsid.is_none()).map(|peer| peer.ifindex);
    own.iter().any(|&device| device == link.ifindex || Some(device) == near_end)
}

/// A neighbour's MAC address. The kernel tells one only while it may be used: in the states REACHABLE, STALE,
/// DELAY, PROBE, PERMANENT and NOARP (`neigh_fill_info`).
fn lladdr(message: &NeighbourMessage) -> Option<MacAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(address) => address.as_slice().try_into().ok(),
        _ => None,
    })
}

/// The kernel's answer to "how would you send this?".
struct Route {
    kind: RouteType,
    ifindex: IfIndex,
    /// The gateway, or the destination itself.
    next: Ipv4Addr,
    /// In bytes, where it differs from the device's.
    mtu: Option<u32>,
}

impl Route {
    fn new(message: &RouteMessage, dst: Ipv4Addr) -> Self {
        let mut route =
            Self { kind: message.header.kind, ifindex: IfIndex::NONE, next: dst, mtu: None };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(ifindex) => route.ifindex = IfIndex(*ifindex),
                RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => route.next = *gateway,
                // A gateway with an IPv6 address (RFC 5549).
                RouteAttribute::Via(_) => route.next = Ipv4Addr::UNSPECIFIED,
                RouteAttribute::Metrics(metrics) => {
                    route.mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        route
    }
}
