//! What users have given to interfaces: addresses, routes and neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use gre_common::{tables::IfIndex, wire::ethernet::MacAddr};
use nix::errno::Errno;
use rtnetlink::{
    IpVersion,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressMessage},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
            RouteNextHop, RouteNextHopFlags, RouteProtocol, RouteType, RouteVia,
        },
        rule::{RuleAttribute, RuleMessage},
    },
};

use super::{Error, Netlink, answer, optional};

/// All of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Addresses that stay until somebody deletes them.
    pub addresses: Vec<Address>,
    /// Routes that lead to a device.
    pub routes: Vec<Route>,
    /// Permanent neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Rules that name a device.
    pub rules: Vec<Rule>,
}

/// A rule that says by which table packets are routed that come or go by a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The device's name.
    pub device: String,
    /// The place of the rule among the others.
    pub priority: u32,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub ifindex: IfIndex,
    /// The address.
    pub local: IpAddr,
    /// That of the other end, where one was given.
    pub peer: Option<IpAddr>,
    /// Bits of the network's prefix.
    pub prefix_len: u8,
    /// Where broadcasts go.
    pub broadcast: Option<Ipv4Addr>,
    /// Where it is valid: 0 everywhere, 253 on the link.
    pub scope: u8,
    /// Whether the network has no route by this address.
    pub no_prefix_route: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its kind.
    pub kind: RouteType,
    /// The destinations: a prefix and its bits.
    pub destination: (IpAddr, u8),
    /// Only for packets with this TOS; 0: all.
    pub tos: u8,
    /// The routing table.
    pub table: u32,
    /// Who made it.
    pub protocol: RouteProtocol,
    /// 0 everywhere, 253 on the link.
    pub scope: u8,
    /// The lowest is taken.
    pub metric: Option<u32>,
    /// The address that packets come from where nobody says another one.
    pub source: Option<IpAddr>,
    /// Largest packet in bytes, where it is not that of the device.
    pub mtu: Option<u32>,
    /// The next hops, one or several.
    pub hops: Vec<Hop>,
    /// The id of the next hop object that it goes by.
    pub object: Option<u32>,
    /// Whether it puts headers around packets.
    pub encapsulates: bool,
}

/// A route's next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The device.
    pub ifindex: IfIndex,
    /// The router there.
    pub gateway: Option<IpAddr>,
    /// Whether that is taken to be on the link.
    pub onlink: bool,
    /// Its share among several.
    pub weight: u16,
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface.
    pub ifindex: IfIndex,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: MacAddr,
}

impl Netlink {
    /// What all interfaces hold.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn holdings(&self) -> Result<Holdings, Error> {
        let failed = |what: &str| format!("list the {what}");
        let addresses = self.handle.address().get().execute();
        let addresses = addresses.try_filter_map(async |it| Ok(Address::new(&it)));
        let addresses = answer(addresses.try_collect()).await;
        let neighbours = self.handle.neighbours().get().execute();
        let neighbours = neighbours.try_filter_map(async |it| Ok(Neighbour::new(&it)));
        let neighbours = answer(neighbours.try_collect()).await;
        let routes = self.handle.route().get(RouteMessage::default()).execute();
        let routes = routes.try_filter_map(async |it| Ok(Route::new(&it)));
        let routes = answer(routes.try_collect()).await;
        let rules = [self.rules(IpVersion::V4).await, self.rules(IpVersion::V6).await];
        let rules: Result<Vec<_>, _> = rules.into_iter().collect();
        Ok(Holdings {
            rules: rules.map_err(|error| Error::new(failed("rules"), &error))?.concat(),
            addresses: addresses.map_err(|error| Error::new(failed("addresses"), &error))?,
            routes: routes.map_err(|error| Error::new(failed("routes"), &error))?,
            neighbours: neighbours.map_err(|error| Error::new(failed("neighbours"), &error))?,
        })
    }
}

impl Netlink {
    /// A kernel without policy routing, or without this version, has none.
    async fn rules(&self, version: IpVersion) -> Result<Vec<Rule>, rtnetlink::Error> {
        let rules = self.handle.rule().get(version).execute();
        let rules = answer(rules.try_collect::<Vec<_>>()).await;
        let rules = optional(rules, &[Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT])?;
        Ok(rules.iter().flatten().flat_map(Rule::new).collect())
    }
}

impl Rule {
    /// One for each device that it names.
    fn new(message: &RuleMessage) -> Vec<Self> {
        let attributes = &message.attributes;
        let priority = attributes.iter().find_map(|attribute| match attribute {
            RuleAttribute::Priority(priority) => Some(*priority),
            _ => None,
        });
        let rule = |attribute: &RuleAttribute| match attribute {
            RuleAttribute::Iifname(device) | RuleAttribute::Oifname(device) => {
                Some(Self { device: device.clone(), priority: priority.unwrap_or_default() })
            }
            _ => None,
        };
        attributes.iter().filter_map(rule).collect()
    }
}

impl Address {
    /// `None`: it is there for a time only.
    fn new(message: &AddressMessage) -> Option<Self> {
        let header = &message.header;
        let [mut address, mut local] = [None; 2];
        let mut broadcast = None;
        let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(it) => address = Some(*it),
                AddressAttribute::Local(it) => local = Some(*it),
                AddressAttribute::Broadcast(it) => broadcast = Some(*it),
                AddressAttribute::Flags(it) => flags = *it,
                _ => {}
            }
        }
        // An address of IPv6 without another end has no IFA_LOCAL.
        let local = local.or(address)?;
        flags.contains(AddressFlags::Permanent).then(|| Self {
            ifindex: IfIndex(header.index),
            local,
            peer: address.filter(|&peer| peer != local),
            prefix_len: header.prefix_len,
            broadcast,
            scope: header.scope.into(),
            no_prefix_route: flags.contains(AddressFlags::Noprefixroute),
        })
    }
}

impl Route {
    /// `None` where it leads to no device.
    fn new(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let any: IpAddr = if header.address_family == AddressFamily::Inet6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        if header.flags.contains(RouteFlags::Cloned) {
            return None;
        }
        let mut route = Self {
            kind: header.kind,
            destination: (any, header.destination_prefix_length),
            tos: header.tos,
            table: header.table.into(),
            protocol: header.protocol,
            scope: header.scope.into(),
            metric: None,
            source: None,
            mtu: None,
            hops: Vec::new(),
            object: None,
            encapsulates: false,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(it) => route.destination.0 = address(it)?,
                RouteAttribute::Table(table) => route.table = *table,
                RouteAttribute::Priority(metric) => route.metric = Some(*metric),
                RouteAttribute::PrefSource(it) => route.source = address(it),
                RouteAttribute::Metrics(metrics) => {
                    route.mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) => Some(*mtu),
                        _ => None,
                    });
                }
                RouteAttribute::MultiPath(hops) => {
                    route.hops = hops.iter().map(Hop::of_several).collect();
                }
                RouteAttribute::NhId(id) => route.object = Some(*id),
                RouteAttribute::Encap(_) => route.encapsulates = true,
                _ => {}
            }
        }
        let onlink = header.flags.contains(RouteFlags::Onlink);
        route.hops.extend(Hop::new(&message.attributes, onlink));
        (!route.hops.is_empty()).then_some(route)
    }

    /// Whether it is in the table that `ip route` shows.
    pub fn is_in_main(&self) -> bool {
        self.table == u32::from(RouteHeader::RT_TABLE_MAIN)
    }
}

impl Hop {
    fn new(attributes: &[RouteAttribute], onlink: bool) -> Option<Self> {
        let ifindex = attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(ifindex) => Some(IfIndex(*ifindex)),
            _ => None,
        });
        let gateway = attributes.iter().find_map(gateway);
        Some(Self { ifindex: ifindex?, gateway, onlink, weight: 1 })
    }

    fn of_several(hop: &RouteNextHop) -> Self {
        let gateway = hop.attributes.iter().find_map(gateway);
        let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
        let weight = u16::from(hop.hops) + 1;
        Self { ifindex: IfIndex(hop.interface_index), gateway, onlink, weight }
    }
}

impl Neighbour {
    /// `None` where it is not permanent.
    fn new(message: &NeighbourMessage) -> Option<Self> {
        let (mut address, mut mac) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => {
                    address = Some((*it).into());
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => {
                    address = Some((*it).into());
                }
                NeighbourAttribute::LinkLayerAddress(it) => mac = it.as_slice().try_into().ok(),
                _ => {}
            }
        }
        let is_permanent = message.header.state == NeighbourState::Permanent;
        let ifindex = IfIndex(message.header.ifindex);
        Some(Self { ifindex, address: address?, mac: mac? }).filter(|_| is_permanent)
    }
}

/// The router that an attribute names; that of a route of IPv4 may have an address of IPv6 (RFC 8950).
fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(it) => address(it),
        RouteAttribute::Via(RouteVia::Inet(it)) => Some((*it).into()),
        RouteAttribute::Via(RouteVia::Inet6(it)) => Some((*it).into()),
        _ => None,
    }
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(it) => Some((*it).into()),
        RouteAddress::Inet6(it) => Some((*it).into()),
        _ => None,
    }
}
