//! This host as the datapath of the fleet: what is wanted becomes its state, all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use gre_common::tables::Via;

use super::{
    entry::{Endpoint, Port},
    follower::{Datapath, Endpoints},
    wanted::Wanted,
};
use crate::{
    config::{
        apply,
        model::{Item, Model},
    },
    manage::Host,
    netlink::{Netlink, link::Link},
    state::{State, StateDir},
    value::Mac,
};

/// This host.
pub struct Here {
    dir: StateDir,
    /// Ports that are there.
    ports: BTreeSet<String>,
    /// Interfaces that are missing.
    absent: BTreeSet<String>,
}

impl Datapath for Here {
    async fn make(&mut self, wanted: &mut Wanted) -> anyhow::Result<bool> {
        self.leave_absent(wanted, &interfaces().await?);
        let is_made = self.make_all_that_can_be(wanted).await;
        self.ports = wanted.ports.keys().cloned().collect();
        Ok(is_made)
    }

    /// As declared, else the station that a created device has, else the only one that was heard there.
    async fn endpoints(&self, wanted: &Wanted) -> anyhow::Result<Endpoints> {
        let links = interfaces().await?;
        let is_to_learn = |port: &Port| !port.create && port.endpoint.mac.is_none();
        let stations = if wanted.ports.values().any(is_to_learn) {
            State::stations_of(&self.dir)?
        } else {
            Vec::new()
        };
        let heard = |link: &Link| {
            let at = Via::port(link.ifindex);
            let mut there = stations.iter().filter(|(_, via)| *via == at).map(|(key, _)| key.mac());
            there.next().filter(|_| there.next().is_none())
        };
        let endpoint = |(iface, port): (&String, &Port)| {
            let link = links.get(iface);
            let found = link.and_then(|link| if port.create { link.mac } else { heard(link) });
            let mac = port.endpoint.mac.or(found.map(Mac));
            let endpoint = Endpoint { mac, addresses: port.endpoint.addresses.clone() };
            ((port.tenant.clone(), iface.clone()), endpoint)
        };
        Ok(wanted.ports.iter().map(endpoint).collect())
    }

    async fn have_come(&self) -> anyhow::Result<bool> {
        if self.absent.is_empty() {
            return Ok(false);
        }
        let there = interfaces().await?;
        Ok(self.absent.iter().any(|name| there.contains_key(name)))
    }
}

impl Here {
    /// The host with this state.
    pub fn new(dir: &StateDir) -> Self {
        Self { dir: dir.clone(), ports: BTreeSet::new(), absent: BTreeSet::new() }
    }

    /// Where all of it cannot be, one port may be what stands in the way of all: those that are new come
    /// one after the other then, and what cannot be is left out. False: nothing can be made so.
    async fn make_all_that_can_be(&self, wanted: &mut Wanted) -> bool {
        if make(&self.dir, &wanted.model).await.is_ok() {
            return true;
        }
        let is_new = |name: &&String| !self.ports.contains(*name);
        let new: Vec<_> = wanted.ports.keys().filter(is_new).cloned().collect();
        let mut left_out = Vec::new();
        for name in new {
            let port = wanted.ports.get(&name).cloned();
            left_out.extend(port.map(|port| (wanted.leave_out(&name), name, port)));
        }
        if let Err(error) = make(&self.dir, &wanted.model).await {
            wanted.problems.insert(format!("{error:#}"));
            return false;
        }
        for (items, name, port) in left_out {
            wanted.model.extend(items);
            wanted.ports.insert(name.clone(), port);
            if let Err(error) = make(&self.dir, &wanted.model).await {
                wanted.leave_out(&name);
                wanted.problems.insert(format!("{error:#}"));
            }
        }
        true
    }

    /// Leaves out what needs an interface that is not there yet.
    fn leave_absent(&mut self, wanted: &mut Wanted, there: &BTreeMap<String, Link>) {
        let needed = wanted.model.values().flat_map(Item::interfaces);
        let absent = needed.filter(|name| !there.contains_key(*name)).map(str::to_owned);
        self.absent = absent.collect();
        for name in &self.absent {
            wanted.leave_out(name);
            wanted.problems.insert(format!("there is no interface {name} yet"));
        }
    }
}

/// Makes the state what is wanted, or changes nothing.
async fn make(dir: &StateDir, model: &Model) -> anyhow::Result<()> {
    let host = Host::open(dir)?;
    let changes = apply::plan(&host, model.clone()).await.context("cannot follow the fleet")?;
    if changes.is_empty() {
        return Ok(());
    }
    apply::apply(host, &changes).await.context("cannot follow the fleet")
}

/// The interfaces that there are, by their names.
async fn interfaces() -> anyhow::Result<BTreeMap<String, Link>> {
    let links = Netlink::connect()?.links().await?;
    Ok(links.into_iter().map(|link| (link.name.clone(), link)).collect())
}
