//! Tenants and their bindings.

use gre_common::{
    tables::{BindingKey, LocalKey, LocalKeyUse, Meta, Port, Service, Tenant, TenantId, Tunnel},
    wire::gre::GreKey,
};

use super::{Error, Result, State, free_slot, name, optional, tunnel};

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
        if optional(self.maps.tenant_names.get(&key, 0))?.is_some() {
            return Err(Error::Exists { kind: "tenant", name: name.to_owned() });
        }
        let tunnel = self.tunnel(tunnel)?;
        let binding = binding_key(&tunnel.tunnel, new.in_key);
        if let Some(owner) = optional(self.maps.bindings.get(&binding, 0))? {
            return Err(Error::Bound {
                tenant: self.tenant_name(owner)?,
                key: describe_key(new.in_key),
                tunnel: tunnel.name,
            });
        }
        let id = self.take_tenant_slot()?;
        self.forget_counters(id)?;
        let tenant = Tenant {
            in_use: 1,
            service: new.service,
            tunnel: tunnel.id,
            in_key: new.in_key.into(),
            out_key: new.out_key.into(),
            port: Port::NONE,
        };
        self.set_tenant(id, tenant)?;
        let added = self.bind(name, id, &tunnel, new.in_key);
        if added.is_err() {
            self.set_tenant(id, Tenant::EMPTY)?;
        }
        added.map(|()| id)
    }

    /// Deletes a tenant that has no port.
    ///
    /// # Errors
    /// It does not exist, or has a port.
    pub fn delete_tenant(&mut self, name: &str) -> Result<()> {
        let named = self.tenant(name)?;
        if let Some(port) = self.ports_of(named.id)?.into_iter().next() {
            return Err(Error::TenantInUse { name: named.name, port: port.name });
        }
        let tunnel = self.tunnel_at(named.tenant.tunnel)?;
        self.unbind(&named, &tunnel)?;
        let tenants = tunnel.tenants.saturating_sub(1);
        self.set_tunnel(named.tenant.tunnel, Tunnel { tenants, ..tunnel })?;
        self.set_tenant(named.id, Tenant::EMPTY)
    }

    /// The tenant of this name.
    ///
    /// # Errors
    /// It does not exist.
    pub fn tenant(&self, name: &str) -> Result<Named> {
        let id = optional(self.maps.tenant_names.get(&name::parse(name)?, 0))?
            .ok_or_else(|| Error::Unknown { kind: "tenant", name: name.to_owned() })?;
        Ok(Named { name: name.to_owned(), id, tenant: self.tenant_at(id)? })
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn tenants(&self) -> Result<Vec<Named>> {
        let mut tenants = Vec::new();
        for entry in &self.maps.tenant_names {
            let (name, id) = entry?;
            tenants.push(Named { name: name::text(&name), id, tenant: self.tenant_at(id)? });
        }
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tenants)
    }

    /// The tenant in a slot.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn tenant_at(&self, id: TenantId) -> Result<Tenant> {
        Ok(self.maps.tenants.get(&id.0, 0)?)
    }

    pub(super) fn set_tenant(&mut self, id: TenantId, tenant: Tenant) -> Result<()> {
        Ok(self.maps.tenants.set(id.0, tenant, 0)?)
    }

    pub(super) fn tenant_name(&self, id: TenantId) -> Result<String> {
        for entry in &self.maps.tenant_names {
            let (name, other) = entry?;
            if other == id {
                return Ok(name::text(&name));
            }
        }
        Ok(format!("#{}", id.0))
    }

    /// Enters a tenant everywhere; the binding, which brings traffic, comes last.
    fn bind(
        &mut self,
        name: &str,
        id: TenantId,
        tunnel: &tunnel::Named,
        in_key: Option<GreKey>,
    ) -> Result<()> {
        let max = self.maps.tenants.len();
        let name = name::parse(name)?;
        let named = self.maps.tenant_names.insert(name, id, 0);
        named.map_err(Error::inserting("tenants", max))?;
        let bound = self.enter_binding(id, &tunnel.tunnel, in_key);
        if bound.is_err() {
            self.maps.tenant_names.remove(&name)?;
        }
        bound?;
        let tenants = tunnel.tunnel.tenants + 1;
        self.set_tunnel(tunnel.id, Tunnel { tenants, ..tunnel.tunnel })
    }

    fn enter_binding(
        &mut self,
        id: TenantId,
        tunnel: &Tunnel,
        in_key: Option<GreKey>,
    ) -> Result<()> {
        let max = self.maps.tenants.len();
        let local_key = LocalKey { local: tunnel.local, key: in_key.into() };
        let before = optional(self.maps.local_keys.get(&local_key, 0))?;
        let after = match before {
            Some(usage) => LocalKeyUse { bindings: usage.bindings + 1, ..usage },
            None => LocalKeyUse { bindings: 1, tenant: id },
        };
        let counted = self.maps.local_keys.insert(local_key, after, 0);
        counted.map_err(Error::inserting("keys", max))?;
        let bound = self.maps.bindings.insert(binding_key(tunnel, in_key), id, 0);
        if bound.is_err() {
            match before {
                Some(before) => self.maps.local_keys.insert(local_key, before, 0)?,
                None => self.maps.local_keys.remove(&local_key)?,
            }
        }
        bound.map_err(Error::inserting("bindings", max))
    }

    /// Takes a tenant out again; the binding, which brings traffic, goes first.
    fn unbind(&mut self, named: &Named, tunnel: &Tunnel) -> Result<()> {
        let in_key = named.tenant.in_key.into();
        self.maps.bindings.remove(&binding_key(tunnel, in_key))?;
        self.maps.tenant_names.remove(&name::parse(&named.name)?)?;
        let local_key = LocalKey { local: tunnel.local, key: named.tenant.in_key };
        let LocalKeyUse { bindings, tenant } = self.maps.local_keys.get(&local_key, 0)?;
        if bindings <= 1 {
            return Ok(self.maps.local_keys.remove(&local_key)?);
        }
        let tenant = if tenant == named.id { self.bound_to(&local_key)? } else { tenant };
        let after = LocalKeyUse { bindings: bindings - 1, tenant };
        Ok(self.maps.local_keys.insert(local_key, after, 0)?)
    }

    /// Some tenant that is bound to a key at a local address.
    fn bound_to(&self, local_key: &LocalKey) -> Result<TenantId> {
        for entry in &self.maps.bindings {
            let (key, tenant) = entry?;
            if (key.local, key.key) == (local_key.local, local_key.key) {
                return Ok(tenant);
            }
        }
        Ok(TenantId::NONE)
    }

    /// A free slot. The next search begins behind it, so that it is not taken again soon.
    fn take_tenant_slot(&mut self) -> Result<TenantId> {
        let (meta, max) = (self.meta()?, self.maps.tenants.len());
        let is_free = |slot| Ok(self.tenant_at(TenantId(slot))?.in_use == 0);
        let slot = free_slot(meta.next_tenant, max, is_free)?
            .ok_or(Error::Full { what: "tenants", max })?;
        self.set_meta(Meta { next_tenant: (slot + 1) % max, ..meta })?;
        Ok(TenantId(slot))
    }
}

fn binding_key(tunnel: &Tunnel, in_key: Option<GreKey>) -> BindingKey {
    BindingKey { local: tunnel.local, remote: tunnel.remote, key: in_key.into() }
}

fn describe_key(key: Option<GreKey>) -> String {
    key.map_or_else(|| "packets without key".to_owned(), |GreKey(key)| format!("key {key}"))
}
