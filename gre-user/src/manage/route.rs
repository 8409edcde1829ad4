//! Routes of l3 tenants.

use anyhow::ensure;
use gre_common::tables::{Service, Via};

use super::way;
use crate::{
    config::model::Route,
    state::{State, change::Way, tenant},
    value::Prefix,
};

/// Adds a route.
///
/// # Errors
/// The tenant is none, or l2, has no such tunnel or port, or has such a route; or the map is full.
pub fn add(state: &mut State, route: &Route) -> anyhow::Result<()> {
    let tenant = l3_tenant(state, &route.tenant)?;
    let tunnels = route.tunnels.iter().map(|name| way::tunnel(state, &tenant, name));
    let ports = route.ports.iter().map(|name| way::port(state, &tenant, name));
    let ways: Vec<Via> = tunnels.chain(ports).collect::<anyhow::Result<_>>()?;
    Ok(state.add_route(&tenant, route.prefix.0, &ways)?)
}

/// Its ways, by name.
pub fn ways(route: &Route) -> Vec<Way> {
    let tunnels = route.tunnels.iter().cloned().map(Way::Tunnel);
    tunnels.chain(route.ports.iter().cloned().map(Way::Port)).collect()
}

/// Deletes a route.
///
/// # Errors
/// There is none for this prefix.
pub fn delete(state: &mut State, tenant: &str, prefix: Prefix) -> anyhow::Result<()> {
    let tenant = l3_tenant(state, tenant)?;
    ensure!(state.delete_route(tenant.id, prefix.0)?, unknown(&tenant, prefix));
    Ok(())
}

/// A route by tunnels and ports of these names.
///
/// # Errors
/// The tenant has none of a name.
pub fn by(state: &State, tenant: &str, prefix: Prefix, via: &[String]) -> anyhow::Result<Route> {
    let named = l3_tenant(state, tenant)?;
    let (tenant, mut ports, mut tunnels) = (tenant.to_owned(), Vec::new(), Vec::new());
    for name in via {
        let is_port = way::find(state, &named, name)?.to_port().is_some();
        if is_port { &mut ports } else { &mut tunnels }.push(name.clone());
    }
    Ok(Route { tenant, prefix, tunnels, ports })
}

/// A tenant that has routes.
///
/// # Errors
/// There is none of this name, or it is l2.
pub fn l3_tenant(state: &State, name: &str) -> anyhow::Result<tenant::Named> {
    let tenant = state.tenant(name)?;
    ensure!(
        tenant.tenant.service == Service::L3,
        "tenant {name} is l2: its frames go by MAC address (`xgre fdb`); routes are for l3 tenants"
    );
    Ok(tenant)
}

/// What to say of a route that is not there.
pub fn unknown(tenant: &tenant::Named, prefix: Prefix) -> String {
    let name = &tenant.name;
    format!("tenant {name} has no route to {prefix}; `xgre route list {name}` shows those it has")
}
