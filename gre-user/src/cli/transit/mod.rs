//! `xgre transit`
//!
//! - [`add`] and [`del`] change the rules, and attach or detach where an interface gets its first or loses its last.
//! - [`list`] prints them.

mod add;
mod del;
mod list;

use std::net::IpAddr;

use anyhow::ensure;
use clap::Subcommand;
use gre_common::{
    tables::{IfIndex, TransitKey},
    wire::{address::Address, gre::GreKey},
};

use super::value;
use crate::state::StateDir;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Count, drop or redirect packets of a key. Of rules for the same key, the one that names more addresses
    /// decides, and --local before --remote.
    Add(add::Args),
    /// Delete a rule, with its counters.
    Del(Packets),
    /// List all rules, with what they met. Bytes are those of whole frames; a merged (GSO) packet is one.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What a rule is for: packets in one direction, in the words of the host that receives them.
#[derive(Debug, clap::Args)]
pub struct Packets {
    /// Interface that they come in by.
    #[arg(long, value_name = "IFACE")]
    iface: String,
    /// Their key: a number, 0x and hexadecimal digits, or a dotted quad.
    #[arg(long, value_parser = value::key, value_name = "K", required_unless_present = "no_key", conflicts_with = "no_key")]
    key: Option<GreKey>,
    /// They carry no key, which is not the same as key 0.
    #[arg(long)]
    no_key: bool,
    /// Where the tunnel comes from: their outer source address, IPv4 or IPv6. Any, if not given.
    #[arg(long, visible_alias = "src", value_name = "IP")]
    remote: Option<IpAddr>,
    /// Where the tunnel ends: their outer destination address. Any, if not given. For the packets of the other
    /// direction add a rule with both exchanged.
    #[arg(long, visible_alias = "dst", value_name = "IP")]
    local: Option<IpAddr>,
}

impl Packets {
    /// Those that come in by this interface.
    fn on(&self, ifindex: IfIndex) -> anyhow::Result<TransitKey> {
        if let (Some(local), Some(remote)) = (self.local, self.remote) {
            ensure!(
                local.is_ipv4() == remote.is_ipv4(),
                "--local {local} and --remote {remote} are of different versions; no packet has both: give two IPv4 \
                 addresses, two IPv6 addresses, or one"
            );
        }
        let (local, remote) = (end("--local", self.local)?, end("--remote", self.remote)?);
        Ok(TransitKey { ifindex, key: self.key.into(), local, remote })
    }
}

fn end(option: &str, address: Option<IpAddr>) -> anyhow::Result<Address> {
    let Some(address) = address else { return Ok(Address::NONE) };
    ensure!(
        !address.is_unspecified(),
        "{option} {address} is the address of no packet; leave {option} out for any"
    );
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    ensure!(
        !is_mapped,
        "{option} {address} is an IPv4 address in the form of IPv6; give {}",
        address.to_canonical()
    );
    Ok(address.into())
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(args) => add::run(dir, &args).await,
        Verb::Del(packets) => del::run(dir, &packets).await,
        Verb::List { json } => list::run(dir, json).await,
    }
}
