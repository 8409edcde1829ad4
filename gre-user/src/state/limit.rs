//! How much tenants may send and receive.

use gre_common::tables::{Limit, TenantId, TenantOptions};

use super::{Error, Result, Room, State, optional};

impl State {
    /// A tenant's rate in each direction, in bits per second; `None`: as fast as it goes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn rate(&self, tenant: TenantId) -> Result<Option<u64>> {
        if !self.tenant_at(tenant).options.has(TenantOptions::LIMITED) {
            return Ok(None);
        }
        Ok(optional(self.maps.limits.get(&tenant, 0))?.map(|limit| limit.rate))
    }

    /// Enters the rate of a tenant, or replaces it.
    pub(super) fn enter_rate(&mut self, tenant: TenantId, rate: Option<u64>) -> Result<()> {
        let Some(rate) = rate else { return Ok(()) };
        let max = self.max_tenants();
        let entered = self.maps.limits.insert(tenant, Limit::new(rate), 0);
        entered.map_err(Error::inserting(Room::RATES, max))
    }

    /// Forgets the rate of a tenant that has no traffic any more.
    pub(super) fn forget_rate(&mut self, tenant: TenantId) -> Result<()> {
        optional(self.maps.limits.remove(&tenant)).map(drop)
    }
}
