//! Changes tunnels, tenants, ports and routes together, while traffic flows: all of it, or nothing.
//!
//! - [`plan`]: what is there and what will be, [`sides`] of it; nothing is written. [`underlay`]: the same of tunnels.
//! - [`line`](mod@line): the bindings of both. [`routes`], [`guards`]: the same of routes, and of sources and rates.
//! - [`enter`]: what is new. It may fail, and is taken out again then.
//! - [`switch`]: from the old to the new. [`leave`]: the old goes.
//!
//! At each hook each packet meets the old or the new, whole. What programs read of a thing changes by one word, or
//! something new takes its place: another line of a table with the same key, another list of members, another slot for a tunnel.
//! The new is entered first, then a grace period passes, then the words change and the old lines are taken out, and a grace
//! period later the places of the old are free. Tenants keep their slots, by which they are counted.

mod enter;
mod guards;
mod leave;
mod line;
mod plan;
mod routes;
mod sides;
mod switch;
mod underlay;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gre_common::{
    tables::{Tunnel, Via},
    wire::gre::GreKey,
};
use ipnet::IpNet;

use self::plan::Plan;
use super::{Error, Result, State, port, route, tenant};

/// What is to be different, by name. `None`: it goes. What is not named stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Tunnels. What only the programs and the resolver know of one that is there is kept.
    pub tunnels: BTreeMap<String, Option<Tunnel>>,
    /// Tenants.
    pub tenants: BTreeMap<String, Option<Tenant>>,
    /// Ports; all of a tenant whose service changes.
    pub ports: BTreeMap<String, Option<Port>>,
    /// Routes, by tenant and prefix: their ways. Of what is not named those ways go that its tenant has no more.
    pub routes: Routes,
}

/// Ways by tenant and prefix.
pub type Routes = BTreeMap<(String, IpNet), Option<Vec<Way>>>;

/// What a tenant is to be.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// What it is. Where its service changes it is another one, in another slot, of the same name.
    pub new: tenant::New,
    /// The names of its tunnels, of which there is one at least.
    pub tunnels: Vec<String>,
}

/// What a port is to be.
#[derive(Clone, Debug)]
pub struct Port {
    /// The name of its tenant.
    pub tenant: String,
    /// The rest.
    pub new: port::New,
}

/// A way of a route, by name.
#[derive(Clone, Debug)]
pub enum Way {
    /// A tunnel.
    Tunnel(String),
    /// A port.
    Port(String),
}

impl Way {
    fn name(&self) -> &str {
        match self {
            Self::Tunnel(name) | Self::Port(name) => name,
        }
    }
}

impl Changes {
    /// Whether nothing is to be different.
    pub fn is_empty(&self) -> bool {
        let Self { tunnels, tenants, ports, routes } = self;
        tunnels.is_empty() && tenants.is_empty() && ports.is_empty() && routes.is_empty()
    }
}

impl State {
    /// Makes all of these changes. Returns what takes them back; counters go on in both directions, but for those of what goes.
    ///
    /// # Errors
    /// The changes do not fit what is there, a map is full, or the kernel refuses. Nothing has changed then.
    pub fn change(&mut self, changes: &Changes) -> Result<Changes> {
        let back = self.as_it_is(changes)?;
        match self.change_at_once(changes) {
            Err(full @ Error::Full { .. }) => self.change_in_turn(changes, full)?,
            done => done?,
        }
        Ok(back)
    }

    /// A tenant as it is now, to be changed.
    ///
    /// # Errors
    /// It does not exist, or the kernel refuses.
    pub fn tenant_as_it_is(&self, name: &str) -> Result<Tenant> {
        let tenants = BTreeMap::from([(name.to_owned(), None)]);
        let mut found = self.as_it_is(&Changes { tenants, ..Changes::default() })?.tenants;
        let unknown = || Error::Unknown { kind: "tenant", name: name.to_owned() };
        found.remove(name).flatten().ok_or_else(unknown)
    }

    fn change_at_once(&mut self, changes: &Changes) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::of(self, changes)?;
        self.bound_with(plan.more_bindings())?;
        self.bound = None;
        self.enter_new(&mut plan)?;
        self.switch(&mut plan)?;
        self.leave(&plan)
    }

    /// Where there is no room for old and new side by side: has what goes go first.
    fn change_in_turn(&mut self, changes: &Changes, full: Error) -> Result<()> {
        let going = self.going(changes)?;
        if going.is_empty() {
            return Err(full);
        }
        let back = self.as_it_is(&going)?;
        self.change_at_once(&going)?;
        let done = self.change_at_once(changes);
        if done.is_err() {
            self.change_at_once(&back)?;
        }
        done
    }

    /// The tenants and ports that go, and the ports and routes that such tenants have.
    fn going(&self, changes: &Changes) -> Result<Changes> {
        let mut going = Changes::default();
        let mut left = BTreeSet::new();
        for name in changes.tenants.iter().filter(|(_, it)| it.is_none()).map(|(name, _)| name) {
            if let Some(there) = self.find_tenant(name)? {
                left.insert(there.id);
                going.tenants.insert(name.clone(), None);
            }
        }
        for (name, port) in &changes.ports {
            let there = self.find_port(name)?;
            if there.is_some_and(|record| port.is_none() || left.contains(&record.tenant)) {
                going.ports.insert(name.clone(), None);
            }
        }
        let routes = changes.routes.iter().filter(|(_, route)| route.is_none());
        going.routes.extend(routes.map(|(key, _)| (key.clone(), None)));
        Ok(going)
    }

    /// What is there of what changes.
    fn as_it_is(&self, changes: &Changes) -> Result<Changes> {
        let mut found = Changes::default();
        for name in changes.tunnels.keys() {
            let tunnel = self.find_tunnel(name)?.map(|(_, tunnel)| tunnel);
            found.tunnels.insert(name.clone(), tunnel);
        }
        let names: BTreeMap<_, _> = if changes.tenants.is_empty() {
            BTreeMap::new()
        } else {
            self.tunnels().into_iter().map(|tunnel| (tunnel.id, tunnel.name)).collect()
        };
        let sources = if changes.tenants.is_empty() { BTreeMap::new() } else { self.sources()? };
        for name in changes.tenants.keys() {
            let Some(there) = self.find_tenant(name)? else {
                found.tenants.insert(name.clone(), None);
                continue;
            };
            let tunnels = self.tunnels_of(&there.tenant).into_iter();
            let tenant = Tenant {
                new: tenant::New {
                    service: there.tenant.service,
                    in_key: there.tenant.in_key.into(),
                    second_in_key: self
                        .second_key(there.id, &there.tenant)?
                        .and_then(Option::<GreKey>::from),
                    out_key: there.tenant.out_key.into(),
                    sources: sources.get(&there.id).cloned().unwrap_or_default(),
                    rate: self.rate(there.id)?,
                },
                tunnels: tunnels.filter_map(|id| names.get(&id).cloned()).collect(),
            };
            found.tenants.insert(name.clone(), Some(tenant));
        }
        let owners = if changes.ports.is_empty() { BTreeMap::new() } else { self.tenant_names() };
        for name in changes.ports.keys() {
            let record = self.find_port(name)?;
            let port = record.and_then(|record| {
                let tenant = owners.get(&record.tenant)?.clone();
                Some(Port { tenant, new: port::New::of(&record) })
            });
            found.ports.insert(name.clone(), port);
        }
        found.routes = self.routes_as_they_are(changes)?;
        Ok(found)
    }

    /// The routes that change, and those of tenants, ports and tunnels that do: they go with them.
    fn routes_as_they_are(&self, changes: &Changes) -> Result<Routes> {
        let mut found: Routes = changes.routes.keys().map(|key| (key.clone(), None)).collect();
        let there = self.routes(None)?;
        if there.is_empty() {
            return Ok(found);
        }
        let owners = self.tenant_names();
        let names = self.way_names()?;
        for route::Entry { tenant, prefix, ways } in there {
            let Some(owner) = owners.get(&tenant) else { continue };
            let ways: Vec<_> = ways.iter().filter_map(|via| names.get(via).cloned()).collect();
            let is_concerned = found.contains_key(&(owner.clone(), prefix))
                || changes.tenants.contains_key(owner)
                || ways.iter().any(|way| match way {
                    Way::Tunnel(name) => changes.tunnels.contains_key(name),
                    Way::Port(name) => changes.ports.contains_key(name),
                });
            if is_concerned {
                found.insert((owner.clone(), prefix), Some(ways));
            }
        }
        Ok(found)
    }

    /// Everything that routes can lead by.
    fn way_names(&self) -> Result<HashMap<Via, Way>> {
        let tunnels = self.tunnels().into_iter();
        let tunnels = tunnels.map(|it| (Via::tunnel(it.id), Way::Tunnel(it.name)));
        let ports = self.ports()?.into_iter();
        Ok(tunnels.chain(ports.map(|it| (Via::port(it.ifindex()), Way::Port(it.name)))).collect())
    }
}
