//! Where stations are.

use anyhow::{bail, ensure};
use gre_common::tables::{Service, Via};

use crate::{
    config::model::Fdb,
    state::{State, tenant},
    value::Mac,
};

/// Says where a station is.
///
/// # Errors
/// The tenant is none, or l3, or has no such tunnel or port; or the map is full.
pub fn add(state: &mut State, fdb: &Fdb) -> anyhow::Result<()> {
    let tenant = l2_tenant(state, &fdb.tenant)?;
    let tunnel = match &fdb.tunnel {
        Some(name) => to_tunnel(state, &tenant, name)?,
        None => None,
    };
    let port = match &fdb.port {
        Some(name) => to_port(state, &tenant, name)?,
        None => None,
    };
    let Some(via) = tunnel.or(port) else {
        let name = fdb.tunnel.as_ref().or(fdb.port.as_ref()).map_or("", String::as_str);
        bail!(no_way(&tenant, name));
    };
    Ok(state.set_station(tenant.id, fdb.mac.0, via)?)
}

/// Forgets where a station is.
///
/// # Errors
/// That is not known.
pub fn delete(state: &mut State, tenant: &str, mac: Mac) -> anyhow::Result<()> {
    let tenant = l2_tenant(state, tenant)?;
    let known = state.forget_station(tenant.id, mac.0)?;
    ensure!(known, unknown(&tenant, mac));
    Ok(())
}

/// Forgets where a station is, if its tenant is there and knows it.
///
/// # Errors
/// The kernel refuses.
pub fn forget(state: &mut State, fdb: &Fdb) -> anyhow::Result<()> {
    if let Some(tenant) = state.find_tenant(&fdb.tenant)? {
        state.forget_station(tenant.id, fdb.mac.0)?;
    }
    Ok(())
}

/// A tenant that has stations.
///
/// # Errors
/// There is none of this name, or it is l3.
pub fn l2_tenant(state: &State, name: &str) -> anyhow::Result<tenant::Named> {
    let tenant = state.tenant(name)?;
    ensure!(
        tenant.tenant.service == Service::L2,
        "tenant {name} is l3: its packets have no MAC addresses of its own; stations are for l2 tenants"
    );
    Ok(tenant)
}

/// "to node2", for a tunnel of the tenant or one of its ports.
///
/// # Errors
/// It has neither of this name.
pub fn place(state: &State, tenant: &str, mac: Mac, name: &str) -> anyhow::Result<Fdb> {
    let named = l2_tenant(state, tenant)?;
    let fdb = Fdb { tenant: tenant.to_owned(), mac, tunnel: None, port: None };
    let name = name.to_owned();
    if to_port(state, &named, &name)?.is_some() {
        return Ok(Fdb { port: Some(name), ..fdb });
    }
    ensure!(to_tunnel(state, &named, &name)?.is_some(), no_way(&named, &name));
    Ok(Fdb { tunnel: Some(name), ..fdb })
}

/// What to say of a station that nobody knows.
pub fn unknown(tenant: &tenant::Named, mac: Mac) -> String {
    let name = &tenant.name;
    format!("tenant {name} knows no station {mac}; `xgre fdb list {name}` shows those it knows")
}

fn no_way(tenant: &tenant::Named, name: &str) -> String {
    let tenant = &tenant.name;
    format!(
        "tenant {tenant} has no tunnel or port {name}; `xgre tenant show {tenant}` shows those it has"
    )
}

fn to_tunnel(state: &State, tenant: &tenant::Named, name: &str) -> anyhow::Result<Option<Via>> {
    let found = state.find_tunnel(name)?.map(|(id, _)| id);
    let own = found.filter(|id| state.tunnels_of(&tenant.tenant).contains(id));
    Ok(own.map(Via::tunnel))
}

fn to_port(state: &State, tenant: &tenant::Named, name: &str) -> anyhow::Result<Option<Via>> {
    let own = state.find_port(name)?.filter(|record| record.tenant == tenant.id);
    Ok(own.map(|record| Via::port(record.port.ifindex)))
}
