//! Routes before and after.
//!
//! They change one by one. A packet looks for one route, the longest one to where it goes: while longer ones come before shorter ones,
//! and shorter ones go before longer ones, that is the one of before or the one of after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gre_common::tables::{IfIndex, ROUTE_WAYS, TenantId, TunnelId, Via};
use ipnet::IpNet;

use super::{
    super::{Room, optional, prefix, route::Entry},
    Error, Result, State, Way,
    sides::{self, Ports, Side, Tenants},
    underlay::Underlay,
};

/// A tenant's prefix.
type Key = (TenantId, IpNet);

/// The routes of all tenants concerned.
#[derive(Default)]
pub(super) struct Routes {
    before: BTreeMap<Key, Vec<Via>>,
    after: BTreeMap<Key, Vec<Via>>,
}

impl Routes {
    /// Finds out what changes.
    ///
    /// # Errors
    /// A route has too many ways, or one that its tenant has not; or there is no room.
    pub fn plan(
        state: &State,
        changes: &super::Changes,
        underlay: &Underlay<'_>,
        tenants: &[Tenants],
        ports: &[Ports],
    ) -> Result<Self> {
        let mut this = Self::default();
        let there: HashMap<TenantId, &Tenants> = tenants
            .iter()
            .filter_map(|it| Some((it.before.as_ref().filter(|it| it.tenant.routes > 0)?.id, it)))
            .collect();
        if there.is_empty() && changes.routes.is_empty() {
            return Ok(this);
        }
        let moved = moved_ports(ports);
        for Entry { tenant, prefix, ways } in state.routes(None)? {
            let Some(it) = there.get(&tenant) else { continue };
            if let Some((_, after)) = it.staying() {
                let ways = ways.iter().map(|&via| successor(via, underlay, &moved));
                let ways: Vec<_> = ways.filter(|via| has_way(after, *via)).collect();
                if !ways.is_empty() {
                    this.after.insert((tenant, prefix), ways);
                }
            }
            this.before.insert((tenant, prefix), ways);
        }
        for ((name, prefix), ways) in &changes.routes {
            let tenant = sides::named(tenants, name);
            let Some(after) = tenant.and_then(|it| it.after.as_ref()) else { continue };
            let Some(ways) = ways else {
                this.after.remove(&(after.id, *prefix));
                continue;
            };
            if ways.len() > ROUTE_WAYS {
                return Err(Error::Ways { prefix: *prefix, max: ROUTE_WAYS });
            }
            let found = ways.iter().map(|way| {
                let via = find(state, underlay, ports, way)?;
                via.filter(|via| has_way(after, *via)).ok_or_else(|| Error::UnknownWay {
                    tenant: name.clone(),
                    way: way.name().to_owned(),
                })
            });
            this.after.insert((after.id, *prefix), found.collect::<Result<_>>()?);
        }
        this.check_room(state)?;
        Ok(this)
    }

    /// How many routes tenants will have.
    pub fn numbers(&self) -> HashMap<TenantId, u32> {
        let mut numbers = HashMap::new();
        for (tenant, _) in self.after.keys() {
            *numbers.entry(*tenant).or_default() += 1;
        }
        numbers
    }

    /// Those that are new or other ones, the longest first; of tenants that have traffic, or of those that have none yet.
    pub fn coming<'a>(
        &'a self,
        is_entered: &'a BTreeSet<TenantId>,
        entered: bool,
    ) -> Vec<(Key, &'a [Via])> {
        let comes = |(key, ways): &(&Key, &Vec<Via>)| {
            is_entered.contains(&key.0) == entered && self.before.get(*key) != Some(*ways)
        };
        let mut coming: Vec<_> =
            self.after.iter().filter(comes).map(|(key, ways)| (*key, ways.as_slice())).collect();
        coming.sort_by_key(|((_, prefix), _)| std::cmp::Reverse(prefix.prefix_len()));
        coming
    }

    /// Those that go, the shortest first.
    pub fn going(&self) -> Vec<Key> {
        let mut going: Vec<_> =
            self.before.keys().filter(|key| !self.after.contains_key(*key)).copied().collect();
        going.sort_by_key(|(_, prefix)| prefix.prefix_len());
        going
    }

    /// New routes come before old ones go, and a new one takes a place before the one that it replaces leaves it.
    fn check_room(&self, state: &State) -> Result<()> {
        let new = self.after.keys().filter(|key| !self.before.contains_key(*key)).count();
        let is_any_other = self.after.iter().any(|(key, ways)| self.before.get(key) != Some(ways));
        let max = state.sizes().routes;
        if is_any_other && state.maps.routes.keys().count() + new.max(1) > max as usize {
            return Err(Error::Full { room: Room::ROUTES, max });
        }
        Ok(())
    }
}

impl State {
    /// Enters routes, or replaces their ways.
    pub(super) fn enter_routes(&mut self, routes: &[(Key, &[Via])]) -> Result<()> {
        for ((tenant, net), ways) in routes {
            self.enter_route(*tenant, *net, ways)?;
        }
        Ok(())
    }

    pub(super) fn leave_routes(&mut self, routes: &[Key]) -> Result<()> {
        for (tenant, net) in routes {
            optional(self.maps.routes.remove(&prefix::key(*tenant, *net)))?;
        }
        Ok(())
    }
}

/// Ports that get another device, by the one they have.
fn moved_ports(ports: &[Ports]) -> HashMap<IfIndex, IfIndex> {
    let devices = ports.iter().filter_map(|it| {
        let (before, after) = (it.before.as_ref()?, it.after.as_ref()?);
        Some((before.port.ifindex, after.port.ifindex))
    });
    devices.collect()
}

fn successor(via: Via, underlay: &Underlay<'_>, ports: &HashMap<IfIndex, IfIndex>) -> Via {
    if let Some(tunnel) = via.to_tunnel() {
        return Via::tunnel(underlay.successor(tunnel));
    }
    via.to_port().and_then(|port| ports.get(&port)).map_or(via, |&port| Via::port(port))
}

fn has_way(side: &Side, via: Via) -> bool {
    let is_tunnel = |tunnel: TunnelId| side.tunnels.contains(&tunnel);
    let is_port = |ifindex: IfIndex| side.ports.iter().any(|port| port.ifindex == ifindex);
    via.to_tunnel().is_some_and(is_tunnel) || via.to_port().is_some_and(is_port)
}

fn find(state: &State, underlay: &Underlay<'_>, ports: &[Ports], way: &Way) -> Result<Option<Via>> {
    Ok(match way {
        Way::Tunnel(name) => underlay.named(name).ok().map(Via::tunnel),
        Way::Port(name) => {
            let record = match ports.iter().find(|it| it.name == *name) {
                Some(planned) => planned.after,
                None => state.find_port(name)?,
            };
            record.map(|record| Via::port(record.port.ifindex))
        }
    })
}
