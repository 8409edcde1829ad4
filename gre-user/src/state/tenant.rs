//! Tenants and their bindings.

use std::mem::offset_of;

use gre_common::{
    tables::{
        self, Binding, BindingKey, LocalKey, LocalKeyUse, Port, Sequence, Service, Slot, Tenant,
        TenantId, Tunnel, TunnelId, TunnelOptions,
    },
    wire::gre::GreKey,
};

use super::{Error, Result, State, free_slot, grace, name};

/// A tenant with its names.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its slot.
    pub id: TenantId,
    /// What the datapath knows of it.
    pub tenant: Tenant,
}

/// What a new tenant is to be.
#[derive(Clone, Copy, Debug)]
pub struct New {
    /// What its packets are.
    pub service: Service,
    /// The key in packets received.
    pub in_key: Option<GreKey>,
    /// The key in packets sent.
    pub out_key: Option<GreKey>,
}

impl State {
    /// How many tenants there is room for.
    pub fn max_tenants(&self) -> u32 {
        self.maps.tenants.len()
    }

    /// Adds a tenant on a tunnel.
    ///
    /// # Errors
    /// The name or the binding is taken, the tunnel does not exist, or a map is full.
    pub fn add_tenant(&mut self, name: &str, tunnel: &str, new: New) -> Result<TenantId> {
        let key = name::parse(name)?;
        if self.maps.tenant_names.get(&key).is_some() {
            return Err(Error::Exists { kind: "tenant", name: name.to_owned() });
        }
        let tunnel = self.tunnel(tunnel)?;
        let binding = binding_key(tunnel.id, &tunnel.tunnel, new.in_key);
        if let Some(owner) = self.maps.bindings.get(&binding) {
            return Err(Error::Bound {
                tenant: self.tenant_name(owner.tenant),
                key: describe_key(new.in_key),
                tunnel: tunnel.name,
            });
        }
        let local = self.local_id(tunnel.tunnel.local)?;
        let id = self.take_tenant_slot()?;
        let tenant = Tenant {
            slot: Slot::IN_USE,
            service: new.service,
            tunnel: tunnel.id,
            in_key: new.in_key.into(),
            out_key: new.out_key.into(),
            port: Port::NONE,
        };
        self.maps.tenants.set(id.0, &tenant);
        let options = tunnel.tunnel.options;
        let binding = Binding { options, ..Binding::new(binding, id, new.service, Port::NONE) };
        let local_key = LocalKey { local, key: tenant.in_key };
        let named = tables::Named { name: key, index: id.0 };
        if let Err(error) = self.enter(&named, local_key, &binding) {
            self.maps.tenants.set(id.0, &Tenant::EMPTY);
            return Err(error);
        }
        let tenants = tunnel.tunnel.tenants + 1;
        self.set_tunnel(tunnel.id, Tunnel { tenants, ..tunnel.tunnel });
        Ok(id)
    }

    /// Deletes a tenant that has no port.
    ///
    /// # Errors
    /// It does not exist, or has a port.
    pub fn delete_tenant(&mut self, name: &str) -> Result<()> {
        let Named { name, id, tenant } = self.tenant(name)?;
        if tenant.port != Port::NONE {
            return Err(Error::TenantInUse { name, port: self.port_name(id)? });
        }
        let tunnel = self.tunnel_at(tenant.tunnel);
        let local = self.local_id(tunnel.local)?;
        // The binding, which brings traffic, goes first.
        self.maps.bindings.remove(&self.binding_key_of(&tenant));
        self.release_local_key(LocalKey { local, key: tenant.in_key }, id);
        self.maps.tenant_names.remove(&name::parse(&name)?);
        let tenants = tunnel.tenants.saturating_sub(1);
        self.set_tunnel(tenant.tunnel, Tunnel { tenants, ..tunnel });
        self.maps.tenants.set(id.0, &Tenant { slot: Slot::RETIRED, ..Tenant::EMPTY });
        grace::wait();
        self.clean_slot(id)
    }

    /// The tenant of this name.
    ///
    /// # Errors
    /// It does not exist.
    pub fn tenant(&self, name: &str) -> Result<Named> {
        let found = self.maps.tenant_names.get(&name::parse(name)?);
        found
            .map(|entry| self.named_tenant(&entry))
            .ok_or_else(|| Error::Unknown { kind: "tenant", name: name.to_owned() })
    }

    /// All tenants, by name.
    pub fn tenants(&self) -> Vec<Named> {
        let mut tenants: Vec<_> =
            self.maps.tenant_names.iter().map(|entry| self.named_tenant(&entry)).collect();
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        tenants
    }

    /// The tenant in a slot.
    pub fn tenant_at(&self, id: TenantId) -> Tenant {
        self.maps.tenants.get(id.0)
    }

    /// What a tenant receives.
    pub(super) fn binding_of(&self, tenant: &Tenant) -> Option<Binding> {
        self.maps.bindings.get(&self.binding_key_of(tenant))
    }

    /// Replaces the port of a tenant, for what it sends and what it receives.
    pub fn set_port(&mut self, id: TenantId, port: Port) {
        let tenant = self.tenant_at(id);
        let key = self.binding_key_of(&tenant);
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, port), &port);
        self.maps.bindings.set_part(&key, offset_of!(Binding, port), &port);
    }

    /// Replaces what bindings say of their tunnel.
    pub(super) fn set_binding_options(&mut self, tunnel: TunnelId, options: TunnelOptions) {
        for id in (0..self.max_tenants()).map(TenantId) {
            let tenant = self.tenant_at(id);
            if (tenant.slot, tenant.tunnel) == (Slot::IN_USE, tunnel) {
                let key = self.binding_key_of(&tenant);
                self.maps.bindings.set_part(&key, offset_of!(Binding, options), &options);
            }
        }
    }

    pub(super) fn tenant_name(&self, id: TenantId) -> String {
        let found = self.maps.tenant_names.iter().find(|entry| entry.index == id.0);
        found.map_or_else(|| format!("#{}", id.0), |entry| name::text(&entry.name))
    }

    fn named_tenant(&self, entry: &tables::Named) -> Named {
        let id = TenantId(entry.index);
        Named { name: name::text(&entry.name), id, tenant: self.tenant_at(id) }
    }

    fn binding_key_of(&self, tenant: &Tenant) -> BindingKey {
        binding_key(tenant.tunnel, &self.tunnel_at(tenant.tunnel), tenant.in_key.into())
    }

    /// Enters a tenant everywhere; the binding, which brings traffic, comes last.
    fn enter(
        &mut self,
        named: &tables::Named,
        local_key: LocalKey,
        binding: &Binding,
    ) -> Result<()> {
        let max = self.max_tenants();
        let full = |what| move |_| Error::Full { what, max };
        self.maps.tenant_names.insert(named).map_err(full("names"))?;
        let entered = self.claim_local_key(local_key, binding.tenant).and_then(|()| {
            let bound = self.maps.bindings.insert(binding).map_err(full("bindings"));
            bound.inspect_err(|_| self.release_local_key(local_key, binding.tenant))
        });
        entered.inspect_err(|_| self.maps.tenant_names.remove(&named.name))
    }

    /// Counts a binding with this key.
    fn claim_local_key(&mut self, key: LocalKey, tenant: TenantId) -> Result<()> {
        let usage = match self.maps.local_keys.get(&key) {
            Some(usage) => LocalKeyUse { bindings: usage.bindings + 1, ..usage },
            None => LocalKeyUse { key, bindings: 1, tenant },
        };
        let max = self.max_tenants();
        self.maps.local_keys.insert(&usage).map_err(|_| Error::Full { what: "keys", max })
    }

    /// Counts a binding of this tenant less.
    fn release_local_key(&mut self, key: LocalKey, gone: TenantId) {
        let Some(usage) = self.maps.local_keys.get(&key) else { return };
        if usage.bindings <= 1 {
            return self.maps.local_keys.remove(&key);
        }
        let tenant = if usage.tenant == gone { self.bound_beside(gone) } else { usage.tenant };
        let usage = LocalKeyUse { bindings: usage.bindings - 1, tenant, ..usage };
        self.maps.local_keys.insert(&usage).expect("it replaces what is there");
    }

    /// Some other tenant that is bound to this one's key at its local address.
    fn bound_beside(&self, gone: TenantId) -> TenantId {
        let this = self.tenant_at(gone);
        let local = self.tunnel_at(this.tunnel).local;
        let is_bound = |&id: &TenantId| {
            let Tenant { slot, in_key, tunnel, .. } = self.tenant_at(id);
            id != gone
                && (slot, in_key) == (Slot::IN_USE, this.in_key)
                && self.tunnel_at(tunnel).local == local
        };
        (0..self.max_tenants()).map(TenantId).find(is_bound).unwrap_or(TenantId::NONE)
    }

    fn take_tenant_slot(&mut self) -> Result<TenantId> {
        let max = self.max_tenants();
        let slot = free_slot(self.next_tenant, max, |slot| self.tenant_at(TenantId(slot)).slot)
            .ok_or(Error::Full { what: "tenants", max })?;
        self.next_tenant = slot + 1;
        let id = TenantId(slot);
        if self.tenant_at(id).slot == Slot::RETIRED {
            self.clean_slot(id)?;
        }
        Ok(id)
    }

    /// Makes the slot of a deleted tenant as new.
    fn clean_slot(&mut self, id: TenantId) -> Result<()> {
        self.forget_counters(id)?;
        self.maps.sequences.set(id.0, &Sequence::default());
        self.maps.tenants.set(id.0, &Tenant::EMPTY);
        Ok(())
    }
}

fn binding_key(id: TunnelId, tunnel: &Tunnel, in_key: Option<GreKey>) -> BindingKey {
    if tunnel.local.is_v4() {
        BindingKey::v4(tunnel.local.last(), tunnel.remote.last(), in_key.into())
    } else {
        BindingKey::v6(id, in_key.into())
    }
}

/// "key 10"
pub(crate) fn describe_key(key: Option<GreKey>) -> String {
    key.map_or_else(|| "packets without key".to_owned(), |GreKey(key)| format!("key {key}"))
}
