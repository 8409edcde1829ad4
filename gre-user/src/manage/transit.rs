//! Rules for packets in transit.

use anyhow::ensure;
use gre_common::{
    tables::{Counters, IfIndex, IfName, TransitAction, TransitKey, TransitRule},
    wire::address::Address,
};

use super::Host;
use crate::{
    config::model::{
        Transit,
        transit::{Action, Packets},
    },
    datapath::{self, Error},
    netlink::{Netlink, link::Link},
    state::{State, name},
};

/// Adds a rule, and attaches where it is an interface's first.
///
/// # Errors
/// There is one for the same packets, an interface does not exist, or the kernel refuses.
pub async fn add(host: &mut Host, rule: &Transit) -> anyhow::Result<()> {
    let (link, key, rule) = described(host, rule).await?;
    host.state.add_transit_rule(key, rule)?;
    match datapath::transit::attach_pinned(&host.dir, &link) {
        Ok(()) => Ok(()),
        Err(Error::NotLoaded) => {
            eprintln!("xgre: warning: the rule is asked once `xgre run` attaches the datapath");
            Ok(())
        }
        Err(error) => {
            host.state.delete_transit_rule(&key, &link.name)?;
            host.state.forget_unused_transit(link.ifindex)?;
            Err(error.into())
        }
    }
}

/// Deletes a rule, and detaches where it was an interface's last.
///
/// # Errors
/// There is no such rule.
pub async fn delete(host: &mut Host, packets: &Packets) -> anyhow::Result<()> {
    let iface = packets.iface.as_str();
    let ifindex = match host.netlink.link(iface).await? {
        Some(link) => link.ifindex,
        None => gone(&host.state, iface)?,
    };
    host.state.delete_transit_rule(&key(packets, ifindex), iface)?;
    if host.state.forget_unused_transit(ifindex)? {
        datapath::transit::detach(&host.dir, iface, ifindex)?;
    }
    Ok(())
}

/// Replaces what becomes of packets for which there is a rule.
///
/// # Errors
/// There is none, or an interface does not exist.
pub async fn change(host: &mut Host, rule: &Transit) -> anyhow::Result<()> {
    let (link, key, rule) = described(host, rule).await?;
    Ok(host.state.change_transit_rule(key, rule, &link.name)?)
}

async fn described(host: &Host, rule: &Transit) -> anyhow::Result<(Link, TransitKey, TransitRule)> {
    let link = find(&host.netlink, &rule.packets.iface).await?;
    let key = key(&rule.packets, link.ifindex);
    let (action, target, target_name) = action(&host.netlink, &rule.action).await?;
    let iface = name::parse_interface(&link.name)?;
    let rule = TransitRule { action, target, matched: Counters::ZERO, iface, target_name };
    Ok((link, key, rule))
}

async fn action(
    netlink: &Netlink,
    action: &Action,
) -> anyhow::Result<(TransitAction, IfIndex, IfName)> {
    match action {
        Action::Count => Ok((TransitAction::COUNT, IfIndex::NONE, IfName::default())),
        Action::Drop => Ok((TransitAction::DROP, IfIndex::NONE, IfName::default())),
        Action::Redirect(target) => {
            let target = find(netlink, target).await?;
            let name = name::parse_interface(&target.name)?;
            Ok((TransitAction::REDIRECT, target.ifindex, name))
        }
    }
}

fn key(packets: &Packets, ifindex: IfIndex) -> TransitKey {
    let end = |address: Option<_>| address.map_or(Address::NONE, Address::from);
    TransitKey {
        ifindex,
        key: packets.key.map(|key| key.0).into(),
        local: end(packets.local),
        remote: end(packets.remote),
    }
}

async fn find(netlink: &Netlink, name: &str) -> anyhow::Result<Link> {
    let link = netlink.link(name).await?.ok_or_else(|| Error::UnknownInterface(name.to_owned()))?;
    ensure!(link.mac.is_some(), Error::NotEthernet(link.name));
    Ok(link)
}

/// The index that an interface had while it was there.
fn gone(state: &State, name: &str) -> anyhow::Result<IfIndex> {
    let found = state.transit_interfaces()?.into_iter().find(|(_, was)| was == name);
    Ok(found.ok_or_else(|| Error::UnknownInterface(name.to_owned()))?.0)
}
