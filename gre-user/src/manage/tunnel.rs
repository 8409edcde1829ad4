//! Tunnels.

use gre_common::tables::{self, HopState, IfIndex, Keepalive, TunnelOptions};

use super::Host;
use crate::{
    config::model::Tunnel,
    netlink::ipsec::{Direction, Policies},
    resolver,
    state::port,
    value::{Ecn, Switch},
};

/// What only the host can tell of tunnels.
pub struct Surroundings {
    policies: Policies,
    /// The devices of ports.
    own: Vec<IfIndex>,
}

impl Surroundings {
    /// Asks for it.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn of(host: &Host) -> anyhow::Result<Self> {
        let policies = host.netlink.ipsec_policies().await?;
        let own = host.state.ports()?.iter().map(port::Named::ifindex).collect();
        Ok(Self { policies, own })
    }
}

/// Adds a tunnel, and finds its next hop.
///
/// # Errors
/// Its name or ends are taken, or a map is full.
pub async fn add(host: &mut Host, tunnel: &Tunnel) -> anyhow::Result<()> {
    let record = resolved(host, tunnel, &Surroundings::of(host).await?).await?;
    host.state.add_tunnel(&tunnel.name, record)?;
    warn(host, tunnel, &record).await
}

/// What the datapath is to know of a tunnel, with its next hop.
///
/// # Errors
/// The kernel does not answer.
pub async fn resolved(
    host: &Host,
    tunnel: &Tunnel,
    around: &Surroundings,
) -> anyhow::Result<tables::Tunnel> {
    let Tunnel { local, remote, .. } = *tunnel;
    let protected = around.policies.about(Direction::In, remote, local).is_some();
    let record = record(tunnel);
    let options = record.options.with(TunnelOptions::IPSEC, protected);
    let next_hop = resolver::resolve(&record, &host.netlink, &around.policies, &around.own).await?;
    Ok(tables::Tunnel { options, next_hop, ..record })
}

/// Says why a tunnel sends nothing yet.
///
/// # Errors
/// The kernel does not answer.
pub async fn warn(host: &Host, tunnel: &Tunnel, record: &tables::Tunnel) -> anyhow::Result<()> {
    let Tunnel { local, remote, .. } = *tunnel;
    if !host.netlink.is_local_address(local).await? {
        eprintln!(
            "xgre: warning: {local} is no address of this host yet; nothing is sent until it is"
        );
    } else if record.next_hop.state == HopState::NO_ROUTE {
        eprintln!(
            "xgre: warning: there is no route to {remote} yet; nothing is sent until there is"
        );
    }
    Ok(())
}

/// What the datapath is to know of it, but for what only the host can tell.
pub fn record(tunnel: &Tunnel) -> tables::Tunnel {
    tables::Tunnel {
        local: tunnel.local.into(),
        remote: tunnel.remote.into(),
        options: options(tunnel),
        ttl: tunnel.ttl.0,
        tos: tunnel.tos.0,
        df: tunnel.df.into(),
        mtu: tunnel.mtu.map_or(0, |mtu| mtu.0),
        keepalive: tunnel.keepalive.map_or(Keepalive::OFF, Into::into),
        ..tables::Tunnel::EMPTY
    }
}

fn options(tunnel: &Tunnel) -> TunnelOptions {
    TunnelOptions::NONE
        .with(TunnelOptions::CHECKSUM, tunnel.csum)
        .with(TunnelOptions::SEQUENCE, tunnel.seq)
        .with(TunnelOptions::ECN_COMPATIBILITY, tunnel.ecn == Ecn::Compatibility)
        .with(TunnelOptions::KEEP_MSS, tunnel.mss_clamp == Switch::Off)
        .with(TunnelOptions::NO_PMTU_DISCOVERY, tunnel.pmtudisc == Switch::Off)
}
