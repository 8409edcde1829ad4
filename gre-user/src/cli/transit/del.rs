//! `xgre transit del`

use gre_common::tables::IfIndex;

use super::Packets;
use crate::{
    datapath::{self, Error},
    netlink::Netlink,
    state::{State, StateDir},
};

pub async fn run(dir: &StateDir, packets: &Packets) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    let name = packets.iface.as_str();
    let ifindex = match Netlink::connect()?.link(name).await? {
        Some(link) => link.ifindex,
        None => gone(&state, name)?,
    };
    state.delete_transit_rule(&packets.on(ifindex)?, name)?;
    if state.forget_unused_transit(ifindex)? {
        datapath::transit::detach(dir, name, ifindex)?;
    }
    Ok(())
}

/// The index that an interface had while it was there.
fn gone(state: &State, name: &str) -> anyhow::Result<IfIndex> {
    let found = state.transit_interfaces()?.into_iter().find(|(_, was)| was == name);
    Ok(found.ok_or_else(|| Error::UnknownInterface(name.to_owned()))?.0)
}
