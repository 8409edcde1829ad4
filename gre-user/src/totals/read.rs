//! Reads the maps: what belongs together under the lock, what is merely counted without it.

use std::time::{Duration, Instant};

use gre_common::tables::{Counters, Hook, IfIndex, Slot};

use super::{HookCount, Interface, MapUse, Port, Reading, Tenant, Uplink};
use crate::{
    datapath,
    state::{
        Result, State, StateDir,
        counters::{Counting, TenantTotals},
        port, tenant, tunnel, uplink,
    },
};

impl Reading {
    /// Reads everything.
    ///
    /// # Errors
    /// There is no state, it is of another version, or the caller may not read it.
    pub fn take(dir: &StateDir) -> Result<Self> {
        let state = State::open(dir)?;
        let at = Instant::now();
        let tenants: Vec<_> = state.tenants().into_iter().map(|it| begun(&state, it)).collect();
        let there = There {
            tunnels: state.tunnels(),
            uplinks: state.uplinks()?,
            transit: state.transit_interfaces()?.into_iter().collect(),
        };
        let mut maps = maps(&state, &there, &tenants);
        let room_for_ports = state.sizes().tenants.into();
        let counting = state.unlock();
        let locked = at.elapsed();
        let mut reading = Self::of(at, tenants, &counting)?;
        let ports = counting.ports()?;
        maps.push(MapUse { what: "ports", used: Some(ports.len() as u64), room: room_for_ports });
        for port in &ports {
            reading.ports.push(self::port(dir, &counting, port)?);
        }
        for uplink in &there.uplinks {
            reading.uplinks.push(self::uplink(&counting, uplink)?);
        }
        for (ifindex, name) in there.transit {
            let hooks = vec![hook(&counting, Hook::TRANSIT_TC, ifindex)?];
            reading.transit.push(Interface { name, hooks });
        }
        for unknown in Hook::ALL.into_iter().chain([Hook::SLOW_PATH]) {
            let count = hook(&counting, unknown, IfIndex::NONE)?;
            if !count.totals.is_empty() {
                reading.unregistered.push(count);
            }
        }
        Ok(Self { locked, took: at.elapsed(), tunnels: there.tunnels, maps, ..reading })
    }

    /// Reads one tenant's counters, and nothing else.
    ///
    /// # Errors
    /// There is none of this name, or as [`Reading::take`].
    pub fn of_tenant(dir: &StateDir, name: &str) -> Result<Self> {
        let state = State::open(dir)?;
        let tenant = begun(&state, state.tenant(name)?);
        Self::of(Instant::now(), vec![tenant], &state.unlock())
    }

    fn of(at: Instant, mut tenants: Vec<Tenant>, counting: &Counting) -> Result<Self> {
        let events = counting.events()?;
        for tenant in &mut tenants {
            let received = tenant.totals.received;
            tenant.totals = counting.tenant_totals(tenant.id, received, &events)?;
        }
        Ok(Self { took: at.elapsed(), tenants, ..Self::empty(at) })
    }

    /// Nothing, at this moment.
    pub fn empty(at: Instant) -> Self {
        Self {
            at,
            locked: Duration::ZERO,
            took: Duration::ZERO,
            tenants: Vec::new(),
            tunnels: Vec::new(),
            ports: Vec::new(),
            uplinks: Vec::new(),
            transit: Vec::new(),
            unregistered: Vec::new(),
            maps: Vec::new(),
        }
    }
}

/// What there is besides tenants.
struct There {
    tunnels: Vec<tunnel::Named>,
    uplinks: Vec<uplink::Named>,
    transit: Vec<(IfIndex, String)>,
}

/// A tenant and what it has received; the rest follows without the lock.
fn begun(state: &State, tenant::Named { name, id, tenant }: tenant::Named) -> Tenant {
    let received = state.received(id, &tenant);
    let mut sum = Counters::ZERO;
    for (_, counters) in &received {
        sum += *counters;
    }
    Tenant { id, name, received, totals: TenantTotals { received: sum, ..TenantTotals::default() } }
}

fn port(dir: &StateDir, counting: &Counting, port: &port::Named) -> Result<Port> {
    let ifindex = port.ifindex();
    let mut hooks = Vec::new();
    if datapath::port::has_xdp(dir, ifindex) {
        hooks.push(hook(counting, Hook::PORT_XDP, ifindex)?);
    }
    hooks.push(hook(counting, Hook::PORT_TC, ifindex)?);
    let interface = Interface { name: port.name.clone(), hooks };
    Ok(Port { interface, tenant: port.record.tenant })
}

fn uplink(counting: &Counting, uplink: &uplink::Named) -> Result<Uplink> {
    let mut hooks = Vec::new();
    if uplink.mode.has_xdp() {
        hooks.push(hook(counting, Hook::UPLINK_XDP, uplink.ifindex)?);
        hooks.push(hook(counting, Hook::UPLINK_CPU, uplink.ifindex)?);
    }
    hooks.push(hook(counting, Hook::UPLINK_TC, uplink.ifindex)?);
    hooks.push(hook(counting, Hook::SLOW_PATH, uplink.ifindex)?);
    // These two have something to do only now and then.
    let seldom = [Hook::UPLINK_CPU, Hook::SLOW_PATH];
    hooks.retain(|it| !seldom.contains(&it.hook) || !it.totals.is_empty());
    let interface = Interface { name: uplink.name.clone(), hooks };
    Ok(Uplink { interface, mode: uplink.mode })
}

fn hook(counting: &Counting, hook: Hook, ifindex: IfIndex) -> Result<HookCount> {
    Ok(HookCount { hook, totals: counting.hook_totals(hook, ifindex)? })
}

/// How full the maps are, as far as that is known without looking at each entry of a hash map.
fn maps(state: &State, there: &There, tenants: &[Tenant]) -> Vec<MapUse> {
    let sizes = state.sizes();
    let routes: u64 = tenants.iter().map(|it| u64::from(state.tenant_at(it.id).routes)).sum();
    let bindings = there.tunnels.iter().filter(|it| it.tunnel.slot == Slot::IN_USE);
    let bindings = bindings.map(|it| u64::from(it.tunnel.tenants)).sum();
    let stations = tenants.iter().map(|it| state.learned_stations(it.id)).sum();
    let number = |used: usize| Some(used as u64);
    [
        ("tenants", number(tenants.len()), sizes.tenants),
        ("tunnels", number(there.tunnels.len()), sizes.tunnels),
        ("bindings", Some(bindings), sizes.bindings),
        ("fdb", Some(stations), sizes.stations),
        ("routes", Some(routes), sizes.routes),
        ("neighbours", None, sizes.neighbours),
    ]
    .map(|(what, used, room)| MapUse { what, used, room: room.into() })
    .to_vec()
}
