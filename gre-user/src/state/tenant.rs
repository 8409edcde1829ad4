//! Tenants and their bindings.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::offset_of,
};

use gre_common::{
    tables::{
        self, Binding, BindingKey, KeyField, LocalKey, LocalKeyUse, MemberId, Port, Sequence,
        Service, Slot, Tenant, TenantId, TenantOptions, Tunnel, TunnelId, TunnelOptions,
    },
    wire::gre::GreKey,
};

use super::{
    Error, Result, Room, State, from, name, optional,
    source::{self, Source},
    tunnel,
};

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
#[derive(Clone, Debug)]
pub struct New {
    /// What its packets are.
    pub service: Service,
    /// The key in packets received.
    pub in_key: Option<GreKey>,
    /// Another one that packets received may have, while keys are changed.
    pub second_in_key: Option<GreKey>,
    /// The key in packets sent.
    pub out_key: Option<GreKey>,
    /// From whom its packets may come; none: from anyone.
    pub sources: Vec<Source>,
    /// Bits per second, in each direction; `None`: as many as there are.
    pub rate: Option<u64>,
}

impl New {
    /// The record of a tenant without tunnels and ports.
    pub fn record(&self) -> Tenant {
        Tenant {
            slot: Slot::IN_USE,
            service: self.service,
            in_key: self.in_key.into(),
            out_key: self.out_key.into(),
            options: self.options(),
            ..Tenant::EMPTY
        }
    }

    /// From whom its packets may come, and how many, as programs are told.
    pub(super) fn options(&self) -> TenantOptions {
        source::options(&self.sources)
            .with(TenantOptions::LIMITED, self.rate.is_some())
            .with(TenantOptions::SECOND_KEY, self.second_in_key.is_some())
    }

    /// The keys in packets received.
    pub(super) fn in_keys(&self) -> impl Iterator<Item = Option<GreKey>> + use<> {
        let second = self.second_in_key.map(Some);
        [self.in_key].into_iter().chain(second)
    }
}

impl State {
    /// How many bindings there are with so many more: a table is half full at most.
    ///
    /// # Errors
    /// There is no room for them.
    pub(super) fn bound_with(&mut self, more: u32) -> Result<u32> {
        let there = self.bound.unwrap_or_else(|| {
            let all = (0..self.maps.tunnels.len()).map(|slot| self.tunnel_at(TunnelId(slot)));
            let used = all.filter(|tunnel| tunnel.slot == Slot::IN_USE);
            used.map(|tunnel| tunnel.tenants).sum::<u32>() + self.bound_by_second_keys()
        });
        self.bound = Some(there);
        let bound = there.saturating_add(more);
        if bound > self.maps.sizes.bindings { Err(self.full_of_bindings()) } else { Ok(bound) }
    }

    pub(super) fn full_of_bindings(&self) -> Error {
        Error::Full { room: Room::BINDINGS, max: self.maps.sizes.bindings }
    }

    /// How many tenants there is room for.
    pub fn max_tenants(&self) -> u32 {
        self.maps.tenants.len()
    }

    /// Adds a tenant on tunnels. Without any only its own ports reach each other.
    ///
    /// # Errors
    /// The name or a binding is taken, a tunnel does not exist or cannot be one of several, or a map is full.
    pub fn add_tenant<N: AsRef<str>>(
        &mut self,
        name: &str,
        tunnels: &[N],
        new: &New,
    ) -> Result<TenantId> {
        let key = name::parse(name)?;
        if self.maps.tenant_names.get(&key).is_some() {
            return Err(Error::Exists { kind: "tenant", name: name.to_owned() });
        }
        let tunnels = self.tunnels_for(tunnels, new)?;
        let bound = self.bound_with((tunnels.len() * new.in_keys().count()) as u32)?;
        let id = self.take_tenant_slot()?;
        let tunnel = tunnels.first().map_or(TunnelId::NONE, |tunnel| tunnel.id);
        let tenant = Tenant { tunnel, ..new.record() };
        self.maps.tenants.set(id.0, &tenant);
        let guarded = self.enter_sources(id, &new.sources);
        let limited = guarded.and_then(|()| self.enter_rate(id, new.rate));
        let limited = limited.and_then(|()| self.enter_second_key(id, new.second_in_key));
        let named = tables::Named { name: key, index: id.0 };
        if let Err(error) = limited.and_then(|()| self.enter(&named, &tunnels)) {
            self.forget_guards(id)?;
            self.forget_second_key(id)?;
            self.maps.tenants.set(id.0, &Tenant::EMPTY);
            return Err(error);
        }
        for tunnel in tunnels {
            let tenants = tunnel.tunnel.tenants + 1;
            self.set_tunnel(tunnel.id, Tunnel { tenants, ..tunnel.tunnel });
        }
        self.bound = Some(bound);
        Ok(id)
    }

    /// The tunnels of these names, if such a tenant can be on them.
    fn tunnels_for<N: AsRef<str>>(&self, names: &[N], new: &New) -> Result<Vec<tunnel::Named>> {
        let mut tunnels: Vec<tunnel::Named> = Vec::with_capacity(names.len());
        for name in names {
            let tunnel = self.tunnel(name.as_ref())?;
            if tunnels.iter().any(|other| other.id == tunnel.id) {
                return Err(Error::TunnelTwice(tunnel.name));
            }
            for in_key in new.in_keys() {
                let binding = binding_key(tunnel.id, &tunnel.tunnel, in_key.into());
                if let Some(owner) = self.maps.bindings.get(&binding) {
                    return Err(Error::Bound {
                        tenant: self.tenant_name(owner.tenant),
                        key: describe_key(in_key),
                        tunnel: tunnel.name,
                    });
                }
            }
            tunnels.push(tunnel);
        }
        if tunnels.len() > 1 {
            let ordered = |it: &&tunnel::Named| it.tunnel.options.has(TunnelOptions::SEQUENCE);
            if let Some(tunnel) = tunnels.iter().find(ordered) {
                return Err(Error::SequenceShared(tunnel.name.clone()));
            }
        }
        Ok(tunnels)
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
        let tunnels = self.tunnels_of(&tenant);
        let members = self.maps.members_from(tenant.members);
        // The bindings, which bring traffic, go first.
        for &tunnel in &tunnels {
            self.unbind(id, &tenant, tunnel)?;
        }
        self.maps.tenant_names.remove(&name::parse(&name)?);
        for id in tunnels {
            let tunnel = self.tunnel_at(id);
            let tenants = tunnel.tenants.saturating_sub(1);
            self.set_tunnel(id, Tunnel { tenants, ..tunnel });
        }
        self.bound = None;
        self.maps.tenants.set(id.0, &Tenant { slot: Slot::RETIRED, ..tenant });
        self.wait_for_programs();
        self.release_members(&members);
        if tenant.service == Service::L2 {
            self.forget_stations(id, None)?;
        }
        self.clean_slot(id)
    }

    /// Forgets from whom a tenant's packets may come, and how many.
    fn forget_guards(&mut self, id: TenantId) -> Result<()> {
        if self.tenant_at(id).options.has_sources() {
            self.forget_sources(id)?;
        }
        self.forget_rate(id)
    }

    /// Says what is done to a tenant's packets besides.
    pub(super) fn set_options(&mut self, id: TenantId, options: TenantOptions, wanted: bool) {
        let options = self.tenant_at(id).options.with(options, wanted);
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, options), &options);
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

    /// The tenant of this name, if it is there.
    ///
    /// # Errors
    /// It cannot be a name.
    pub fn find_tenant(&self, name: &str) -> Result<Option<Named>> {
        let found = self.maps.tenant_names.get(&name::parse(name)?);
        Ok(found.map(|entry| self.named_tenant(&entry)))
    }

    /// The names of all tenants.
    pub fn tenant_names(&self) -> BTreeMap<TenantId, String> {
        let names = self.maps.tenant_names.iter();
        names.map(|entry| (TenantId(entry.index), name::text(&entry.name))).collect()
    }

    /// The slots that nobody has, in the order in which new tenants get them.
    pub fn free_tenants(&self) -> impl Iterator<Item = TenantId> {
        let all = from(self.next_tenant, self.max_tenants()).map(TenantId);
        all.filter(|&id| self.tenant_at(id).slot != Slot::IN_USE)
    }

    pub(super) fn full_of_tenants(&self) -> Error {
        Error::full_of_tenants(self.max_tenants())
    }

    /// The tenant in a slot.
    pub fn tenant_at(&self, id: TenantId) -> Tenant {
        self.maps.tenants.get(id.0)
    }

    /// What a tenant receives, by tunnel.
    pub(super) fn bindings_of(&self, id: TenantId, tenant: &Tenant) -> Vec<Binding> {
        let in_keys = self.in_keys(id, tenant);
        let tunnels = self.tunnels_of(tenant).into_iter().map(|it| (it, self.tunnel_at(it)));
        let keys = tunnels.flat_map(|(id, tunnel)| {
            in_keys.iter().map(move |&in_key| binding_key(id, &tunnel, in_key))
        });
        let found = keys.filter_map(|key| self.maps.bindings.get(&key));
        found.filter(|binding| binding.tenant == id).collect()
    }

    /// Replaces the port of a tenant, or the first of several, for what it sends and what it receives.
    pub fn set_port(&mut self, id: TenantId, port: Port) {
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, port), &port);
        self.change_bindings(id, |binding| binding.port = port);
    }

    /// Changes port and options of what a tenant receives.
    pub(super) fn change_bindings(&mut self, id: TenantId, change: impl Fn(&mut Binding)) {
        for before in self.bindings_of(id, &self.tenant_at(id)) {
            let mut after = before;
            change(&mut after);
            if after.port != before.port {
                self.maps.bindings.set_part(&after.key, offset_of!(Binding, port), &after.port);
            }
            self.maps.bindings.set_part(&after.key, offset_of!(Binding, options), &after.options);
        }
    }

    /// Replaces what bindings say of their tunnel.
    pub(super) fn set_binding_options(&mut self, tunnel: TunnelId, options: TunnelOptions) {
        for id in (0..self.max_tenants()).map(TenantId) {
            let tenant = self.tenant_at(id);
            if tenant.slot == Slot::IN_USE && self.maps.uses_tunnel(&tenant, tunnel) {
                self.change_bindings(id, |binding| {
                    if binding.tunnel == tunnel {
                        let own = binding.options.only(TunnelOptions::OF_BINDING);
                        binding.options = options.with(own, true);
                    }
                });
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

    /// Enters a tenant everywhere; the bindings, which bring traffic, come last.
    fn enter(&mut self, named: &tables::Named, tunnels: &[tunnel::Named]) -> Result<()> {
        let (max, id) = (self.max_tenants(), TenantId(named.index));
        let full = |_| Error::full_of_tenants(max);
        self.maps.tenant_names.insert(named).map_err(full)?;
        let entered = self.bind_all(id, tunnels);
        entered.inspect_err(|_| self.maps.tenant_names.remove(&named.name))
    }

    fn bind_all(&mut self, id: TenantId, tunnels: &[tunnel::Named]) -> Result<()> {
        if tunnels.len() > 1 {
            let ids: Vec<_> = tunnels.iter().map(|tunnel| tunnel.id).collect();
            self.set_members(id, &ids, &[])?;
        }
        let tenant = self.tenant_at(id);
        for (bound, tunnel) in tunnels.iter().enumerate() {
            if let Err(error) = self.bind(id, &tenant, tunnel) {
                for tunnel in &tunnels[..=bound] {
                    self.unbind(id, &tenant, tunnel.id)?;
                }
                let members = self.maps.members_from(tenant.members);
                self.wait_for_programs();
                self.release_members(&members);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Has a tenant receive what comes by a tunnel. On an error some of its keys may be bound.
    fn bind(&mut self, id: TenantId, tenant: &Tenant, tunnel: &tunnel::Named) -> Result<()> {
        let local = self.local_id(tunnel.tunnel.local)?;
        let has_members = tenant.members != MemberId::NONE;
        let options = binding_options(tunnel.tunnel.options, tenant, has_members);
        for in_key in self.in_keys(id, tenant) {
            let key = binding_key(tunnel.id, &tunnel.tunnel, in_key);
            let local_key = LocalKey { local, key: in_key };
            let binding = Binding { options, ..Binding::new(key, id, tunnel.id, tenant.port) };
            self.claim_local_key(local_key, id)?;
            if self.maps.bindings.insert(&binding).is_err() {
                self.release_local_key(local_key, id, 1);
                return Err(self.full_of_bindings());
            }
        }
        Ok(())
    }

    /// Has a tenant receive no more of what comes by a tunnel.
    fn unbind(&mut self, id: TenantId, tenant: &Tenant, tunnel: TunnelId) -> Result<()> {
        let record = self.tunnel_at(tunnel);
        let local = self.local_id(record.local)?;
        for in_key in self.in_keys(id, tenant) {
            let key = binding_key(tunnel, &record, in_key);
            if self.maps.bindings.get(&key).is_some_and(|binding| binding.tenant == id) {
                self.maps.bindings.remove(&key);
                self.release_local_key(LocalKey { local, key: in_key }, id, 1);
            }
        }
        Ok(())
    }

    /// Counts a binding with this key.
    pub(super) fn claim_local_key(&mut self, key: LocalKey, tenant: TenantId) -> Result<()> {
        let usage = match self.maps.local_keys.get(&key) {
            Some(usage) => LocalKeyUse { bindings: usage.bindings.saturating_add(1), ..usage },
            None => LocalKeyUse { key, bindings: 1, tenant },
        };
        let max = self.maps.sizes.bindings;
        let entered = self.maps.local_keys.insert(&usage);
        entered.map_err(|_| Error::Full { room: Room::KEYS, max })
    }

    /// Counts so many bindings of this tenant less, which are gone.
    pub(super) fn release_local_key(&mut self, key: LocalKey, gone: TenantId, bindings: u32) {
        let Some(usage) = self.maps.local_keys.get(&key) else { return };
        if usage.bindings <= bindings {
            return self.maps.local_keys.remove(&key);
        }
        let tenant = if usage.tenant == gone { self.bound_to(&key) } else { usage.tenant };
        let usage = LocalKeyUse { bindings: usage.bindings - bindings, tenant, ..usage };
        self.maps.local_keys.insert(&usage).expect("it replaces what is there");
    }

    /// Some tenant that is bound to a key at a local address.
    fn bound_to(&self, key: &LocalKey) -> TenantId {
        let has_key = |binding: &Binding| {
            let local = self.tunnel_at(binding.tunnel).local;
            optional(self.maps.locals.get(&local, 0))
                .is_ok_and(|used| used.is_some_and(|used| used.id == key.local))
        };
        let is_bound = |&id: &TenantId| {
            let tenant = self.tenant_at(id);
            tenant.slot == Slot::IN_USE
                && self.in_keys(id, &tenant).contains(&key.key)
                && self.bindings_of(id, &tenant).iter().any(has_key)
        };
        (0..self.max_tenants()).map(TenantId).find(is_bound).unwrap_or(TenantId::NONE)
    }

    fn take_tenant_slot(&mut self) -> Result<TenantId> {
        let id = self.free_tenants().next().ok_or_else(|| self.full_of_tenants())?;
        self.next_tenant = id.0 + 1;
        if self.tenant_at(id).slot == Slot::RETIRED {
            self.clean_slot(id)?;
        }
        Ok(id)
    }

    /// Makes the slot of a deleted tenant as new.
    pub(super) fn clean_slot(&mut self, id: TenantId) -> Result<()> {
        self.forget_totals(id)?;
        self.forget_events_of(id)?;
        self.forget_routes(id)?;
        self.forget_neighbours_of(&BTreeSet::from([id]))?;
        self.forget_guards(id)?;
        self.forget_second_key(id)?;
        self.maps.sequences.set(id.0, &Sequence::default());
        self.maps.tenants.set(id.0, &Tenant::EMPTY);
        Ok(())
    }
}

pub(super) fn binding_key(id: TunnelId, tunnel: &Tunnel, in_key: KeyField) -> BindingKey {
    if tunnel.local.is_v4() {
        BindingKey::v4(tunnel.local.last(), tunnel.remote.last(), in_key)
    } else {
        BindingKey::v6(id, in_key)
    }
}

/// What a binding says of its tunnel, and of its tenant but for the number of his ports.
pub(super) fn binding_options(
    tunnel: TunnelOptions,
    tenant: &Tenant,
    has_members: bool,
) -> TunnelOptions {
    let is_l2 = tenant.service == Service::L2;
    tunnel
        .with(TunnelOptions::ETHERNET, is_l2)
        .with(TunnelOptions::LEARN, is_l2 && has_members)
        .with(TunnelOptions::SOURCES, tenant.options.has_sources())
        .with(TunnelOptions::LIMITED, tenant.options.has(TenantOptions::LIMITED))
}

/// "key 10"
pub(crate) fn describe_key(key: Option<GreKey>) -> String {
    key.map_or_else(|| "packets without key".to_owned(), |GreKey(key)| format!("key {key}"))
}
