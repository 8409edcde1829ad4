//! `xgre tunnel list` and `show`

use std::net::IpAddr;

use gre_common::tables::{DfPolicy, HopState, NextHop, Tunnel, TunnelOptions};
use serde::Serialize;

use crate::{
    cli::output::{self, JSON_VERSION},
    state::tunnel::Named,
    value::{Mac, Tos, Ttl},
};

#[derive(Serialize)]
struct Document {
    version: u32,
    tunnels: Vec<Row>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Serialize)]
struct Row {
    name: String,
    local: IpAddr,
    remote: IpAddr,
    ttl: Ttl,
    tos: Tos,
    ecn: &'static str,
    /// `None` over IPv6, which has no such field.
    df: Option<&'static str>,
    csum: bool,
    seq: bool,
    mtu: Option<u16>,
    mss_clamp: bool,
    pmtudisc: bool,
    path_mtu: Option<u32>,
    keepalive: Option<KeepaliveRow>,
    /// `None` where nobody asks.
    state: Option<&'static str>,
    tenants: u32,
    next_hop: NextHopRow,
}

#[derive(Serialize)]
struct KeepaliveRow {
    period: u16,
    retries: u16,
}

#[derive(Serialize)]
struct NextHopRow {
    state: &'static str,
    ifindex: Option<u32>,
    address: Option<IpAddr>,
    mac: Option<String>,
    mtu: Option<u32>,
}

pub fn print(tunnels: Vec<Named>, json: bool) -> anyhow::Result<()> {
    if json {
        let tunnels = tunnels.into_iter().map(row).collect();
        return output::json(&Document { version: JSON_VERSION, tunnels });
    }
    let headings =
        ["NAME", "LOCAL", "REMOTE", "TTL", "TOS", "DF", "MTU", "OPTIONS", "TENANTS", "NEXT HOP"];
    output::table(headings, tunnels.into_iter().map(row).map(cells))
}

fn row(Named { name, tunnel, .. }: Named) -> Row {
    let has = |option| tunnel.options.has(option);
    let keepalive = Some(tunnel.keepalive).filter(|keepalive| keepalive.period > 0);
    Row {
        name,
        local: tunnel.local.into(),
        remote: tunnel.remote.into(),
        ttl: Ttl(tunnel.ttl),
        tos: Tos(tunnel.tos),
        ecn: if has(TunnelOptions::ECN_COMPATIBILITY) { "compatibility" } else { "normal" },
        df: tunnel.local.is_v4().then(|| df(&tunnel)),
        csum: has(TunnelOptions::CHECKSUM),
        seq: has(TunnelOptions::SEQUENCE),
        mtu: (tunnel.mtu != 0).then_some(tunnel.mtu),
        mss_clamp: !has(TunnelOptions::KEEP_MSS),
        pmtudisc: !has(TunnelOptions::NO_PMTU_DISCOVERY),
        path_mtu: (tunnel.path_mtu != 0).then_some(tunnel.path_mtu),
        keepalive: keepalive.map(|it| KeepaliveRow { period: it.period, retries: it.retries }),
        state: keepalive.map(|it| if it.down == 0 { "up" } else { "down" }),
        tenants: tunnel.tenants,
        next_hop: next_hop(&tunnel.next_hop),
    }
}

fn df(tunnel: &Tunnel) -> &'static str {
    match tunnel.df {
        DfPolicy::COPY => "copy",
        DfPolicy::CLEAR => "clear",
        _ => "set",
    }
}

fn next_hop(hop: &NextHop) -> NextHopRow {
    let known = hop.state != HopState::NO_ROUTE;
    let resolved = hop.state == HopState::RESOLVED;
    NextHopRow {
        state: match hop.state {
            HopState::RESOLVED => "resolved",
            HopState::UNRESOLVED => "unresolved",
            _ => "no_route",
        },
        ifindex: known.then_some(hop.ifindex.0),
        address: known.then(|| hop.address.into()),
        mac: resolved.then(|| Mac(hop.ends.dst()).to_string()),
        mtu: known.then_some(hop.mtu),
    }
}

fn cells(row: Row) -> [String; 10] {
    let options = options(&row);
    let hop = match (row.next_hop.address, row.next_hop.mac) {
        (Some(address), Some(mac)) => format!("{address} at {mac}"),
        (Some(address), None) => format!("{address}, unresolved"),
        _ => "no route".to_owned(),
    };
    [
        row.name,
        row.local.to_string(),
        row.remote.to_string(),
        row.ttl.to_string(),
        row.tos.to_string(),
        output::or_dash(row.df),
        output::or_dash(row.mtu),
        options,
        row.tenants.to_string(),
        hop,
    ]
}

/// What differs from the defaults, and what was found out.
fn options(row: &Row) -> String {
    let keepalive = row.keepalive.as_ref().zip(row.state);
    let words = [
        row.csum.then(|| "csum".to_owned()),
        row.seq.then(|| "seq".to_owned()),
        (row.ecn != "normal").then(|| format!("ecn {}", row.ecn)),
        (!row.mss_clamp).then(|| "mss-clamp off".to_owned()),
        (!row.pmtudisc).then(|| "pmtudisc off".to_owned()),
        keepalive.map(|(it, state)| format!("keepalive {},{} {state}", it.period, it.retries)),
        row.path_mtu.map(|mtu| format!("path mtu {mtu}")),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    output::or_dash((!words.is_empty()).then(|| words.join(", ")))
}
