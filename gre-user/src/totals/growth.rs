//! What was counted between two readings.

use std::{collections::HashMap, time::Duration};

use gre_common::tables::{Counters, TunnelId};

use super::{HookCount, Interface, Port, Reading, Tenant, Uplink};
use crate::state::counters::{HookTotals, TenantTotals};

/// What was counted between two readings, in the order of the later one.
///
/// What was deleted and made again meanwhile has counted from zero; so has what is new.
#[derive(Debug)]
pub struct Growth {
    /// Time between the two.
    pub elapsed: Duration,
    /// Of each tenant.
    pub tenants: Vec<TenantTotals>,
    /// What came by each tunnel. What is sent is counted by tenant, not by tunnel.
    pub tunnels: Vec<Counters>,
    /// Of each port's hooks.
    pub ports: Vec<Vec<HookCount>>,
    /// Of each uplink's hooks.
    pub uplinks: Vec<Vec<HookCount>>,
    /// Of each interface with transit rules.
    pub transit: Vec<Vec<HookCount>>,
    /// Of hooks that met packets of nobody's interface.
    pub unregistered: Vec<HookCount>,
}

impl Growth {
    /// What `after` has more than `before`.
    pub fn between(before: &Reading, after: &Reading) -> Self {
        let known: HashMap<_, _> = before.tenants.iter().map(|it| (it.id, it)).collect();
        let earlier =
            |tenant: &Tenant| known.get(&tenant.id).copied().filter(|it| it.name == tenant.name);
        let mut by_tunnel = HashMap::new();
        let mut tenants = Vec::with_capacity(after.tenants.len());
        for tenant in &after.tenants {
            let before = earlier(tenant);
            add_received(&mut by_tunnel, before, tenant);
            tenants.push(match before {
                Some(before) => tenant.totals.since(&before.totals),
                None => tenant.totals.clone(),
            });
        }
        let came_by = |id| by_tunnel.get(&id).copied().unwrap_or_default();
        Self {
            elapsed: after.at.saturating_duration_since(before.at),
            tenants,
            tunnels: after.tunnels.iter().map(|tunnel| came_by(tunnel.id)).collect(),
            ports: interfaces(&before.ports, &after.ports),
            uplinks: interfaces(&before.uplinks, &after.uplinks),
            transit: interfaces(&before.transit, &after.transit),
            unregistered: hooks(&before.unregistered, &after.unregistered),
        }
    }
}

impl Growth {
    /// What the hooks of all interfaces counted.
    pub fn hooks(&self) -> impl Iterator<Item = &HookCount> {
        let interfaces = [&self.ports, &self.uplinks, &self.transit].into_iter().flatten();
        interfaces.flatten().chain(&self.unregistered)
    }
}

/// Adds what a tenant received to its tunnels. Where it has others than before, a binding that is gone has left its part to
/// another one: nobody can tell what came by which.
fn add_received(
    by_tunnel: &mut HashMap<TunnelId, Counters>,
    before: Option<&Tenant>,
    after: &Tenant,
) {
    let tunnels = |tenant: &Tenant| tenant.received.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    if before.is_some_and(|before| tunnels(before) != tunnels(after)) {
        return;
    }
    for (at, (tunnel, received)) in after.received.iter().enumerate() {
        let earlier = before.map_or(Counters::ZERO, |before| before.received[at].1);
        *by_tunnel.entry(*tunnel).or_default() += counters_since(*received, earlier);
    }
}

/// Whatever has an interface's hooks.
trait Hooks {
    fn interface(&self) -> &Interface;
}

impl Hooks for Interface {
    fn interface(&self) -> &Interface {
        self
    }
}

impl Hooks for Port {
    fn interface(&self) -> &Interface {
        &self.interface
    }
}

impl Hooks for Uplink {
    fn interface(&self) -> &Interface {
        &self.interface
    }
}

fn interfaces<I: Hooks>(before: &[I], after: &[I]) -> Vec<Vec<HookCount>> {
    let known: HashMap<_, _> =
        before.iter().map(|it| (&it.interface().name, &it.interface().hooks)).collect();
    let grown = |interface: &Interface| {
        hooks(known.get(&interface.name).map_or(&[], |hooks| hooks), &interface.hooks)
    };
    after.iter().map(|it| grown(it.interface())).collect()
}

fn hooks(before: &[HookCount], after: &[HookCount]) -> Vec<HookCount> {
    let nothing = HookTotals::default();
    let since = |HookCount { hook, totals }: &HookCount| {
        let earlier = before.iter().find(|it| it.hook == *hook);
        let earlier = earlier.map_or(&nothing, |it| &it.totals);
        HookCount { hook: *hook, totals: totals.since(earlier) }
    };
    after.iter().map(since).collect()
}

impl TenantTotals {
    /// What was counted since `before`.
    fn since(&self, before: &Self) -> Self {
        Self {
            received: counters_since(self.received, before.received),
            sent: counters_since(self.sent, before.sent),
            drops: reasons_since(&self.drops, &before.drops),
            notices: reasons_since(&self.notices, &before.notices),
        }
    }
}

impl HookTotals {
    /// What was counted since `before`.
    fn since(&self, before: &Self) -> Self {
        Self {
            passed: reasons_since(&self.passed, &before.passed),
            drops: reasons_since(&self.drops, &before.drops),
        }
    }
}

fn counters_since(after: Counters, before: Counters) -> Counters {
    Counters {
        packets: since(after.packets, before.packets),
        bytes: since(after.bytes, before.bytes),
    }
}

fn reasons_since<R: Copy + PartialEq>(after: &[(R, u64)], before: &[(R, u64)]) -> Vec<(R, u64)> {
    let grown = |&(reason, count): &(R, u64)| {
        let earlier = before.iter().find(|(it, _)| *it == reason);
        (reason, since(count, earlier.map_or(0, |(_, count)| *count)))
    };
    after.iter().map(grown).filter(|(_, count)| *count > 0).collect()
}

/// A counter that is lower than it was has begun anew.
fn since(after: u64, before: u64) -> u64 {
    after.checked_sub(before).unwrap_or(after)
}
