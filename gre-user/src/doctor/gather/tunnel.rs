//! How tunnels' packets leave this host.

use std::net::IpAddr;

use gre_common::tables::{self, HopState, IfIndex, TunnelOptions};

use super::configured::Configured;
use crate::{
    doctor::facts::{Host, Route, Tunnel},
    netlink::{
        self, Netlink,
        holdings::{Address, Holdings},
        link::Link,
        next_hop::{Way, leads_into},
    },
};

/// The tunnels.
///
/// # Errors
/// The kernel does not answer.
pub async fn tunnels(
    netlink: &Netlink,
    configured: &Configured,
    holdings: &Holdings,
    host: &Host,
) -> Result<Vec<Tunnel>, netlink::Error> {
    let looker = Looker { netlink, configured, holdings, host };
    let overheads = configured.overheads();
    let mut tunnels = Vec::new();
    for (name, tunnel) in &configured.tunnels {
        let overhead = overheads.get(name.as_str()).copied().unwrap_or_default();
        tunnels.push(Tunnel { overhead, ..looker.tunnel(name, tunnel).await? });
    }
    Ok(tunnels)
}

struct Looker<'a> {
    netlink: &'a Netlink,
    configured: &'a Configured,
    holdings: &'a Holdings,
    host: &'a Host,
}

impl Looker<'_> {
    async fn tunnel(&self, name: &str, tunnel: &tables::Tunnel) -> Result<Tunnel, netlink::Error> {
        let (local, remote) = (IpAddr::from(tunnel.local), IpAddr::from(tunnel.remote));
        let is_local = self.netlink.is_local_address(local).await?;
        let route = if is_local { self.route(tunnel, local, remote).await? } else { None };
        let has_it = |address: &&Address| address.local == local;
        Ok(Tunnel {
            name: name.to_owned(),
            local,
            remote,
            is_local,
            route,
            is_down: tunnel.keepalive.down != 0,
            mtu: (tunnel.mtu != 0).then_some(tunnel.mtu),
            overhead: 0,
            home: self.holdings.addresses.iter().filter(has_it).map(|it| it.ifindex).collect(),
        })
    }

    async fn route(
        &self,
        tunnel: &tables::Tunnel,
        local: IpAddr,
        remote: IpAddr,
    ) -> Result<Option<Route>, netlink::Error> {
        let Some(way) = self.netlink.way(Some(local), remote).await? else { return Ok(None) };
        let link = self.host.links.iter().find(|link| link.ifindex == way.ifindex);
        let Some(link) = link.cloned() else { return Ok(None) };
        let next = way.next.unwrap_or(remote);
        let is_resolved = tunnel.next_hop.state == HopState::RESOLVED;
        Ok(Some(Route {
            next: way.next,
            acquaintance: self.netlink.acquaintance(&link, next).await?,
            is_resolved: self.configured.is_live.then_some(is_resolved),
            mtu: mtu(tunnel, &link, &way),
            into_port: self.port_into(&link),
            link,
        }))
    }

    /// The port that a device is an end of.
    fn port_into(&self, link: &Link) -> Option<String> {
        let is_into = |ifindex: IfIndex| leads_into(link, &[ifindex]);
        let port = self.configured.ports.iter().find(|port| port.ifindex.is_some_and(is_into))?;
        Some(port.name.clone())
    }
}

/// Largest outer packet that device, route and path carry, in bytes.
fn mtu(tunnel: &tables::Tunnel, link: &Link, way: &Way) -> u32 {
    let device = if tunnel.local.is_v4() { link.mtu } else { link.mtu6.unwrap_or(link.mtu) };
    let believes = !tunnel.options.has(TunnelOptions::NO_PMTU_DISCOVERY);
    let of_path = Some(tunnel.path_mtu).filter(|&mtu| mtu > 0 && believes);
    // What IPsec takes is in what the daemon found.
    let of_daemon = Some(tunnel.next_hop.mtu).filter(|&mtu| mtu > 0);
    [way.mtu, of_path, of_daemon].into_iter().flatten().fold(device, u32::min)
}
