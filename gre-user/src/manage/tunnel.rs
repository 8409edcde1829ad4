//! Tunnels.

use gre_common::tables::{self, HopState, Keepalive, TunnelOptions};

use super::Host;
use crate::{
    config::model::Tunnel,
    netlink::ipsec::Direction,
    resolver,
    state::port,
    value::{Ecn, Switch},
};

/// Adds a tunnel, and finds its next hop.
///
/// # Errors
/// Its name or ends are taken, or a map is full.
pub async fn add(host: &mut Host, tunnel: &Tunnel) -> anyhow::Result<()> {
    let Tunnel { local, remote, .. } = *tunnel;
    let policies = host.netlink.ipsec_policies().await?;
    let protected = policies.about(Direction::In, remote, local).is_some();
    let record = record(tunnel);
    let options = record.options.with(TunnelOptions::IPSEC, protected);
    let own: Vec<_> = host.state.ports()?.iter().map(port::Named::ifindex).collect();
    let next_hop = resolver::resolve(&record, &host.netlink, &policies, &own).await?;
    host.state.add_tunnel(&tunnel.name, tables::Tunnel { options, next_hop, ..record })?;
    if !host.netlink.is_local_address(local).await? {
        eprintln!(
            "xgre: warning: {local} is no address of this host yet; nothing is sent until it is"
        );
    } else if next_hop.state == HopState::NO_ROUTE {
        eprintln!(
            "xgre: warning: there is no route to {remote} yet; nothing is sent until there is"
        );
    }
    Ok(())
}

/// Replaces a tunnel's settings by those of one that it [can become](Tunnel::can_become).
///
/// # Errors
/// It does not exist.
pub fn change(host: &mut Host, tunnel: &Tunnel) -> anyhow::Result<()> {
    Ok(host.state.set_tunnel_settings(&tunnel.name, &record(tunnel))?)
}

/// What the datapath is to know of it, but for what only the host can tell.
fn record(tunnel: &Tunnel) -> tables::Tunnel {
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
