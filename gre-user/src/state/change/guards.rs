//! From whom tenants' packets may come, and how many, before and after.
//!
//! New sources come before old ones go, and until then a tenant has the checks of before and those of after: each packet is let
//! through that both let through, and none that neither does.

use std::collections::{BTreeMap, BTreeSet};

use gre_common::tables::TenantId;

use super::{
    super::source::Source,
    Changes, Result, State,
    sides::{Side, Tenants},
};

/// The guards of all tenants that change.
#[derive(Default)]
pub(super) struct Guards {
    sources_before: BTreeSet<(TenantId, Source)>,
    sources_after: BTreeSet<(TenantId, Source)>,
    rates_before: BTreeMap<TenantId, u64>,
    rates_after: BTreeMap<TenantId, u64>,
}

impl Guards {
    /// Finds out what changes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn plan(state: &State, changes: &Changes, tenants: &[Tenants]) -> Result<Self> {
        let mut this = Self::default();
        let changing = || tenants.iter().filter(|it| changes.tenants.contains_key(&it.name));
        let is_guarded = |side: &Side| side.tenant.options.has_sources();
        let sources = if changing().filter_map(|it| it.before.as_ref()).any(is_guarded) {
            state.sources()?
        } else {
            BTreeMap::new()
        };
        for it in changing() {
            if let Some(before) = &it.before {
                let of = sources.get(&before.id).into_iter().flatten();
                this.sources_before.extend(of.map(|&source| (before.id, source)));
                this.rates_before.extend(state.rate(before.id)?.map(|rate| (before.id, rate)));
            }
            let wanted = changes.tenants.get(&it.name).and_then(Option::as_ref);
            if let (Some(after), Some(wanted)) = (&it.after, wanted) {
                this.sources_after.extend(wanted.new.sources.iter().map(|&it| (after.id, it)));
                this.rates_after.extend(wanted.new.rate.map(|rate| (after.id, rate)));
            }
        }
        Ok(this)
    }

    /// Sources that are new.
    pub fn coming_sources(&self) -> impl Iterator<Item = (TenantId, Source)> {
        self.sources_after.difference(&self.sources_before).copied()
    }

    /// Rates where there was none.
    pub fn coming_rates(&self) -> impl Iterator<Item = (TenantId, u64)> {
        let new = self.rates_after.iter().filter(|(id, _)| !self.rates_before.contains_key(*id));
        new.map(|(id, rate)| (*id, *rate))
    }

    /// Rates where there was another.
    fn changed_rates(&self) -> impl Iterator<Item = (TenantId, u64)> {
        let other = self
            .rates_after
            .iter()
            .filter(|(id, rate)| self.rates_before.get(*id).is_some_and(|before| before != *rate));
        other.map(|(id, rate)| (*id, *rate))
    }
}

impl State {
    /// Replaces rates. Each tenant's may come in a burst again.
    pub(super) fn switch_rates(&mut self, guards: &Guards) -> Result<()> {
        for (id, rate) in guards.changed_rates() {
            self.enter_rate(id, Some(rate))?;
        }
        Ok(())
    }

    /// Removes what nobody asks for any more.
    pub(super) fn leave_guards(&mut self, guards: &Guards) -> Result<()> {
        for &(id, source) in guards.sources_before.difference(&guards.sources_after) {
            self.leave_source(id, source)?;
        }
        for &id in guards.rates_before.keys().filter(|id| !guards.rates_after.contains_key(*id)) {
            self.forget_rate(id)?;
        }
        Ok(())
    }
}
