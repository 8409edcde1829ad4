//! How fast things go: what was counted in a while, for each second of it, rounded.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use gre_common::{tables::Counters, verdict::DropReason};
use serde::Serialize;

use super::{
    HookCount, Reading,
    growth::Growth,
    sum::{self, Reasons, add},
};
use crate::state::{counters::HookTotals, tunnel::Health, uplink};

/// All rates of an interval.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// How long it was.
    pub seconds: f64,
    /// All tenants, and every drop on this host.
    pub total: Total,
    /// By name.
    pub tenants: Vec<TenantRate>,
    /// By name.
    pub tunnels: Vec<TunnelRate>,
    /// Reasons that ever happened.
    pub drops: Vec<DropRate>,
    /// By name.
    pub uplinks: Vec<UplinkRate>,
}

/// Traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Packets.
    pub packets_per_second: u64,
    /// Inner bytes.
    pub bytes_per_second: u64,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// What is decapsulated.
    pub rx: Rate,
    /// What is encapsulated.
    pub tx: Rate,
    /// What is dropped, whoever is charged with it.
    pub drops_per_second: u64,
}

/// A tenant's traffic.
#[derive(Clone, Debug, Serialize)]
pub struct TenantRate {
    /// Its name.
    pub name: String,
    /// What is decapsulated.
    pub rx: Rate,
    /// What is encapsulated.
    pub tx: Rate,
    /// What is dropped.
    pub drops_per_second: u64,
}

/// A tunnel's traffic. What is sent is counted by tenant, not by tunnel.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelRate {
    /// Its name.
    pub name: String,
    /// How well it is.
    pub state: Health,
    /// Where it ends, here.
    pub local: IpAddr,
    /// Where it ends, there.
    pub remote: IpAddr,
    /// How many tenants use it.
    pub tenants: u32,
    /// What is decapsulated.
    pub rx: Rate,
}

/// What is dropped for a reason.
#[derive(Clone, Debug, Serialize)]
pub struct DropRate {
    /// The reason's label.
    pub reason: &'static str,
    /// How much.
    pub drops_per_second: u64,
    /// How much since the counters began.
    pub total: u64,
    /// The tenant or hook that most of it is of; `None`: nothing was dropped.
    pub most_of: Option<String>,
    /// What the reason means.
    #[serde(skip)]
    pub means: &'static str,
}

/// What an uplink's hooks do with packets of no tenant.
#[derive(Clone, Debug, Serialize)]
pub struct UplinkRate {
    /// Its name.
    pub name: String,
    /// How packets are taken off it.
    pub mode: &'static str,
    /// What the kernel's stack gets.
    pub passed_per_second: u64,
    /// What is dropped.
    pub drops_per_second: u64,
}

impl Rates {
    /// The rates between a reading and a later one.
    pub fn between(before: &Reading, after: &Reading) -> Self {
        let growth = Growth::between(before, after);
        let elapsed = growth.elapsed;
        let mut sum = sum::Tenants::default();
        for tenant in &growth.tenants {
            sum += tenant;
        }
        let drops = drops(after, &growth);
        let dropped = drops.iter().map(|it| it.drops_per_second).sum();
        let [rx, tx] = [sum.received, sum.sent].map(|it| Rate::of(it, elapsed));
        Self {
            seconds: elapsed.as_secs_f64(),
            total: Total { rx, tx, drops_per_second: dropped },
            tenants: tenants(after, &growth),
            tunnels: tunnels(after, &growth),
            drops,
            uplinks: uplinks(after, &growth),
        }
    }
}

impl Rate {
    /// What was counted in this time.
    pub fn of(Counters { packets, bytes }: Counters, elapsed: Duration) -> Self {
        Self {
            packets_per_second: per_second(packets, elapsed),
            bytes_per_second: per_second(bytes, elapsed),
        }
    }
}

impl TenantRate {
    /// Whether nothing happens.
    pub fn is_idle(&self) -> bool {
        self.rx == Rate::default() && self.tx == Rate::default() && self.drops_per_second == 0
    }
}

/// Rounded to the nearest.
fn per_second(count: u64, elapsed: Duration) -> u64 {
    let nanos = elapsed.as_nanos().max(1);
    let rate = (u128::from(count) * 1_000_000_000 + nanos / 2) / nanos;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn tenants(after: &Reading, growth: &Growth) -> Vec<TenantRate> {
    let rated = after.tenants.iter().zip(&growth.tenants).map(|(tenant, grown)| {
        let [rx, tx] = [grown.received, grown.sent].map(|it| Rate::of(it, growth.elapsed));
        let dropped = grown.drops.iter().map(|(_, count)| count).sum();
        let drops_per_second = per_second(dropped, growth.elapsed);
        TenantRate { name: tenant.name.clone(), rx, tx, drops_per_second }
    });
    rated.collect()
}

fn tunnels(after: &Reading, growth: &Growth) -> Vec<TunnelRate> {
    let rated = after.tunnels.iter().zip(&growth.tunnels).map(|(it, received)| TunnelRate {
        name: it.name.clone(),
        state: Health::of(&it.tunnel),
        local: it.tunnel.local.into(),
        remote: it.tunnel.remote.into(),
        tenants: it.tunnel.tenants,
        rx: Rate::of(*received, growth.elapsed),
    });
    rated.collect()
}

fn uplinks(after: &Reading, growth: &Growth) -> Vec<UplinkRate> {
    let rated = after.uplinks.iter().zip(&growth.uplinks).map(|(uplink, hooks)| {
        let last = super::last(hooks);
        let dropped = hooks.iter().flat_map(|it| &it.totals.drops).map(|(_, count)| count).sum();
        UplinkRate {
            name: uplink.interface.name.clone(),
            mode: uplink::mode_name(uplink.mode),
            passed_per_second: per_second(last.map_or(0, HookTotals::passed_total), growth.elapsed),
            drops_per_second: per_second(dropped, growth.elapsed),
        }
    });
    rated.collect()
}

fn drops(after: &Reading, growth: &Growth) -> Vec<DropRate> {
    let mut totals = Reasons::default();
    after.tenants.iter().for_each(|it| add(&mut totals, &it.totals.drops));
    after.hooks().for_each(|it| add(&mut totals, &it.totals.drops));
    let mut share = Shares::default();
    for (tenant, grown) in after.tenants.iter().zip(&growth.tenants) {
        share.add(&tenant.name, &grown.drops);
    }
    for HookCount { hook, totals } in growth.hooks() {
        share.add(hook.name(), &totals.drops);
    }
    let rated = totals.into_iter().map(|(reason, total)| DropRate {
        reason: reason.label(),
        drops_per_second: per_second(share.of(reason), growth.elapsed),
        total,
        most_of: share.biggest(reason),
        means: reason.description(),
    });
    rated.collect()
}

/// Whose packets are dropped, by reason.
#[derive(Default)]
struct Shares<'a>(HashMap<DropReason, HashMap<&'a str, u64>>);

impl<'a> Shares<'a> {
    fn add(&mut self, whose: &'a str, drops: &[(DropReason, u64)]) {
        for &(reason, count) in drops {
            *self.0.entry(reason).or_default().entry(whose).or_default() += count;
        }
    }

    fn of(&self, reason: DropReason) -> u64 {
        self.0.get(&reason).map_or(0, |shares| shares.values().sum())
    }

    fn biggest(&self, reason: DropReason) -> Option<String> {
        let shares = self.0.get(&reason)?.iter();
        shares.max_by_key(|(_, count)| **count).map(|(whose, _)| (*whose).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gre_common::{
        tables::{Counters, Hook, Slot, TenantId, Tunnel, TunnelId},
        verdict::{DropReason, PassReason},
    };

    use super::{Rate, Rates, per_second};
    use crate::{
        state::{
            counters::{HookTotals, TenantTotals},
            tunnel::Named,
        },
        totals::{HookCount, Interface, Reading, Tenant, Uplink},
    };

    fn tenant(id: u32, received: &[(u32, u64)], dropped: u64) -> Tenant {
        let part = |&(tunnel, packets): &(u32, u64)| {
            (TunnelId(tunnel), Counters { packets, bytes: packets * 100 })
        };
        let received: Vec<_> = received.iter().map(part).collect();
        let mut sum = Counters::ZERO;
        for (_, counters) in &received {
            sum += *counters;
        }
        let drops = Vec::from([(DropReason::Ecn, dropped)]);
        let totals = TenantTotals { received: sum, drops, ..TenantTotals::default() };
        Tenant { id: TenantId(id), name: format!("t{id}"), received, totals }
    }

    fn reading(at: Instant, tenants: Vec<Tenant>, passed: u64, dropped: u64) -> Reading {
        let tunnel = |id| Named {
            name: format!("u{id}"),
            id: TunnelId(id),
            tunnel: Tunnel { slot: Slot::IN_USE, ..Tunnel::EMPTY },
        };
        let totals = HookTotals {
            passed: vec![(PassReason::NotGre, passed)],
            drops: vec![(DropReason::Ecn, dropped)],
        };
        let hooks = vec![HookCount { hook: Hook::UPLINK_TC, totals }];
        let interface = Interface { name: "eth0".to_owned(), hooks };
        let uplinks = vec![Uplink { interface, mode: gre_common::tables::UplinkMode::TC }];
        Reading { tenants, uplinks, tunnels: vec![tunnel(0), tunnel(1)], ..Reading::empty(at) }
    }

    #[test]
    fn rates_are_growth_by_time() {
        let (begin, later) = (Instant::now(), Duration::from_secs(2));
        let before = vec![tenant(1, &[(0, 10), (1, 20)], 5)];
        let after = vec![tenant(1, &[(0, 14), (1, 40)], 11), tenant(2, &[(1, 8)], 0)];
        let rates =
            Rates::between(&reading(begin, before, 100, 1), &reading(begin + later, after, 300, 3));
        let rate = |packets| Rate { packets_per_second: packets, bytes_per_second: packets * 100 };
        assert_eq!(rates.tenants[0].rx, rate(12));
        assert_eq!(rates.tenants[1].rx, rate(4), "it is new");
        assert_eq!([rates.tunnels[0].rx, rates.tunnels[1].rx], [rate(2), rate(14)]);
        assert_eq!(rates.total.rx, rate(16));
        let ecn = &rates.drops[0];
        assert_eq!((ecn.reason, ecn.drops_per_second, ecn.total), ("ecn", 4, 14));
        assert_eq!(ecn.most_of.as_deref(), Some("t1"));
        assert_eq!(rates.total.drops_per_second, 4);
        assert_eq!(rates.uplinks[0].passed_per_second, 100);
    }

    /// A binding that goes leaves what it counted to another one: that did not come by the other's tunnel now.
    #[test]
    fn what_a_tunnel_inherits_is_no_rate() {
        let (begin, later) = (Instant::now(), Duration::from_secs(1));
        let before = reading(begin, vec![tenant(1, &[(0, 1_000), (1, 20)], 0)], 0, 0);
        let after = reading(begin + later, vec![tenant(1, &[(1, 1_021)], 0)], 0, 0);
        let rates = Rates::between(&before, &after);
        assert_eq!(rates.tenants[0].rx.packets_per_second, 1);
        assert_eq!(rates.tunnels[1].rx, Rate::default());
    }

    #[test]
    fn rates_are_rounded() {
        let second = Duration::from_secs(1);
        assert_eq!(per_second(7, 2 * second), 4);
        assert_eq!(per_second(u64::MAX, second), u64::MAX);
        assert_eq!(per_second(1, Duration::ZERO), 1_000_000_000);
    }
}
