//! `xgre transit list`

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use gre_common::{
    tables::{IfIndex, IfName, TransitAction, TransitRule},
    wire::gre::GreKey,
};
use serde::Serialize;

use crate::{
    cli::output::{self, JSON_VERSION},
    netlink::Netlink,
    state::{State, StateDir, name, transit},
};

#[derive(Serialize)]
struct Document {
    version: u32,
    rules: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    iface: Interface,
    key: Option<u32>,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    action: &'static str,
    redirect: Option<Interface>,
    packets: u64,
    bytes: u64,
}

/// By its name now; once it is gone, by the one it had.
#[derive(Clone, Serialize)]
struct Interface {
    name: String,
    present: bool,
}

/// The interfaces looked up so far.
type Interfaces = BTreeMap<IfIndex, Option<String>>;

pub async fn run(dir: &StateDir, json: bool) -> anyhow::Result<()> {
    let rules = State::open(dir)?.transit_rules()?;
    let netlink = Netlink::connect()?;
    let mut known = Interfaces::from([(IfIndex::NONE, None)]);
    let mut rows = Vec::new();
    for (key, rule) in rules {
        let iface = interface(&mut known, &netlink, key.ifindex, &rule.iface).await?;
        let redirect = match rule.action {
            TransitAction::REDIRECT => {
                Some(interface(&mut known, &netlink, rule.target, &rule.target_name).await?)
            }
            _ => None,
        };
        rows.push(Row {
            iface,
            key: Option::<GreKey>::from(key.key).map(|GreKey(key)| key),
            remote: transit::address(key.remote),
            local: transit::address(key.local),
            action: action(&rule),
            redirect,
            packets: rule.matched.packets,
            bytes: rule.matched.bytes,
        });
    }
    if json {
        return output::json(&Document { version: JSON_VERSION, rules: rows });
    }
    let headings =
        ["INTERFACE", "KEY", "REMOTE (SRC)", "LOCAL (DST)", "ACTION", "PACKETS", "BYTES"];
    output::table(headings, rows.into_iter().map(cells))
}

async fn interface(
    known: &mut Interfaces,
    netlink: &Netlink,
    ifindex: IfIndex,
    was: &IfName,
) -> anyhow::Result<Interface> {
    let now = match known.entry(ifindex) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            entry.insert(netlink.link_by_index(ifindex).await?.map(|link| link.name))
        }
    };
    let present = now.is_some();
    Ok(Interface { name: now.clone().unwrap_or_else(|| name::text(was)), present })
}

fn action(rule: &TransitRule) -> &'static str {
    match rule.action {
        TransitAction::REDIRECT => "redirect",
        TransitAction::DROP => "drop",
        _ => "count",
    }
}

fn cells(row: Row) -> [String; 7] {
    let Row { iface, key, remote, local, action, redirect, packets, bytes } = row;
    let text = |Interface { name, present }: Interface| {
        if present { name } else { format!("{name} (gone)") }
    };
    let action = match redirect {
        Some(target) => format!("{action} {}", text(target)),
        None => action.to_owned(),
    };
    [
        text(iface),
        output::or_dash(key),
        remote.map_or_else(|| "any".to_owned(), |remote| remote.to_string()),
        local.map_or_else(|| "any".to_owned(), |local| local.to_string()),
        action,
        packets.to_string(),
        bytes.to_string(),
    ]
}
