//! Sums of counters.

use std::{collections::BTreeMap, ops::AddAssign};

use gre_common::{
    tables::Counters,
    verdict::{DropReason, Notice, PassReason},
};

use crate::state::counters::{HookTotals, TenantTotals};

/// Counts by reason.
pub type Reasons<R> = BTreeMap<R, u64>;

/// What happened to the packets of several tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    /// What was decapsulated.
    pub received: Counters,
    /// What was encapsulated.
    pub sent: Counters,
    /// Drops, by reason.
    pub drops: Reasons<DropReason>,
    /// Notices.
    pub notices: Reasons<Notice>,
}

impl AddAssign<&TenantTotals> for Tenants {
    fn add_assign(&mut self, tenant: &TenantTotals) {
        self.received += tenant.received;
        self.sent += tenant.sent;
        add(&mut self.drops, &tenant.drops);
        add(&mut self.notices, &tenant.notices);
    }
}

/// What several hooks did with packets that no tenant was charged with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Passes, by reason.
    pub passed: Reasons<PassReason>,
    /// Drops, by reason.
    pub drops: Reasons<DropReason>,
}

impl AddAssign<&HookTotals> for Hooks {
    fn add_assign(&mut self, hook: &HookTotals) {
        add(&mut self.passed, &hook.passed);
        add(&mut self.drops, &hook.drops);
    }
}

/// Adds counts to those that are there.
pub fn add<R: Copy + Ord>(sum: &mut Reasons<R>, counts: &[(R, u64)]) {
    for &(reason, count) in counts {
        *sum.entry(reason).or_default() += count;
    }
}
