//! Counters, summed over all CPUs.

use std::{
    collections::{BTreeSet, HashMap},
    mem::offset_of,
};

use aya::maps::PerCpuValues;
use gre_common::{
    tables::{
        Counters, Fragmented, Hook, HookCounters, HookKey, IfIndex, REASONS, Tenant, TenantEvent,
        TenantId, TunnelId,
    },
    verdict::{DropReason, Notice, PassReason},
};

use super::{
    Result, State,
    maps::Maps,
    optional,
    port::{self, per_cpu},
};

/// What happened to a tenant's packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantTotals {
    /// What was decapsulated.
    pub received: Counters,
    /// What was encapsulated.
    pub sent: Counters,
    /// Drops that happened, by reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Notices that happened.
    pub notices: Vec<(Notice, u64)>,
}

/// Drops and notices of every tenant that has any.
#[derive(Debug, Default)]
pub struct Events(HashMap<TenantId, Vec<(u32, u64)>>);

impl Events {
    /// Who has any.
    pub fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.0.keys().copied()
    }

    /// How often a tenant's packets were dropped for a reason.
    pub fn drops(&self, tenant: TenantId, reason: DropReason) -> u64 {
        self.count(tenant, reason as u32)
    }

    /// How often something was to be said of a tenant's packets.
    pub fn notices(&self, tenant: TenantId, notice: Notice) -> u64 {
        self.count(tenant, TenantEvent::NOTICE + notice as u32)
    }

    fn count(&self, tenant: TenantId, event: u32) -> u64 {
        let counts = self.0.get(&tenant).into_iter().flatten();
        counts.filter(|(it, _)| *it == event).map(|(_, count)| count).sum()
    }
}

/// What happened at a hook to packets that no tenant was charged with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookTotals {
    /// Passes that happened, by reason.
    pub passed: Vec<(PassReason, u64)>,
    /// Drops that happened, by reason.
    pub drops: Vec<(DropReason, u64)>,
}

impl HookTotals {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.passed.is_empty() && self.drops.is_empty()
    }

    /// Packets passed.
    pub fn passed_total(&self) -> u64 {
        self.passed.iter().map(|(_, count)| count).sum()
    }
}

impl State {
    /// What a tenant has received, by tunnel. Under the lock no binding is on its way from one line to another.
    pub fn received(&self, id: TenantId, tenant: &Tenant) -> Vec<(TunnelId, Counters)> {
        let bindings = self.bindings_of(id, tenant).into_iter();
        bindings.map(|binding| (binding.tunnel, binding.received)).collect()
    }

    /// Lets go of the lock, for what may be read without it.
    pub fn unlock(self) -> Counting {
        Counting(self.maps)
    }
}

/// Counters that belong to one place as long as it is anybody's, whoever writes meanwhile.
pub struct Counting(Maps);

impl Counting {
    /// The drops and notices of all tenants.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn events(&self) -> Result<Events> {
        // Where an entry is deleted meanwhile the kernel begins anew: each one counts once all the same.
        let mut counted = HashMap::new();
        for entry in &self.0.tenant_events {
            let (key, cpus) = entry?;
            counted.insert(key, cpus.iter().sum::<u64>());
        }
        let mut events = Events::default();
        for (TenantEvent { tenant, event }, count) in counted {
            events.0.entry(tenant).or_default().push((event & !TenantEvent::SLOW, count));
        }
        Ok(events)
    }

    /// All ports, by name.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn ports(&self) -> Result<Vec<port::Named>> {
        self.0.ports()
    }

    /// A tenant's counters; what it has received was read before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn tenant_totals(
        &self,
        id: TenantId,
        received: Counters,
        events: &Events,
    ) -> Result<TenantTotals> {
        let mut sent = self.0.fragmented.get(id.0).sent;
        for cpu in self.0.sent.get(&id.0, 0)?.iter() {
            sent += *cpu;
        }
        let mut totals = TenantTotals { received, sent, ..TenantTotals::default() };
        for &reason in DropReason::ALL {
            push(&mut totals.drops, reason, events.drops(id, reason));
        }
        for &notice in Notice::ALL {
            push(&mut totals.notices, notice, events.notices(id, notice));
        }
        Ok(totals)
    }

    /// A hook's counters.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hook_totals(&self, hook: Hook, ifindex: IfIndex) -> Result<HookTotals> {
        let key = HookKey { ifindex, hook };
        let Some(cpus) = optional(self.0.hook_counters.get(&key, 0))? else {
            return Ok(HookTotals::default());
        };
        let mut totals = HookTotals::default();
        for &reason in PassReason::ALL {
            push(&mut totals.passed, reason, sum(&cpus, |c| &c.passed, reason.index()));
        }
        for &reason in DropReason::ALL {
            push(&mut totals.drops, reason, sum(&cpus, |c| &c.dropped, reason.index()));
        }
        Ok(totals)
    }
}

impl State {
    /// Sets to zero what a tenant has sent.
    pub(super) fn forget_totals(&mut self, id: TenantId) -> Result<()> {
        self.maps.sent.set(id.0, per_cpu(Counters::ZERO)?, 0)?;
        self.maps.fragmented.set_part(id.0, offset_of!(Fragmented, sent), &Counters::ZERO);
        Ok(())
    }

    /// Forgets the drops and notices of a tenant.
    pub(super) fn forget_events_of(&mut self, id: TenantId) -> Result<()> {
        let drops = DropReason::ALL.iter().map(|&reason| reason as u32);
        let notices = Notice::ALL.iter().map(|&notice| TenantEvent::NOTICE + notice as u32);
        for event in drops.chain(notices).flat_map(|event| [event, event | TenantEvent::SLOW]) {
            optional(self.maps.tenant_events.remove(&TenantEvent { tenant: id, event }))?;
        }
        Ok(())
    }

    /// The same of several tenants, at once.
    pub(super) fn forget_events(&mut self, tenants: &BTreeSet<TenantId>) -> Result<()> {
        if tenants.is_empty() {
            return Ok(());
        }
        let keys = self.maps.tenant_events.keys();
        let keys = keys.collect::<std::result::Result<Vec<_>, _>>()?;
        for key in keys.iter().filter(|key| tenants.contains(&key.tenant)) {
            optional(self.maps.tenant_events.remove(key))?;
        }
        Ok(())
    }
}

fn sum(
    cpus: &PerCpuValues<HookCounters>,
    of: impl Fn(&HookCounters) -> &[u64; REASONS],
    index: usize,
) -> u64 {
    cpus.iter().map(|cpu| of(cpu)[index]).fold(0, u64::wrapping_add)
}

fn push<R>(list: &mut Vec<(R, u64)>, reason: R, count: u64) {
    if count > 0 {
        list.push((reason, count));
    }
}
