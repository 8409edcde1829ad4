//! Counters, summed over all CPUs.

use aya::maps::PerCpuValues;
use gre_common::{
    tables::{
        Hook, HookCounters, HookKey, IfIndex, REASONS, TenantCounters, TenantEvent, TenantId,
    },
    verdict::{DropReason, Notice, PassReason},
};

use super::{Result, State, optional, port::per_cpu};

/// What happened to a tenant's packets.
#[derive(Clone, Debug, Default)]
pub struct TenantTotals {
    /// Packets and bytes.
    pub traffic: TenantCounters,
    /// Drops that happened, by reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Notices that happened.
    pub notices: Vec<(Notice, u64)>,
}

/// What happened at a hook to packets that no tenant was charged with.
#[derive(Clone, Debug, Default)]
pub struct HookTotals {
    /// Passes that happened, by reason.
    pub passed: Vec<(PassReason, u64)>,
    /// Drops that happened, by reason.
    pub drops: Vec<(DropReason, u64)>,
}

impl HookTotals {
    /// Packets passed.
    pub fn passed_total(&self) -> u64 {
        self.passed.iter().map(|(_, count)| count).sum()
    }
}

impl State {
    /// A tenant's counters.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn tenant_totals(&self, id: TenantId) -> Result<TenantTotals> {
        let mut traffic = TenantCounters::default();
        for cpu in self.maps.tenant_counters.get(&id.0, 0)?.iter() {
            traffic.rx_packets += cpu.rx_packets;
            traffic.rx_bytes += cpu.rx_bytes;
            traffic.tx_packets += cpu.tx_packets;
            traffic.tx_bytes += cpu.tx_bytes;
        }
        let mut totals = TenantTotals { traffic, ..TenantTotals::default() };
        for &reason in DropReason::ALL {
            push(&mut totals.drops, reason, self.event_total(id, reason as u32)?);
        }
        for &notice in Notice::ALL {
            let count = self.event_total(id, TenantEvent::NOTICE + notice as u32)?;
            push(&mut totals.notices, notice, count);
        }
        Ok(totals)
    }

    /// A hook's counters.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hook_totals(&self, hook: Hook, ifindex: IfIndex) -> Result<HookTotals> {
        let key = HookKey { ifindex, hook };
        let Some(cpus) = optional(self.maps.hook_counters.get(&key, 0))? else {
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

    /// Sets a tenant's counters to zero, before its slot is given away.
    pub(super) fn forget_counters(&mut self, id: TenantId) -> Result<()> {
        self.maps.tenant_counters.set(id.0, per_cpu(TenantCounters::default())?, 0)?;
        let drops = DropReason::ALL.iter().map(|&reason| reason as u32);
        let notices = Notice::ALL.iter().map(|&notice| TenantEvent::NOTICE + notice as u32);
        for event in drops.chain(notices) {
            optional(self.maps.tenant_events.remove(&TenantEvent { tenant: id, event }))?;
        }
        Ok(())
    }

    fn event_total(&self, tenant: TenantId, event: u32) -> Result<u64> {
        let cpus = optional(self.maps.tenant_events.get(&TenantEvent { tenant, event }, 0))?;
        Ok(cpus.map_or(0, |cpus| cpus.iter().sum()))
    }
}

fn sum(
    cpus: &PerCpuValues<HookCounters>,
    of: impl Fn(&HookCounters) -> &[u64; REASONS],
    index: usize,
) -> u64 {
    cpus.iter().map(|cpu| of(cpu)[index]).sum()
}

fn push<R>(list: &mut Vec<(R, u64)>, reason: R, count: u64) {
    if count > 0 {
        list.push((reason, count));
    }
}
