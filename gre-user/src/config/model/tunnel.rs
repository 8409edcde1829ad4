//! Tunnels.

use std::net::IpAddr;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Claim, Syntax};
use crate::{
    state::name,
    value::{Df, Ecn, Keepalive, Mtu, Switch, Tos, Ttl},
};

/// A tunnel: what `xgre tunnel add` takes, and `[[tunnel]]` in a file.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Address of this host, IPv4 or IPv6, source of packets sent.
    #[arg(long, value_name = "IP")]
    pub local: IpAddr,
    /// Address of the other host, of the same version.
    #[arg(long, value_name = "IP")]
    pub remote: IpAddr,
    /// Outer time to live, or hop limit: 1 to 255, or inherit.
    #[arg(long, default_value_t, value_name = "N|inherit")]
    #[serde(default)]
    pub ttl: Ttl,
    /// Outer type of service, or traffic class: 0 to 252, or inherit. The ECN bits follow --ecn.
    #[arg(long, default_value_t, value_name = "N|inherit")]
    #[serde(default)]
    pub tos: Tos,
    /// Outer ECN bits: normal copies the inner packet's, compatibility leaves them zero (RFC 6040 section 4.1).
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub ecn: Ecn,
    /// Outer "don't fragment": set, copied from the inner packet, or clear. IPv4 only.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub df: Df,
    /// Send a GRE checksum. One that is received is verified in any case.
    #[arg(long)]
    #[serde(default)]
    pub csum: bool,
    /// Send sequence numbers, and take only packets that come in order (RFC 2890 section 2.2).
    #[arg(long)]
    #[serde(default)]
    pub seq: bool,
    /// Largest inner packet in bytes; by default what the path to the remote allows. Inner IPv6 needs 1280.
    #[arg(long, value_name = "N")]
    pub mtu: Option<Mtu>,
    /// Lower the maximum segment size that inner TCP connections announce to what the tunnel carries.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub mss_clamp: Switch,
    /// Believe the underlay's ICMP errors when they tell how large a packet the path carries.
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub pmtudisc: Switch,
    /// Ask the other end every PERIOD seconds whether it is there; it is down when it leaves RETRIES questions in a
    /// row unanswered.
    #[arg(long, value_name = "PERIOD,RETRIES")]
    pub keepalive: Option<Keepalive>,
}

impl Tunnel {
    /// One between these ends, and nothing else said.
    pub fn between(name: String, local: IpAddr, remote: IpAddr) -> Self {
        Self {
            name,
            local,
            remote,
            ttl: Ttl::default(),
            tos: Tos::default(),
            ecn: Ecn::default(),
            df: Df::default(),
            csum: false,
            seq: false,
            mtu: None,
            mss_clamp: Switch::default(),
            pmtudisc: Switch::default(),
            keepalive: None,
        }
    }

    /// Whether a tunnel can join these ends.
    ///
    /// # Errors
    /// It cannot: cause and remedy.
    pub fn check(&self, syntax: Syntax) -> anyhow::Result<()> {
        let Self { local, remote, df, .. } = *self;
        let [a, b] = ["local", "remote"].map(|end| syntax.option(end));
        name::parse(&self.name)?;
        ensure!(
            local.is_ipv4() == remote.is_ipv4(),
            "{a} {local} and {b} {remote} are of different versions; give both ends of a tunnel \
             IPv4 addresses, or both IPv6 addresses"
        );
        check_host(&a, local)?;
        check_host(&b, remote)?;
        ensure!(local != remote, "{a} and {b} are the same; a tunnel has two different ends");
        ensure!(
            local.is_ipv4() || df == Df::Set,
            "{} is for tunnels over IPv4: an IPv6 header has no such field, for no router fragments IPv6; leave it out",
            syntax.option("df")
        );
        Ok(())
    }

    pub(super) fn claim(&self) -> Claim {
        let Self { local, remote, .. } = self;
        let what = format!("goes from {local} to {remote}");
        Claim { what, remedy: "use that one, or give another address" }
    }
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
