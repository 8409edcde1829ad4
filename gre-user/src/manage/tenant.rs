//! Tenants.

use anyhow::bail;

use crate::{
    config::model::Tenant,
    state::{State, tenant::New},
};

/// Adds a tenant.
///
/// # Errors
/// Its name or binding is taken, its tunnel does not exist, or a map is full.
pub fn add(state: &mut State, tenant: &Tenant) -> anyhow::Result<()> {
    let [tunnel] = tenant.tunnels.as_slice() else { bail!("tenant {} has no tunnel", tenant.name) };
    let new = New {
        service: tenant.service.into(),
        in_key: tenant.in_key.map(|key| key.0),
        out_key: tenant.out_key.map(|key| key.0),
    };
    state.add_tenant(&tenant.name, tunnel, new)?;
    Ok(())
}
