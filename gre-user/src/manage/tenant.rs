//! Tenants.

use std::collections::BTreeMap;

use super::Host;
use crate::{
    config::model::{Tenant, check_second_key},
    datapath::flood,
    state::{
        change::{self, Changes},
        tenant::New,
    },
    value::{Key, Service},
};

/// Adds a tenant.
///
/// # Errors
/// Its name or a binding is taken, a tunnel does not exist, a map is full, or the kernel refuses.
pub async fn add(host: &mut Host, tenant: &Tenant) -> anyhow::Result<()> {
    let Host { dir, state, netlink, .. } = host;
    state.add_tenant(&tenant.name, &tenant.tunnels, &new(tenant))?;
    if tenant.tunnels.len() > 1
        && tenant.service == Service::L2
        && let Err(error) = flood::ensure(dir, state, netlink).await
    {
        state.delete_tenant(&tenant.name)?;
        return Err(error.into());
    }
    Ok(())
}

/// Changes the keys of a tenant while traffic flows.
///
/// # Errors
/// It does not exist, another one receives what it would, there is no room, or the kernel refuses. Nothing has changed then.
pub fn set_keys(host: &mut Host, name: &str, keys: &Keys) -> anyhow::Result<()> {
    let state = &mut host.state;
    let mut tenant = state.tenant_as_it_is(name)?;
    let new = &mut tenant.new;
    if let Some((in_key, out_key)) = keys.both {
        new.in_key = in_key.map(|key| key.0);
        new.out_key = out_key.map(|key| key.0);
    }
    if let Some(second) = keys.second {
        new.second_in_key = second.map(|key| key.0);
    }
    check_second_key(new.in_key, new.second_in_key)?;
    let tenants = BTreeMap::from([(name.to_owned(), Some(tenant))]);
    state.change(&Changes { tenants, ..Changes::default() })?;
    Ok(())
}

/// What is to be different.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Those of packets received and sent; `None` inside: packets have none.
    pub both: Option<(Option<Key>, Option<Key>)>,
    /// The second one of packets received; `None` inside: there is none any more.
    pub second: Option<Option<Key>>,
}

/// What the state is to know of it.
pub fn described(tenant: &Tenant) -> change::Tenant {
    change::Tenant { new: new(tenant), tunnels: tenant.tunnels.clone() }
}

fn new(tenant: &Tenant) -> New {
    New {
        service: tenant.service.into(),
        in_key: tenant.in_key.map(|key| key.0),
        second_in_key: tenant.second_in_key.map(|key| key.0),
        out_key: tenant.out_key.map(|key| key.0),
        sources: tenant.sources.iter().map(|source| source.0).collect(),
        rate: tenant.rate.map(|rate| rate.0),
    }
}
