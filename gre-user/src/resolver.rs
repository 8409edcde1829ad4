//! Keeps the tunnels' next hops right: what the kernel knows of routes and neighbours goes into the map.

use std::net::IpAddr;

use gre_common::tables::{HopState, IfIndex, NextHop, Tunnel};

use crate::{
    datapath::Result,
    netlink::{Netlink, monitor::Change},
    state::{State, tunnel},
};

/// Finds every tunnel's next hop, and returns the tunnels whose next hop changed.
///
/// # Errors
/// The kernel refuses.
pub async fn resolve_all(state: &mut State, netlink: &Netlink) -> Result<Vec<tunnel::Named>> {
    let own: Vec<IfIndex> = state.ports()?.iter().map(|port| port.record.ifindex).collect();
    let mut changed = Vec::new();
    for tunnel in state.tunnels() {
        let next_hop = resolve(&tunnel.tunnel, netlink, &own).await?;
        if next_hop != tunnel.tunnel.next_hop {
            state.set_next_hop(tunnel.id, next_hop);
            changed.push(tunnel::Named { tunnel: Tunnel { next_hop, ..tunnel.tunnel }, ..tunnel });
        }
    }
    Ok(changed)
}

/// Finds the next hop of one tunnel, and asks the kernel for the neighbour's address where it is missing.
///
/// # Errors
/// The kernel refuses.
pub async fn resolve(tunnel: &Tunnel, netlink: &Netlink, own: &[IfIndex]) -> Result<NextHop> {
    let next_hop = netlink.next_hop(tunnel, own).await?;
    if next_hop.state == HopState::UNRESOLVED {
        netlink.probe(&next_hop).await?;
    }
    Ok(next_hop)
}

/// Confirms a neighbour that a tunnel uses and that is going stale. The kernel does not see our traffic
/// and would forget it.
///
/// # Errors
/// The kernel refuses.
pub async fn confirm(state: &State, netlink: &Netlink, change: &Change) -> Result<()> {
    let Change::Neighbour { ifindex, address, stale_or_failed: true } = *change else {
        return Ok(());
    };
    let uses = |hop: &NextHop| hop.ifindex == ifindex && IpAddr::from(hop.address) == address;
    for tunnel in state.tunnels() {
        if uses(&tunnel.tunnel.next_hop) {
            netlink.probe(&tunnel.tunnel.next_hop).await?;
            break;
        }
    }
    Ok(())
}
