//! The devices of created ports: a pair, one end for the host's stack and one that carries the program; or a VLAN's.

use std::fs;

use anyhow::{Context as _, bail, ensure};
use gre_common::{
    encap,
    tables::{IfIndex, Service, Tenant, TenantId, Tunnel, TunnelOptions},
    wire::ethernet::{self, MacAddr},
};

use super::Host;
use crate::{
    datapath::port,
    netlink::{Error, ethtool, link::Link},
    state::tenant,
};

/// Bytes behind the Ethernet header, where nothing else is known.
const ETHERNET_MTU: u16 = 1500;
/// How many names are tried for the end that carries the program.
const NAMES: u32 = 1_000;

/// A pair whose port was deleted a moment ago. A port of the same name takes it over, with the addresses and routes
/// that users gave it.
#[derive(Debug)]
pub(super) struct Parked {
    /// The port's name, which is that of the end for the stack.
    name: String,
    /// The end that carries the program.
    pub(super) ifindex: IfIndex,
    /// What it is like; `None` where that may have changed halfway.
    suits: Option<Shape>,
}

/// What a tenant wants its devices to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Largest packet behind the link-layer header, in bytes.
    mtu: u16,
    /// Whether the stack resolves addresses.
    arp: bool,
    /// A GRE checksum or sequence number is of one packet, not of one that is cut later.
    whole: bool,
}

impl Shape {
    fn of(host: &Host, tenant: &Tenant) -> Self {
        let ids = host.state.tunnels_of(tenant);
        let mut tunnels = host.state.tunnels();
        tunnels.retain(|tunnel| ids.contains(&tunnel.id));
        let mtus = tunnels.iter().map(|it| inner_mtu(&it.tunnel, tenant));
        Self {
            mtu: mtus.min().unwrap_or(ETHERNET_MTU),
            arp: tenant.service == Service::L2,
            whole: tunnels.iter().any(|it| {
                let options = it.tunnel.options;
                options.has(TunnelOptions::CHECKSUM) || options.has(TunnelOptions::SEQUENCE)
            }),
        }
    }
}

/// Keeps a deleted port's pair until [`Host::finish`].
pub(super) fn park(host: &mut Host, tenant: &Tenant, name: &str, ifindex: IfIndex) {
    let suits = Some(Shape::of(host, tenant));
    host.parked.push(Parked { name: name.to_owned(), ifindex, suits });
}

/// The pair for a port: the parked one of this name, else a new one. Gives the end that carries the program, and the
/// MAC address of the other one where it is in this namespace.
pub(super) async fn obtain(
    host: &mut Host,
    tenant: &tenant::Named,
    name: &str,
) -> anyhow::Result<(Link, Option<MacAddr>)> {
    let shape = Shape::of(host, &tenant.tenant);
    match take_over(host, name, shape).await? {
        Some(pair) => Ok(pair),
        None => create(host, tenant.id, name, shape).await,
    }
}

/// The parked pair of this name in the shape that is wanted. `None` where there is none, or where its end for the stack
/// has gone to another namespace and cannot be changed from here.
async fn take_over(
    host: &mut Host,
    name: &str,
    shape: Shape,
) -> anyhow::Result<Option<(Link, Option<MacAddr>)>> {
    let Host { netlink, parked, .. } = host;
    let Some(index) = parked.iter().position(|parked| parked.name == name) else {
        return Ok(None);
    };
    let Some(device) = netlink.link_by_index(parked[index].ifindex).await? else {
        return Ok(None);
    };
    let peer = device.peer.filter(|peer| peer.netnsid.is_none());
    let stack = match peer {
        Some(peer) => netlink.link_by_index(peer.ifindex).await?,
        None => None,
    };
    if parked[index].suits != Some(shape) {
        let Some(stack) = &stack else { return Ok(None) };
        parked[index].suits = None;
        netlink.set_mtu(&device, shape.mtu).await?;
        netlink.set_mtu(stack, shape.mtu).await?;
        netlink.set_arp(stack, shape.arp).await?;
        let set = ethtool::leave_checksums(&stack.name, !shape.whole);
        set.with_context(|| format!("cannot change {name}"))?;
    }
    parked.remove(index);
    Ok(Some((device, stack.and_then(|stack| stack.mac))))
}

/// The device of a VLAN: the parked one of this name, else a new one.
pub(super) async fn obtain_vlan(
    host: &mut Host,
    trunk: &Link,
    vid: u16,
    name: &str,
) -> anyhow::Result<Link> {
    if let Some(index) = host.parked.iter().position(|parked| parked.name == name) {
        let Parked { ifindex, .. } = host.parked.remove(index);
        if let Some(device) = host.netlink.link_by_index(ifindex).await? {
            return Ok(device);
        }
    }
    ensure!(
        host.netlink.link(name).await?.is_none(),
        "interface {name} exists already; make it the port itself (`xgre port add TENANT {name}`), or delete it"
    );
    let device = host.netlink.create_vlan(trunk, vid, name).await?;
    // The device carries a tenant's packets only, none of the host's own. Without IPv6 there is nothing to turn off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    Ok(device)
}

/// Interface and number of the VLAN whose device is called so.
pub fn vlan_of(device: &str) -> Option<(&str, u16)> {
    let (below, vid) = device.rsplit_once('.')?;
    Some((below, vid.parse().ok()?))
}

async fn create(
    host: &Host,
    tenant: TenantId,
    name: &str,
    shape: Shape,
) -> anyhow::Result<(Link, Option<MacAddr>)> {
    let other = free_name(host, tenant).await?;
    let (stack, device) = host.netlink.create_veth(name, &other, shape.mtu, shape.arp).await?;
    // The device carries a tenant's packets only, none of the host's own. Without IPv6 there is nothing to turn off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{other}/disable_ipv6"), "1");
    if shape.whole
        && let Err(cause) = ethtool::leave_checksums(name, false)
    {
        host.netlink.delete_link(device.ifindex).await?;
        bail!("cannot set {name} up: {cause}");
    }
    Ok((device, stack.mac))
}

/// A name for the end that carries the program. A parked device may still have the first one.
async fn free_name(host: &Host, tenant: TenantId) -> anyhow::Result<String> {
    for number in 0..NAMES {
        let name = port::created_name(tenant, number);
        if host.netlink.link(&name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::InterfaceExists(port::created_name(tenant, 0)).into())
}

/// Largest inner packet (behind its Ethernet header for l2), in bytes.
fn inner_mtu(tunnel: &Tunnel, tenant: &Tenant) -> u16 {
    let path = match tunnel.next_hop.mtu {
        0 => ETHERNET_MTU,
        mtu => u16::try_from(mtu).unwrap_or(u16::MAX),
    };
    let link = if tenant.service == Service::L2 { ethernet::HEADER_LEN } else { 0 };
    let overhead = encap::outer_len(tunnel, tenant) + link;
    let room = path.saturating_sub(overhead as u16);
    if tunnel.mtu == 0 { room } else { room.min(tunnel.mtu) }
}
