//! `xgre tunnel`

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{bail, ensure};
use clap::{Subcommand, ValueEnum};
use gre_common::tables::{DfPolicy, FieldPolicy, HopState, NextHop, Tunnel};
use serde::Serialize;

use super::{
    output::{self, JSON_VERSION},
    value,
};
use crate::{
    netlink::Netlink,
    resolver,
    state::{State, StateDir, tunnel::Named},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tunnel.
    Add(Add),
    /// Delete a tunnel that no tenant uses.
    Del {
        /// Its name.
        name: String,
    },
    /// List all tunnels.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one tunnel.
    Show {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct Add {
    /// Its name.
    name: String,
    /// Address of this host, source of packets sent.
    #[arg(long, value_name = "IP")]
    local: IpAddr,
    /// Address of the other host.
    #[arg(long, value_name = "IP")]
    remote: IpAddr,
    /// Outer time to live: 1 to 255, or inherit.
    #[arg(long, value_parser = value::ttl, default_value = "64", value_name = "N|inherit")]
    ttl: FieldPolicy,
    /// Outer type of service: 0 to 252, or inherit. The ECN bits follow the inner packet.
    #[arg(long, value_parser = value::tos, default_value = "0", value_name = "N|inherit")]
    tos: FieldPolicy,
    /// Outer "don't fragment": set, copied from the inner packet, or clear.
    #[arg(long, value_enum, default_value = "set")]
    df: Df,
    /// Largest inner packet in bytes; by default what the path to the remote allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(68..))]
    mtu: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Df {
    Set,
    Copy,
    Clear,
}

impl From<Df> for DfPolicy {
    fn from(df: Df) -> Self {
        match df {
            Df::Set => Self::SET,
            Df::Copy => Self::COPY,
            Df::Clear => Self::CLEAR,
        }
    }
}

#[derive(Serialize)]
struct Document {
    version: u32,
    tunnels: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    local: Ipv4Addr,
    remote: Ipv4Addr,
    ttl: Field,
    tos: Field,
    df: &'static str,
    mtu: Option<u16>,
    tenants: u32,
    next_hop: NextHopRow,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Field {
    Fixed(u8),
    Inherited(&'static str),
}

#[derive(Serialize)]
struct NextHopRow {
    state: &'static str,
    ifindex: Option<u32>,
    address: Option<Ipv4Addr>,
    mac: Option<String>,
    mtu: Option<u32>,
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(add) => run_add(dir, &add).await,
        Verb::Del { name } => Ok(State::open(dir)?.delete_tunnel(&name)?),
        Verb::List { json } => print(State::open(dir)?.tunnels(), json),
        Verb::Show { name, json } => print(vec![State::open(dir)?.tunnel(&name)?], json),
    }
}

async fn run_add(dir: &StateDir, add: &Add) -> anyhow::Result<()> {
    let (local, remote) = ends(add.local, add.remote)?;
    let mut state = State::open(dir)?;
    let netlink = Netlink::connect()?;
    let tunnel = Tunnel {
        local: local.octets(),
        remote: remote.octets(),
        ttl: add.ttl,
        tos: add.tos,
        df: add.df.into(),
        mtu: add.mtu.unwrap_or(0),
        ..Tunnel::EMPTY
    };
    let own: Vec<_> = state.ports()?.iter().map(|port| port.record.ifindex).collect();
    let next_hop = resolver::resolve(&tunnel, &netlink, &own).await?;
    state.add_tunnel(&add.name, Tunnel { next_hop, ..tunnel })?;
    if !netlink.is_local_address(local).await? {
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

/// Both ends, if this version can join them.
fn ends(local: IpAddr, remote: IpAddr) -> anyhow::Result<(Ipv4Addr, Ipv4Addr)> {
    let (local, remote) = match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => (local, remote),
        (IpAddr::V6(_), IpAddr::V6(_)) => {
            bail!("this version has no tunnels over IPv6; give --local and --remote IPv4 addresses")
        }
        _ => bail!(
            "--local {local} and --remote {remote} are of different families; both ends of a tunnel \
             need IPv4 addresses"
        ),
    };
    for (option, address) in [("--local", local), ("--remote", remote)] {
        let host = !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified();
        ensure!(host, "{option} {address} is not the address of a host; give a unicast address");
    }
    ensure!(local != remote, "--local and --remote are the same; a tunnel has two different ends");
    Ok((local, remote))
}

fn print(tunnels: Vec<Named>, json: bool) -> anyhow::Result<()> {
    if json {
        let tunnels = tunnels.into_iter().map(row).collect();
        return output::json(&Document { version: JSON_VERSION, tunnels });
    }
    let headings = ["NAME", "LOCAL", "REMOTE", "TTL", "TOS", "DF", "MTU", "TENANTS", "NEXT HOP"];
    output::table(headings, tunnels.into_iter().map(row).map(cells))
}

fn row(Named { name, tunnel, .. }: Named) -> Row {
    Row {
        name,
        local: tunnel.local.into(),
        remote: tunnel.remote.into(),
        ttl: field(tunnel.ttl),
        tos: field(tunnel.tos),
        df: match tunnel.df {
            DfPolicy::COPY => "copy",
            DfPolicy::CLEAR => "clear",
            _ => "set",
        },
        mtu: (tunnel.mtu != 0).then_some(tunnel.mtu),
        tenants: tunnel.tenants,
        next_hop: next_hop(&tunnel.next_hop),
    }
}

fn field(policy: FieldPolicy) -> Field {
    if policy.is_inherited() {
        Field::Inherited("inherit")
    } else {
        Field::Fixed(policy.resolve(None))
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
        mac: resolved.then(|| output::mac(&hop.ends.dst())),
        mtu: known.then_some(hop.mtu),
    }
}

fn cells(row: Row) -> [String; 9] {
    let text = |field: Field| match field {
        Field::Fixed(value) => value.to_string(),
        Field::Inherited(word) => word.to_owned(),
    };
    let hop = match (row.next_hop.address, row.next_hop.mac) {
        (Some(address), Some(mac)) => format!("{address} at {mac}"),
        (Some(address), None) => format!("{address}, unresolved"),
        _ => "no route".to_owned(),
    };
    [
        row.name,
        row.local.to_string(),
        row.remote.to_string(),
        text(row.ttl),
        text(row.tos),
        row.df.to_owned(),
        output::or_dash(row.mtu),
        row.tenants.to_string(),
        hop,
    ]
}
