//! Who gets series of his own, and sums that never go back.
//!
//! A counter that goes back has begun anew, for Prometheus, and all that it shows then is new. A sum over tenants would go back whenever one is
//! deleted. So sums here are made of what was counted between two readings, from the daemon's beginning on.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use gre_common::{
    tables::{Counters, TenantId},
    verdict::DropReason,
};

use crate::{
    state::counters::TenantTotals,
    totals::{
        HookCount, Reading, Tenant,
        growth::Growth,
        sum::{self, Reasons, add},
    },
};

/// How long traffic is remembered when tenants are chosen: in this time it fades to a third, about (1 / e).
const MEMORY: Duration = Duration::from_secs(3_600);

/// Sums since the daemon's beginning, and the last reading.
#[derive(Debug)]
pub struct Ledger {
    /// How many tenants have series of their own.
    limit: usize,
    /// The last reading.
    pub reading: Reading,
    /// Who has series of his own.
    pub own: HashSet<TenantId>,
    /// Traffic of late, in bytes, by which they are chosen.
    recent: HashMap<TenantId, u64>,
    /// All tenants.
    pub all: sum::Tenants,
    /// Those without series of their own.
    pub others: sum::Tenants,
    /// Every drop on this host.
    pub drops: Reasons<DropReason>,
    /// All ports, by hook.
    pub ports: BTreeMap<&'static str, sum::Hooks>,
    /// What came by each tunnel, by its name.
    pub tunnels: HashMap<String, Counters>,
}

impl Ledger {
    /// Begins with what was counted before: nothing of that is in a sum.
    pub fn new(limit: usize, reading: Reading) -> Self {
        let mut ledger = Self {
            limit,
            reading,
            own: HashSet::new(),
            recent: HashMap::new(),
            all: sum::Tenants::default(),
            others: sum::Tenants::default(),
            drops: DropReason::ALL.iter().map(|&reason| (reason, 0)).collect(),
            ports: BTreeMap::new(),
            tunnels: HashMap::new(),
        };
        ledger.own = ledger.chosen();
        ledger
    }

    /// Adds what was counted since the last reading.
    pub fn enter(&mut self, reading: Reading) {
        let growth = Growth::between(&self.reading, &reading);
        self.reading = reading;
        self.remember(&growth);
        let before = std::mem::take(&mut self.own);
        self.own = self.chosen();
        for (tenant, grown) in self.reading.tenants.iter().zip(&growth.tenants) {
            self.all += grown;
            add(&mut self.drops, &grown.drops);
            // Who had no series at both ends of this time has none that shows what was counted in it.
            if !(before.contains(&tenant.id) && self.own.contains(&tenant.id)) {
                self.others += grown;
            }
        }
        for HookCount { hook, totals } in growth.ports.iter().flatten() {
            *self.ports.entry(hook.name()).or_default() += totals;
        }
        for count in growth.hooks() {
            add(&mut self.drops, &count.totals.drops);
        }
        let names = self.reading.tunnels.iter().map(|tunnel| tunnel.name.clone());
        let came_by = |(name, grown): (String, Counters)| {
            let mut received = self.tunnels.get(&name).copied().unwrap_or_default();
            received += grown;
            (name, received)
        };
        self.tunnels = names.zip(growth.tunnels).map(came_by).collect();
    }

    fn remember(&mut self, growth: &Growth) {
        let recent = |(tenant, grown): (&Tenant, &TenantTotals)| {
            let before = self.recent.get(&tenant.id).copied().unwrap_or_default();
            (tenant.id, faded(before, growth.elapsed).saturating_add(bytes(grown)))
        };
        self.recent = self.reading.tenants.iter().zip(&growth.tenants).map(recent).collect();
    }

    /// Those with the most traffic of late; of equals, those with the most of all.
    fn chosen(&self) -> HashSet<TenantId> {
        let traffic = |tenant: &Tenant| {
            let recent = self.recent.get(&tenant.id).copied().unwrap_or_default();
            (Reverse((recent, bytes(&tenant.totals))), tenant.id)
        };
        let mut ranked: Vec<_> = self.reading.tenants.iter().map(traffic).collect();
        if self.limit < ranked.len() {
            ranked.select_nth_unstable(self.limit);
            ranked.truncate(self.limit);
        }
        ranked.into_iter().map(|(_, id)| id).collect()
    }

    /// How many there are series of.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// What is left of `bytes` after a while.
fn faded(bytes: u64, elapsed: Duration) -> u64 {
    let left = MEMORY.saturating_sub(elapsed).as_millis();
    (u128::from(bytes) * left / MEMORY.as_millis()) as u64
}

fn bytes(totals: &TenantTotals) -> u64 {
    totals.received.bytes + totals.sent.bytes
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gre_common::{
        tables::{Counters, TenantId},
        verdict::DropReason,
    };

    use super::{Ledger, MEMORY, faded};
    use crate::{
        state::counters::TenantTotals,
        totals::{Reading, Tenant},
    };

    /// Tenants by number, each with so many bytes received, and dropped packets.
    fn reading(tenants: &[(u32, u64, u64)]) -> Reading {
        let tenant = |&(id, bytes, dropped): &(u32, u64, u64)| {
            let received = Counters { packets: bytes, bytes };
            let drops = Vec::from([(DropReason::Ecn, dropped)]);
            let totals = TenantTotals { received, drops, ..TenantTotals::default() };
            Tenant { id: TenantId(id), name: format!("t{id}"), received: Vec::new(), totals }
        };
        let tenants = tenants.iter().map(tenant).collect();
        Reading { tenants, ..Reading::empty(Instant::now()) }
    }

    #[test]
    fn what_was_there_before_is_in_no_sum() {
        let ledger = Ledger::new(10, reading(&[(1, 500, 5)]));
        assert_eq!((ledger.all.received.bytes, ledger.drops[&DropReason::Ecn]), (0, 0));
    }

    #[test]
    fn sums_never_go_back() {
        let mut ledger = Ledger::new(10, reading(&[(1, 500, 5), (2, 900, 0)]));
        for (tenants, all, drops) in [
            (&[(1, 600, 6), (2, 1_000, 0)][..], 200, 1),
            (&[(1, 700, 6)], 300, 1),
            // Deleted and made again.
            (&[(1, 10, 2)], 310, 3),
            (&[], 310, 3),
            (&[(7, 40, 0)], 350, 3),
        ] {
            ledger.enter(reading(tenants));
            assert_eq!(ledger.all.received.bytes, all, "{tenants:?}");
            assert_eq!(ledger.drops[&DropReason::Ecn], drops, "{tenants:?}");
        }
    }

    /// What a scraper sees grow in a tenant's own series and in the rest is what all have grown.
    #[test]
    fn nothing_is_counted_twice_or_never() {
        let mut ledger = Ledger::new(1, reading(&[(1, 100, 0), (2, 50, 0)]));
        assert!(ledger.own.contains(&TenantId(1)));
        let (mut seen, mut last) = (0, Some((TenantId(1), 100)));
        for tenants in
            [[(1, 110, 0), (2, 51, 0)], [(1, 111, 0), (2, 700, 0)], [(1, 115, 0), (2, 900, 0)]]
        {
            ledger.enter(reading(&tenants));
            let own = ledger.reading.tenants.iter().find(|it| ledger.own.contains(&it.id));
            let own = own.map(|it| (it.id, it.totals.received.bytes)).expect("one");
            if let Some((id, before)) = last.filter(|(id, _)| *id == own.0) {
                assert_eq!(id, own.0);
                seen += own.1 - before;
            }
            last = Some(own);
            assert_eq!(seen + ledger.others.received.bytes, ledger.all.received.bytes);
        }
        assert_eq!(last, Some((TenantId(2), 900)), "the busy one took over");
    }

    #[test]
    fn traffic_fades() {
        assert_eq!(faded(1_000, Duration::ZERO), 1_000);
        assert_eq!(faded(1_000, MEMORY / 2), 500);
        assert_eq!(faded(u64::MAX, MEMORY * 2), 0);
    }
}
