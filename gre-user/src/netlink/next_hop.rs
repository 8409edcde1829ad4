//! The way to a tunnel's remote address, down to the Ethernet header.

use std::{net::IpAddr, pin::pin};

use futures_util::{StreamExt, TryStreamExt};
use gre_common::{
    tables::{HopState, IfIndex, NextHop, Tunnel, TunnelOptions},
    wire::{
        address::Address,
        ethernet::{Ends, MacAddr},
    },
};
use nix::errno::Errno;
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteType,
            RouteVia,
        },
    },
};

use super::{Error, Netlink, answer, link::Link, optional};

/// How the kernel says that it would not send: no route, an unreachable one, a blackhole or a foreign source
/// address (both `EINVAL`), a prohibited one.
const NO_ROUTE: [Errno; 4] =
    [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL, Errno::EACCES];

/// How packets would leave this host, in the kernel's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The device that they leave by.
    pub ifindex: IfIndex,
    /// The address that they would come from; `None` where the kernel does not say.
    pub source: Option<IpAddr>,
    /// The gateway, or the destination itself; `None` where the kernel does not say.
    pub next: Option<IpAddr>,
    /// Largest packet in bytes, where it is not that of the device.
    pub mtu: Option<u32>,
}

/// How far the kernel got with a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// It knows the MAC address, or needs none.
    Known,
    /// It has not asked, or waits for the answer.
    Unknown,
    /// It has asked, and nobody has answered.
    Failed,
}

impl Netlink {
    /// How packets from `src`, or from an address of the kernel's choice, would leave for `dst`; `None` where they would
    /// not leave for another host.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn way(&self, src: Option<IpAddr>, dst: IpAddr) -> Result<Option<Way>, Error> {
        let route = self.route(src, dst).await?.filter(|route| route.kind == RouteType::Unicast);
        Ok(route.map(|Route { ifindex, source, next, mtu, .. }| Way { ifindex, source, next, mtu }))
    }

    /// How far the kernel got with a neighbour. It is not asked for more.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn acquaintance(&self, link: &Link, address: IpAddr) -> Result<Acquaintance, Error> {
        let neighbour = self.neighbour(link.ifindex, address).await?;
        Ok(match neighbour {
            _ if !link.arp || link.mac.is_none() => Acquaintance::Known,
            Some(entry) if lladdr(&entry).is_some() => Acquaintance::Known,
            Some(entry) if entry.header.state == NeighbourState::Failed => Acquaintance::Failed,
            _ => Acquaintance::Unknown,
        })
    }

    /// How a tunnel's packets leave this host now.
    ///
    /// [`HopState::NO_ROUTE`] where the kernel would not send them to another host, or where the local address is
    /// none of this one's. A route into one of our `own` devices, or into the other end of one, is none
    /// either: it would feed the tunnel with its own packets.
    ///
    /// [`HopState::UNRESOLVED`] where the neighbour's MAC address is unknown, and where the device has no Ethernet
    /// header. The kernel is asked for what it does not know. What it only forgot, as it does where neighbours
    /// are many (`neigh_forced_gc`), holds until that question goes unanswered.
    ///
    /// The MTU is the smallest one of the device, the route, which includes what the kernel's path MTU discovery
    /// found unless the tunnel does not believe that, and the tunnel's path.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn next_hop(&self, tunnel: &Tunnel, own: &[IfIndex]) -> Result<NextHop, Error> {
        let (local, remote) = (IpAddr::from(tunnel.local), IpAddr::from(tunnel.remote));
        // Asked for a route of IPv6, the kernel does not mind whose the source address is (`inet6_rtm_getroute`).
        if local.is_ipv6() && !self.is_local_address(local).await? {
            return Ok(NextHop::NONE);
        }
        let Some(route) = self.route(Some(local), remote).await? else {
            return Ok(NextHop::NONE);
        };
        let Some(link) = self.link_by_index(route.ifindex).await? else {
            return Ok(NextHop::NONE);
        };
        if route.kind != RouteType::Unicast || leads_into(&link, own) {
            return Ok(NextHop::NONE);
        }
        let hop = NextHop {
            state: HopState::UNRESOLVED,
            ifindex: link.ifindex,
            address: route.next.map_or(Address::NONE, Address::from),
            mtu: mtu(tunnel, &link, &route),
            ..NextHop::NONE
        };
        let (Some(src), Some(next)) = (link.mac, route.next) else { return Ok(hop) };
        let last = tunnel.next_hop;
        let is_on = (last.ifindex, last.address) == (hop.ifindex, hop.address);
        let last = (is_on && last.state == HopState::RESOLVED).then(|| last.ends.dst());
        let Some(dst) = self.station(&link, next, last).await? else { return Ok(hop) };
        Ok(NextHop { state: HopState::RESOLVED, ends: Ends::new(dst, src), ..hop })
    }

    /// Asks the kernel to confirm a next hop that has an address: packets that the stack does not see do not keep
    /// its entry alive.
    ///
    /// # Errors
    /// The kernel does not answer, or a privilege is missing.
    pub async fn confirm(&self, hop: &NextHop) -> Result<(), Error> {
        let address = hop.address.into();
        // NTF_USE takes the permanence from a permanent entry (`__neigh_update`, since Linux 5.16).
        let neighbour = self.neighbour(hop.ifindex, address).await?;
        if neighbour.is_some_and(|it| it.header.state == NeighbourState::Permanent) {
            return Ok(());
        }
        self.ask(hop.ifindex, address).await
    }

    async fn ask(&self, ifindex: IfIndex, address: IpAddr) -> Result<(), Error> {
        let request = self
            .handle
            .neighbours()
            .add(ifindex.0, address)
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
    pub async fn is_local_address(&self, address: IpAddr) -> Result<bool, Error> {
        let route = self.route(None, address).await?;
        Ok(route.is_some_and(|route| route.kind == RouteType::Local))
    }

    /// The route that the kernel takes, with rules, multipath and exceptions applied.
    async fn route(&self, src: Option<IpAddr>, dst: IpAddr) -> Result<Option<Route>, Error> {
        let routes = self.handle.route().get(question(src, dst)).execute();
        optional(answer(pin!(routes).try_next()).await, &NO_ROUTE)
            .map(|message| message.flatten().map(|message| Route::new(&message, dst)))
            .map_err(|error| Error::new(format!("look up the route to {dst}"), &error))
    }

    /// Destination of frames for `address`; the `last` one where the kernel forgot it.
    async fn station(
        &self,
        link: &Link,
        address: IpAddr,
        last: Option<MacAddr>,
    ) -> Result<Option<MacAddr>, Error> {
        let neighbour = self.neighbour(link.ifindex, address).await?;
        if let Some(known) = neighbour.as_ref().and_then(lladdr) {
            return Ok(Some(known));
        }
        // Without ARP the kernel takes the device's own address (`arp_constructor`, `ndisc_constructor`).
        if !link.arp {
            return Ok(link.mac);
        }
        self.ask(link.ifindex, address).await?;
        let failed = neighbour.is_some_and(|it| it.header.state == NeighbourState::Failed);
        Ok(last.filter(|_| !failed))
    }

    /// One entry of the neighbour table.
    async fn neighbour(
        &self,
        ifindex: IfIndex,
        address: IpAddr,
    ) -> Result<Option<NeighbourMessage>, Error> {
        let mut question = NeighbourMessage::default();
        question.header.family =
            if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
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

/// Largest outer IP packet that device, route and path carry, in bytes.
fn mtu(tunnel: &Tunnel, link: &Link, route: &Route) -> u32 {
    let device = if tunnel.local.is_v4() { link.mtu } else { link.mtu6.unwrap_or(link.mtu) };
    let believes = !tunnel.options.has(TunnelOptions::NO_PMTU_DISCOVERY);
    let of_route = route.mtu.filter(|_| believes || !route.mtu_is_learned);
    let of_path = Some(tunnel.path_mtu).filter(|&mtu| mtu > 0);
    [of_route, of_path, Some(u16::MAX.into())].into_iter().flatten().fold(device, u32::min)
}

/// Whether what is sent to `link` comes out of one of our `own` devices, or goes into it.
pub fn leads_into(link: &Link, own: &[IfIndex]) -> bool {
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

/// "How would you send this?"
fn question(src: Option<IpAddr>, dst: IpAddr) -> RouteMessage {
    let mut question = RouteMessage::default();
    let bits = if dst.is_ipv6() { 128 } else { 32 };
    question.header.address_family =
        if dst.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    question.header.destination_prefix_length = bits;
    question.attributes.push(RouteAttribute::Destination(dst.into()));
    if let Some(src) = src {
        question.header.source_prefix_length = bits;
        question.attributes.push(RouteAttribute::Source(src.into()));
    }
    question
}

/// The kernel's answer.
struct Route {
    kind: RouteType,
    ifindex: IfIndex,
    /// The address that packets come from where nobody says another one.
    source: Option<IpAddr>,
    /// The gateway, or the destination itself; `None` where the gateway's address is of a third kind.
    next: Option<IpAddr>,
    /// In bytes, where it differs from the device's.
    mtu: Option<u32>,
    /// Whether that is what the underlay's ICMP said.
    mtu_is_learned: bool,
}

impl Route {
    fn new(message: &RouteMessage, dst: IpAddr) -> Self {
        let mut route = Self {
            kind: message.header.kind,
            ifindex: IfIndex::NONE,
            source: None,
            next: Some(dst),
            mtu: None,
            mtu_is_learned: false,
        };
        let is_cloned = message.header.flags.contains(RouteFlags::Cloned);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(ifindex) => route.ifindex = IfIndex(*ifindex),
                RouteAttribute::PrefSource(RouteAddress::Inet(source)) => {
                    route.source = Some((*source).into());
                }
                RouteAttribute::PrefSource(RouteAddress::Inet6(source)) => {
                    route.source = Some((*source).into());
                }
                RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => {
                    route.next = Some((*gateway).into());
                }
                // The second is that of a route of IPv4 (RFC 8950).
                RouteAttribute::Gateway(RouteAddress::Inet6(gateway))
                | RouteAttribute::Via(RouteVia::Inet6(gateway)) => {
                    route.next = Some((*gateway).into());
                }
                RouteAttribute::Via(_) => route.next = None,
                // An exception for one destination, which the kernel forgets after a while.
                RouteAttribute::CacheInfo(info) => {
                    route.mtu_is_learned = is_cloned && info.expires > 0;
                }
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
