//! What a tenant's destinations can be behind.

use std::collections::HashMap;

use anyhow::anyhow;
use gre_common::tables::Via;

use crate::state::{State, tenant};

/// A tenant's port or tunnel by name.
///
/// # Errors
/// It has neither of this name.
pub fn find(state: &State, tenant: &tenant::Named, name: &str) -> anyhow::Result<Via> {
    port(state, tenant, name).or_else(|_| tunnel(state, tenant, name))
}

/// A tenant's tunnel by name.
///
/// # Errors
/// It has none of this name.
pub fn tunnel(state: &State, tenant: &tenant::Named, name: &str) -> anyhow::Result<Via> {
    let tunnel = state.tunnel(name).ok().map(|tunnel| tunnel.id);
    let own = tunnel.filter(|id| state.tunnels_of(&tenant.tenant).contains(id));
    own.map(Via::tunnel).ok_or_else(|| unknown(tenant, name))
}

/// A tenant's port by name.
///
/// # Errors
/// It has none of this name, or the kernel refuses.
pub fn port(state: &State, tenant: &tenant::Named, name: &str) -> anyhow::Result<Via> {
    let port = state.port(&tenant.name, name).map_err(|_| unknown(tenant, name))?;
    Ok(Via::port(port.ifindex()))
}

/// The names of all tunnels and ports.
///
/// # Errors
/// The kernel refuses.
pub fn names(state: &State) -> anyhow::Result<HashMap<Via, String>> {
    let mut names: HashMap<Via, String> =
        state.tunnels().into_iter().map(|it| (Via::tunnel(it.id), it.name)).collect();
    names.extend(state.ports()?.into_iter().map(|it| (Via::port(it.ifindex()), it.name)));
    Ok(names)
}

fn unknown(tenant: &tenant::Named, name: &str) -> anyhow::Error {
    let tenant = &tenant.name;
    anyhow!(
        "tenant {tenant} has no tunnel or port {name}; `xgre tenant show {tenant}` shows those it has"
    )
}
