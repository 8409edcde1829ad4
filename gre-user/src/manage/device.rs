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
    state::State,
};

/// Bytes behind the Ethernet header, where nothing else is known.
const ETHERNET_MTU: u16 = 1500;
/// How many names are tried for the end that carries the program.
const NAMES: u32 = 1_000;

/// What a tenant wants its devices to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Largest packet behind the link-layer header, in bytes.
    mtu: u16,
    /// Whether the stack resolves addresses.
    arp: bool,
    /// A GRE checksum or sequence number is of one packet, not of one that is cut later.
    whole: bool,
}

impl Shape {
    /// For a tenant on these tunnels.
    pub fn new(tenant: &Tenant, tunnels: &[Tunnel]) -> Self {
        Self {
            mtu: tunnels.iter().map(|it| inner_mtu(it, tenant)).min().unwrap_or(ETHERNET_MTU),
            arp: tenant.service == Service::L2,
            whole: tunnels.iter().any(|it| {
                it.options.has(TunnelOptions::CHECKSUM) || it.options.has(TunnelOptions::SEQUENCE)
            }),
        }
    }

    /// Largest packet behind the link-layer header, in bytes.
    pub const fn mtu(self) -> u16 {
        self.mtu
    }

    /// For a tenant that is there.
    pub fn of(state: &State, tenant: &Tenant) -> Self {
        let ids = state.tunnels_of(tenant);
        let tunnels: Vec<_> = ids.into_iter().map(|id| state.tunnel_at(id)).collect();
        Self::new(tenant, &tunnels)
    }
}

/// Makes the device of a VLAN.
///
/// # Errors
/// The name is taken, or the kernel refuses.
pub async fn create_vlan(host: &Host, trunk: &Link, vid: u16, name: &str) -> anyhow::Result<Link> {
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

/// Makes a pair. Gives the end that carries the program, and the MAC address of the other one, which is called `name`. The first
/// is called after `tenant`.
///
/// # Errors
/// The name is taken, or the kernel refuses.
pub async fn create(
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

/// Makes a pair, one end of which carries the program and the other of which is called `name`, what its tenant wants now. An end
/// that has gone to another namespace is left as it is, and that is said.
///
/// # Errors
/// The kernel refuses.
pub async fn reshape(
    host: &Host,
    ifindex: IfIndex,
    name: &str,
    before: Shape,
    after: Shape,
) -> anyhow::Result<()> {
    let Some(device) = host.netlink.link_by_index(ifindex).await? else { return Ok(()) };
    if before.mtu != after.mtu {
        host.netlink.set_mtu(&device, after.mtu).await?;
    }
    let stack = match device.peer.filter(|peer| peer.netnsid.is_none()) {
        Some(peer) => host.netlink.link_by_index(peer.ifindex).await?,
        None => None,
    };
    let Some(stack) = stack else {
        eprintln!(
            "xgre: warning: {name} is in another namespace and stays as it is; \
             `ip link set {name} mtu {}` there gives it the MTU that fits now",
            after.mtu
        );
        return Ok(());
    };
    if before.mtu != after.mtu {
        host.netlink.set_mtu(&stack, after.mtu).await?;
    }
    if before.arp != after.arp {
        host.netlink.set_arp(&stack, after.arp).await?;
    }
    if before.whole != after.whole {
        let set = ethtool::leave_checksums(&stack.name, !after.whole);
        set.with_context(|| format!("cannot change {name}"))?;
    }
    Ok(())
}

/// A name for the end that carries the program. Another tenant's device may have the first one.
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
