//! The second key that a tenant receives by, while keys are changed.

use gre_common::{
    tables::{Counters, KeyField, Tenant, TenantId, TenantOptions},
    wire::gre::GreKey,
};

use super::{Error, Result, Room, State, optional};

/// What came with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The key; `None`: packets have none.
    pub key: Option<GreKey>,
    /// Its packets.
    pub received: Counters,
}

impl State {
    /// A tenant's second key.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn second_key(&self, id: TenantId, tenant: &Tenant) -> Result<Option<KeyField>> {
        if !tenant.options.has(TenantOptions::SECOND_KEY) {
            return Ok(None);
        }
        optional(self.maps.second_keys.get(&id, 0))
    }

    /// What was received, by key.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn received_by_key(&self, id: TenantId) -> Vec<Received> {
        let tenant = self.tenant_at(id);
        let bindings = self.bindings_of(id, &tenant);
        let of_key = |key: KeyField| {
            let mut received = Counters::ZERO;
            for binding in bindings.iter().filter(|binding| binding.key.has_key(key)) {
                received += binding.received;
            }
            Received { key: key.into(), received }
        };
        self.in_keys(id, &tenant).into_iter().map(of_key).collect()
    }

    /// Every key that a tenant receives by.
    pub(super) fn in_keys(&self, id: TenantId, tenant: &Tenant) -> Vec<KeyField> {
        let second = self.second_key(id, tenant).ok().flatten();
        [tenant.in_key].into_iter().chain(second).collect()
    }

    /// How many bindings second keys have.
    pub(super) fn bound_by_second_keys(&self) -> u32 {
        let tenants = self.maps.second_keys.keys().flatten().map(|id| self.tenant_at(id));
        tenants.map(|tenant| self.tunnels_of(&tenant).len() as u32).sum()
    }

    /// Enters the second key of a tenant, or replaces it.
    pub(super) fn enter_second_key(&mut self, id: TenantId, key: Option<GreKey>) -> Result<()> {
        let Some(key) = key else { return Ok(()) };
        let max = self.max_tenants();
        let entered = self.maps.second_keys.insert(id, KeyField::from(Some(key)), 0);
        entered.map_err(Error::inserting(Room::KEYS, max))
    }

    /// Forgets the second key of a tenant.
    pub(super) fn forget_second_key(&mut self, id: TenantId) -> Result<()> {
        optional(self.maps.second_keys.remove(&id)).map(drop)
    }
}
