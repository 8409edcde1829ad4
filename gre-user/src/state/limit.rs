//! How much tenants may send and receive.

use std::sync::{MutexGuard, PoisonError};

use gre_common::tables::{Limit, Pace, TenantId, TenantOptions};

use super::{
    Error, Result, Room, State,
    fdb::{EXISTING, now},
    maps::{Hash, Maps},
    optional,
};

impl State {
    /// A tenant's rate in each direction, in bits per second; `None`: as fast as it goes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn rate(&self, tenant: TenantId) -> Result<Option<u64>> {
        if !self.tenant_at(tenant).options.has(TenantOptions::LIMITED) {
            return Ok(None);
        }
        Ok(optional(self.maps.limits().get(&tenant, 0))?.map(|limit| limit.rate))
    }

    /// Enters the rate of a tenant, or replaces it.
    pub(super) fn enter_rate(&mut self, tenant: TenantId, rate: Option<u64>) -> Result<()> {
        let Some(rate) = rate else { return Ok(()) };
        let max = self.max_tenants();
        let entered = self.maps.limits().insert(tenant, Limit::new(rate), 0);
        entered.map_err(Error::inserting(Room::RATES, max))
    }

    /// Forgets the rate of a tenant that has no traffic any more.
    pub(super) fn forget_rate(&mut self, tenant: TenantId) -> Result<()> {
        optional(self.maps.limits().remove(&tenant)).map(drop)
    }
}

impl Maps {
    fn limits(&self) -> MutexGuard<'_, Hash<TenantId, Limit>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a tenant may send or receive a packet of so many inner bytes. One whose limit was taken away a moment ago has none.
    pub fn pay(
        &self,
        tenant: TenantId,
        bytes: usize,
        direction: impl Fn(&mut Limit) -> &mut Pace,
    ) -> Result<bool> {
        let mut limits = self.limits();
        let Some(mut limit) = optional(limits.get(&tenant, 0))? else { return Ok(true) };
        let (time, burst) = (limit.time(bytes as u32), limit.burst());
        let pace = direction(&mut limit);
        let Some(paid) = Pace::with_time(pace.paid, now(), time, burst) else { return Ok(false) };
        *pace = Pace { paid };
        // What a program pays between the two calls is forgotten: those packets go free.
        optional(limits.insert(tenant, limit, EXISTING)).map(|_| true)
    }
}
