//! Keeps the tunnels' next hops right: what the kernel knows of routes and neighbours goes into the map.

use std::net::IpAddr;

use gre_common::{
    tables::{HopState, IfIndex, NextHop, Tunnel},
    wire::{address::Address, ethernet::Ends},
};

use crate::{
    datapath::Result,
    netlink::{
        Netlink,
        ipsec::{Direction, Policies, Policy},
        monitor::{Change, News},
    },
    slowpath::ipsec,
    state::{State, port},
};

/// Finds every tunnel's next hop.
///
/// # Errors
/// The kernel refuses.
pub async fn resolve_all(state: &mut State, netlink: &Netlink, policies: &Policies) -> Result<()> {
    let own: Vec<IfIndex> = state.ports()?.iter().map(port::Named::ifindex).collect();
    for tunnel in state.tunnels() {
        let next_hop = resolve(&tunnel.tunnel, netlink, policies, &own).await?;
        if next_hop != tunnel.tunnel.next_hop {
            state.set_next_hop(tunnel.id, next_hop);
        }
    }
    Ok(())
}

/// Finds the next hop of one tunnel.
///
/// # Errors
/// The kernel refuses.
pub async fn resolve(
    tunnel: &Tunnel,
    netlink: &Netlink,
    policies: &Policies,
    own: &[IfIndex],
) -> Result<NextHop> {
    let next_hop = netlink.next_hop(tunnel, own).await?;
    let (local, remote) = (tunnel.local.into(), tunnel.remote.into());
    if let Some(policy) = policies.about(Direction::Out, local, remote) {
        return by_ipsec(netlink, policy, next_hop).await;
    }
    Ok(next_hop)
}

/// The way to the kernel's IPsec instead. There is none while nobody reads from the device, nor where the policy selects keys:
/// of what comes from a socket the kernel does not know the key.
async fn by_ipsec(netlink: &Netlink, policy: &Policy, next_hop: NextHop) -> Result<NextHop> {
    let device = netlink.link(ipsec::DEVICE).await?;
    let Some((device, mac)) = device.and_then(|link| Some((link.ifindex, link.mac?))) else {
        return Ok(NextHop::NONE);
    };
    if next_hop.state == HopState::NO_ROUTE || policy.selects_keys() {
        return Ok(NextHop::NONE);
    }
    Ok(NextHop {
        state: HopState::RESOLVED,
        ifindex: device,
        ends: Ends::new(mac, mac),
        mtu: next_hop.mtu.saturating_sub(policy.overhead),
        address: Address::NONE,
    })
}

/// Takes news of a neighbour over. One that a tunnel uses and that is going stale is confirmed: the kernel does not see our
/// traffic and would forget it. Of one that did not answer nothing is believed any more.
///
/// # Errors
/// The kernel refuses.
pub async fn heed(state: &mut State, netlink: &Netlink, change: &Change) -> Result<()> {
    let Change::Neighbour { ifindex, address, news } = *change else { return Ok(()) };
    if news == News::Other {
        return Ok(());
    }
    for tunnel in state.tunnels() {
        let hop = tunnel.tunnel.next_hop;
        if hop.ifindex != ifindex || IpAddr::from(hop.address) != address {
            continue;
        }
        if news == News::Stale {
            return Ok(netlink.confirm(&hop).await?);
        }
        if hop.state == HopState::RESOLVED {
            state.set_next_hop(tunnel.id, NextHop { state: HopState::UNRESOLVED, ..hop });
        }
    }
    Ok(())
}
