//! Tenants.

use super::Host;
use crate::{
    config::model::Tenant,
    datapath::flood,
    state::{change, tenant::New},
    value::Service,
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

/// What the state is to know of it.
pub fn described(tenant: &Tenant) -> change::Tenant {
    change::Tenant { new: new(tenant), tunnels: tenant.tunnels.clone() }
}

fn new(tenant: &Tenant) -> New {
    New {
        service: tenant.service.into(),
        in_key: tenant.in_key.map(|key| key.0),
        out_key: tenant.out_key.map(|key| key.0),
        sources: tenant.sources.iter().map(|source| source.0).collect(),
        rate: tenant.rate.map(|rate| rate.0),
    }
}
