//! `xgre transit add`

use anyhow::ensure;
use gre_common::tables::{Counters, IfIndex, IfName, TransitAction, TransitRule};

use super::Packets;
use crate::{
    datapath::{self, Error},
    netlink::{Netlink, link::Link},
    state::{State, StateDir, name},
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true))]
pub struct Args {
    #[command(flatten)]
    packets: Packets,
    /// Count them, and let them go on.
    #[arg(long, group = "action")]
    count: bool,
    /// Discard them.
    #[arg(long, group = "action")]
    drop: bool,
    /// Send them out of this interface, unchanged, MAC addresses included.
    #[arg(long, group = "action", value_name = "IFACE")]
    redirect: Option<String>,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    let netlink = Netlink::connect()?;
    let link = find(&netlink, &args.packets.iface).await?;
    let key = args.packets.on(link.ifindex)?;
    let (action, target, target_name) = action(args, &netlink, &link).await?;
    let iface = name::parse_interface(&link.name)?;
    let rule = TransitRule { action, target, matched: Counters::ZERO, iface, target_name };
    state.add_transit_rule(key, rule)?;
    match datapath::transit::attach_pinned(dir, &link) {
        Ok(()) => Ok(()),
        Err(Error::NotLoaded) => {
            eprintln!("xgre: warning: the rule is asked once `xgre run` attaches the datapath");
            Ok(())
        }
        Err(error) => {
            state.delete_transit_rule(&key, &link.name)?;
            state.forget_unused_transit(link.ifindex)?;
            Err(error.into())
        }
    }
}

async fn action(
    args: &Args,
    netlink: &Netlink,
    link: &Link,
) -> anyhow::Result<(TransitAction, IfIndex, IfName)> {
    let Some(target) = &args.redirect else {
        let action = if args.drop { TransitAction::DROP } else { TransitAction::COUNT };
        return Ok((action, IfIndex::NONE, IfName::default()));
    };
    let target = find(netlink, target).await?;
    ensure!(
        target.ifindex != link.ifindex,
        "--redirect {} is the interface that the packets come in by; they would go back to their sender: give another one",
        target.name
    );
    Ok((TransitAction::REDIRECT, target.ifindex, name::parse_interface(&target.name)?))
}

async fn find(netlink: &Netlink, name: &str) -> anyhow::Result<Link> {
    let link = netlink.link(name).await?.ok_or_else(|| Error::UnknownInterface(name.to_owned()))?;
    ensure!(link.mac.is_some(), Error::NotEthernet(link.name));
    Ok(link)
}
