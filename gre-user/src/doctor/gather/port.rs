//! The devices of ports, and which networks are behind them.

use std::net::{IpAddr, Ipv4Addr};

use gre_common::tables::IfIndex;
use rtnetlink::packet_route::route::RouteType;

use super::{
    configured::{Configured, ConfiguredPort},
    device::Devices,
};
use crate::{
    doctor::facts::{Detour, Device, Host, Port},
    netlink::{
        self,
        holdings::{Holdings, Route},
    },
    state::port::Origin,
};

/// The ports.
///
/// # Errors
/// The kernel does not answer.
pub async fn ports(
    devices: &Devices<'_>,
    configured: &Configured,
    holdings: &Holdings,
    host: &Host,
) -> Result<Vec<Port>, netlink::Error> {
    let mut ports = Vec::new();
    for port in &configured.ports {
        let fits = configured.fits(&port.tenant, host);
        let device = by_index(devices, port.ifindex).await?;
        let other_end = other_end(devices, device.as_ref()).await?;
        let stack = if port.origin == Origin::Created { &other_end } else { &device };
        let detours = match stack {
            Some(stack) => detours(devices, stack, holdings, host).await?,
            None => Vec::new(),
        };
        let ConfiguredPort { name, tenant, origin, mode, delivery, .. } = port.clone();
        ports.push(Port { name, tenant, origin, mode, delivery, device, other_end, fits, detours });
    }
    Ok(ports)
}

async fn by_index(
    devices: &Devices<'_>,
    ifindex: Option<IfIndex>,
) -> Result<Option<Device>, netlink::Error> {
    match ifindex {
        Some(ifindex) => devices.by_index(ifindex).await,
        None => Ok(None),
    }
}

async fn other_end(
    devices: &Devices<'_>,
    device: Option<&Device>,
) -> Result<Option<Device>, netlink::Error> {
    let peer = device.and_then(|device| device.link.peer);
    by_index(devices, peer.filter(|peer| peer.netnsid.is_none()).map(|peer| peer.ifindex)).await
}

/// Networks of IPv4 that the host has routes to by a device, though it would send by another one.
async fn detours(
    devices: &Devices<'_>,
    stack: &Device,
    holdings: &Holdings,
    host: &Host,
) -> Result<Vec<Detour>, netlink::Error> {
    let ifindex = stack.link.ifindex;
    let mut detours = Vec::new();
    for route in holdings.routes.iter().filter(|route| is_by(route, ifindex)) {
        let Some(address) = somebody(route, holdings) else { continue };
        let Some(way) = devices.netlink.way(None, address).await? else { continue };
        let by = host.links.iter().find(|link| link.ifindex == way.ifindex);
        if let Some(by) = by.filter(|by| by.ifindex != ifindex) {
            detours.push(Detour { address, by: by.name.clone() });
        }
    }
    Ok(detours)
}

fn is_by(route: &Route, ifindex: IfIndex) -> bool {
    let leads = route.hops.iter().any(|hop| hop.ifindex == ifindex);
    route.kind == RouteType::Unicast && route.is_in_main() && leads
}

/// An address behind a route of IPv4 that is none of this host; `None` where there is none, or everybody is.
fn somebody(route: &Route, holdings: &Holdings) -> Option<IpAddr> {
    let (IpAddr::V4(network), len @ 1..=32) = route.destination else { return None };
    let first = network.to_bits();
    let hosts = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    let candidates = [(first | hosts).saturating_sub(1).max(first), first + hosts.min(1), first];
    let is_own = |address: IpAddr| holdings.addresses.iter().any(|it| it.local == address);
    let mut addresses = candidates.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).into_iter();
    addresses.find(|address| !is_own(*address))
}
