//! `xgre transit`
//!
//! - [`add`] makes one of what the user typed.
//! - [`list`] prints them.

mod add;
mod list;

use std::net::IpAddr;

use clap::Subcommand;

use crate::{
    config::model::{Syntax, transit},
    manage::{self, Host},
    state::StateDir,
    value::Key,
};

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
    #[arg(long, value_name = "K", required_unless_present = "no_key", conflicts_with = "no_key")]
    key: Option<Key>,
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

impl From<Packets> for transit::Packets {
    fn from(packets: Packets) -> Self {
        let Packets { iface, key, remote, local, .. } = packets;
        Self { iface, key, remote, local }
    }
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(args) => add::run(dir, args).await,
        Verb::Del(packets) => {
            let packets = transit::Packets::from(packets);
            packets.check(Syntax::Command)?;
            manage::transit::delete(&mut Host::open(dir)?, &packets).await
        }
        Verb::List { json } => list::run(dir, json).await,
    }
}
