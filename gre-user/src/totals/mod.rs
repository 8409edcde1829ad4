//! Everything that is counted, read once for all who show it: `stats`, `metrics` and `top`.
//!
//! - [`Reading`]: what was there at one moment, and what it had counted; [`read`] fills it.
//! - [`growth`]: what was counted between two readings; [`rates`]: for each second.
//! - [`sum`]: over tenants, and over hooks.

pub mod growth;
pub mod rates;
mod read;
pub mod sum;

use std::time::{Duration, Instant};

use gre_common::tables::{Counters, Hook, TenantId, TunnelId, UplinkMode};

use crate::state::{
    counters::{HookTotals, TenantTotals},
    tunnel,
};

/// What was there at one moment, and what it had counted until then.
#[derive(Debug)]
pub struct Reading {
    /// When it was begun.
    pub at: Instant,
    /// How long the state was locked for it.
    pub locked: Duration,
    /// How long it took.
    pub took: Duration,
    /// By name.
    pub tenants: Vec<Tenant>,
    /// By name.
    pub tunnels: Vec<tunnel::Named>,
    /// By name.
    pub ports: Vec<Port>,
    /// By name. An uplink whose device is gone is not there.
    pub uplinks: Vec<Uplink>,
    /// Interfaces with transit rules.
    pub transit: Vec<Interface>,
    /// Hooks that met packets of an interface that is neither port nor uplink (any more).
    pub unregistered: Vec<HookCount>,
    /// How full the maps are.
    pub maps: Vec<MapUse>,
}

/// A tenant's counters.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its slot.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// What it has received, by tunnel. A binding that is gone has left its part to another one.
    pub received: Vec<(TunnelId, Counters)>,
    /// All of it.
    pub totals: TenantTotals,
}

/// What a hook counted of packets that no tenant was charged with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCount {
    /// The hook.
    pub hook: Hook,
    /// What it counted.
    pub totals: HookTotals,
}

/// An interface and its hooks, in the order in which packets meet them.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hooks.
    pub hooks: Vec<HookCount>,
}

impl Interface {
    /// What the last hook that every packet meets has counted: what it passed the kernel's stack got.
    pub fn last(&self) -> Option<&HookTotals> {
        last(&self.hooks)
    }
}

fn last(hooks: &[HookCount]) -> Option<&HookTotals> {
    hooks.iter().rfind(|it| it.hook != Hook::SLOW_PATH).map(|it| &it.totals)
}

impl Reading {
    /// The hooks of all interfaces.
    pub fn hooks(&self) -> impl Iterator<Item = &HookCount> {
        let ports = self.ports.iter().map(|port| &port.interface);
        let uplinks = self.uplinks.iter().map(|uplink| &uplink.interface);
        let interfaces = ports.chain(uplinks).chain(&self.transit);
        interfaces.flat_map(|it| &it.hooks).chain(&self.unregistered)
    }
}

/// A port's counters.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name and hooks.
    pub interface: Interface,
    /// Whose it is.
    pub tenant: TenantId,
}

/// An uplink's counters.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Its name and hooks.
    pub interface: Interface,
    /// How packets are taken off it.
    pub mode: UplinkMode,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapUse {
    /// What it holds, in one word.
    pub what: &'static str,
    /// How many there are; `None` where only looking at each one would tell.
    pub used: Option<u64>,
    /// How many there is room for.
    pub room: u64,
}
