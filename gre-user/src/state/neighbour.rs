//! Neighbours that are answered for.

use std::{collections::BTreeSet, net::IpAddr};

use gre_common::tables::{Neighbour, TenantId, TenantOptions};

use super::{Error, Result, Room, State, optional, prefix};

/// Who has an address.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Whose neighbour.
    pub tenant: TenantId,
    /// The address.
    pub address: IpAddr,
    /// Who has it.
    pub neighbour: Neighbour,
}

impl State {
    /// Says who has an address.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_neighbour(
        &mut self,
        tenant: TenantId,
        address: IpAddr,
        neighbour: Neighbour,
    ) -> Result<()> {
        let key = prefix::address(tenant, address);
        let entered = self.maps.neighbours.insert(key, neighbour, 0);
        entered.map_err(Error::inserting(Room::NEIGHBOURS, self.maps.sizes.neighbours))?;
        self.set_options(tenant, TenantOptions::ANSWERS, true);
        Ok(())
    }

    /// Who has an address; `None`: that is not known.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn neighbour(&self, tenant: TenantId, address: IpAddr) -> Result<Option<Neighbour>> {
        optional(self.maps.neighbours.get(&prefix::address(tenant, address), 0))
    }

    /// Forgets who has these addresses. Those of which that is not known are left out.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_neighbours(&mut self, those: &[(TenantId, IpAddr)]) -> Result<()> {
        for (tenant, address) in those {
            optional(self.maps.neighbours.remove(&prefix::address(*tenant, *address)))?;
        }
        let left: BTreeSet<_> = self.neighbours(None)?.iter().map(|entry| entry.tenant).collect();
        let concerned: BTreeSet<_> = those.iter().map(|(tenant, _)| *tenant).collect();
        for tenant in concerned.difference(&left) {
            self.set_options(*tenant, TenantOptions::ANSWERS, false);
        }
        Ok(())
    }

    /// Neighbours of one tenant, or of all, by tenant and address.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn neighbours(&self, tenant: Option<TenantId>) -> Result<Vec<Entry>> {
        let mut neighbours = Vec::new();
        if tenant.is_some_and(|id| !self.tenant_at(id).options.has(TenantOptions::ANSWERS)) {
            return Ok(neighbours);
        }
        for entry in &self.maps.neighbours {
            let (key, neighbour) = entry?;
            let asked = tenant.is_none_or(|tenant| tenant == key.tenant());
            if let Some(address) = prefix::ip(&key).filter(|_| asked) {
                neighbours.push(Entry { tenant: key.tenant(), address, neighbour });
            }
        }
        neighbours.sort_by_key(|entry| (entry.tenant, entry.address));
        Ok(neighbours)
    }

    /// Forgets all of these tenants'.
    pub(super) fn forget_neighbours_of(&mut self, tenants: &BTreeSet<TenantId>) -> Result<()> {
        let answers = |&id: &TenantId| self.tenant_at(id).options.has(TenantOptions::ANSWERS);
        if !tenants.iter().any(answers) {
            return Ok(());
        }
        let known = self.neighbours(None)?.into_iter();
        for Entry { tenant, address, .. } in known.filter(|it| tenants.contains(&it.tenant)) {
            optional(self.maps.neighbours.remove(&prefix::address(tenant, address)))?;
        }
        Ok(())
    }
}
