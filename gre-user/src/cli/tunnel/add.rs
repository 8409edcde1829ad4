//! `xgre tunnel add`

use std::net::IpAddr;

use anyhow::{bail, ensure};
use clap::ValueEnum;
use gre_common::tables::{DfPolicy, FieldPolicy, HopState, Keepalive, Tunnel, TunnelOptions};

use crate::{
    cli::value,
    netlink::{Netlink, ipsec::Direction},
    resolver,
    state::{State, StateDir, port},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name.
    name: String,
    /// Address of this host, IPv4 or IPv6, source of packets sent.
    #[arg(long, value_name = "IP")]
    local: IpAddr,
    /// Address of the other host, of the same version.
    #[arg(long, value_name = "IP")]
    remote: IpAddr,
    /// Outer time to live, or hop limit: 1 to 255, or inherit.
    #[arg(long, value_parser = value::ttl, default_value = "64", value_name = "N|inherit")]
    ttl: FieldPolicy,
    /// Outer type of service, or traffic class: 0 to 252, or inherit. The ECN bits follow --ecn.
    #[arg(long, value_parser = value::tos, default_value = "0", value_name = "N|inherit")]
    tos: FieldPolicy,
    /// Outer ECN bits: normal copies the inner packet's, compatibility leaves them zero (RFC 6040 section 4.1).
    #[arg(long, value_enum, default_value = "normal")]
    ecn: Ecn,
    /// Outer "don't fragment": set, copied from the inner packet, or clear. IPv4 only.
    #[arg(long, value_enum, default_value = "set")]
    df: Df,
    /// Send a GRE checksum. One that is received is verified in any case.
    #[arg(long)]
    csum: bool,
    /// Send sequence numbers, and take only packets that come in order (RFC 2890 section 2.2).
    #[arg(long)]
    seq: bool,
    /// Largest inner packet in bytes; by default what the path to the remote allows. Inner IPv6 needs 1280.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(68..))]
    mtu: Option<u16>,
    /// Lower the maximum segment size that inner TCP connections announce to what the tunnel carries.
    #[arg(long, value_enum, default_value = "on")]
    mss_clamp: Switch,
    /// Believe the underlay's ICMP errors when they tell how large a packet the path carries.
    #[arg(long, value_enum, default_value = "on")]
    pmtudisc: Switch,
    /// Ask the other end every PERIOD seconds whether it is there; it is down when it leaves RETRIES questions in a
    /// row unanswered.
    #[arg(long, value_name = "PERIOD,RETRIES", value_parser = value::keepalive)]
    keepalive: Option<Keepalive>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ecn {
    Normal,
    Compatibility,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    check_ends(args)?;
    let Args { local, remote, .. } = *args;
    let mut state = State::open(dir)?;
    let netlink = Netlink::connect()?;
    let policies = netlink.ipsec_policies().await?;
    let protected = policies.about(Direction::In, remote, local).is_some();
    let tunnel = Tunnel {
        local: local.into(),
        remote: remote.into(),
        options: options(args).with(TunnelOptions::IPSEC, protected),
        ttl: args.ttl,
        tos: args.tos,
        df: args.df.into(),
        mtu: args.mtu.unwrap_or(0),
        keepalive: args.keepalive.unwrap_or(Keepalive::OFF),
        ..Tunnel::EMPTY
    };
    let own: Vec<_> = state.ports()?.iter().map(port::Named::ifindex).collect();
    let next_hop = resolver::resolve(&tunnel, &netlink, &policies, &own).await?;
    state.add_tunnel(&args.name, Tunnel { next_hop, ..tunnel })?;
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

fn options(args: &Args) -> TunnelOptions {
    TunnelOptions::NONE
        .with(TunnelOptions::CHECKSUM, args.csum)
        .with(TunnelOptions::SEQUENCE, args.seq)
        .with(TunnelOptions::ECN_COMPATIBILITY, args.ecn == Ecn::Compatibility)
        .with(TunnelOptions::KEEP_MSS, args.mss_clamp == Switch::Off)
        .with(TunnelOptions::NO_PMTU_DISCOVERY, args.pmtudisc == Switch::Off)
}

/// Whether a tunnel can join these ends.
fn check_ends(args: &Args) -> anyhow::Result<()> {
    let Args { local, remote, df, .. } = *args;
    ensure!(
        local.is_ipv4() == remote.is_ipv4(),
        "--local {local} and --remote {remote} are of different versions; give both ends of a tunnel \
         IPv4 addresses, or both IPv6 addresses"
    );
    for (option, address) in [("--local", local), ("--remote", remote)] {
        check_host(option, address)?;
    }
    ensure!(local != remote, "--local and --remote are the same; a tunnel has two different ends");
    ensure!(
        local.is_ipv4() || df == Df::Set,
        "--df is for tunnels over IPv4: an IPv6 header has no such field, for no router fragments IPv6; leave it out"
    );
    Ok(())
}

fn check_host(option: &str, address: IpAddr) -> anyhow::Result<()> {
    let is_host = match address {
        IpAddr::V4(address) => {
            !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified()
        }
        IpAddr::V6(address) => {
            if let Some(mapped) = address.to_ipv4_mapped() {
                bail!("{option} {address} is an IPv4 address in the form of IPv6; give {mapped}");
            }
            ensure!(
                !address.is_unicast_link_local(),
                "{option} {address} is a link-local address: it means another host on each link, and a packet does \
                 not tell its link; give a global or a unique local (fd00::/8) address"
            );
            !address.is_multicast() && !address.is_unspecified()
        }
    };
    ensure!(is_host, "{option} {address} is not the address of a host; give a unicast address");
    Ok(())
}
