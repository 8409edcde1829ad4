//! Neighbours that are answered for.

use std::net::IpAddr;

use anyhow::ensure;
use gre_common::tables::{Neighbour, Service};

use crate::{config::model::Neigh, state::State};

/// Says who has an address.
///
/// # Errors
/// The tenant is none, or l2 and no MAC address is given; the address is said to be another's already, or the map is full.
pub fn add(state: &mut State, neigh: &Neigh) -> anyhow::Result<()> {
    let Neigh { tenant: name, ip, .. } = neigh;
    let id = state.tenant(name)?.id;
    ensure!(
        state.neighbour(id, *ip)?.is_none(),
        "tenant {name} has the neighbour {ip} already; delete it first (`xgre neigh del {name} {ip}`)"
    );
    set(state, neigh)
}

/// Says who has an address, whoever had it before.
///
/// # Errors
/// The tenant is none, or l2 and no MAC address is given; or the map is full.
pub fn set(state: &mut State, neigh: &Neigh) -> anyhow::Result<()> {
    let Neigh { tenant: name, ip, mac } = neigh;
    let tenant = state.tenant(name)?;
    ensure!(
        mac.is_some() || tenant.tenant.service == Service::L3,
        "tenant {name} is l2: its ports have no address of their own to answer with; give the neighbour's MAC address"
    );
    let neighbour = mac.map_or(Neighbour::PORT, |mac| Neighbour::new(mac.0));
    Ok(state.set_neighbour(tenant.id, *ip, neighbour)?)
}

/// Forgets who has an address.
///
/// # Errors
/// That is not known.
pub fn delete(state: &mut State, tenant: &str, ip: IpAddr) -> anyhow::Result<()> {
    let id = state.tenant(tenant)?.id;
    ensure!(
        state.neighbour(id, ip)?.is_some(),
        "tenant {tenant} has no neighbour {ip}; `xgre neigh list {tenant}` shows those it has"
    );
    Ok(state.forget_neighbours(&[(id, ip)])?)
}

/// Forgets who has these addresses, where their tenants are there and know it.
///
/// # Errors
/// The kernel refuses.
pub fn forget(state: &mut State, those: &[&Neigh]) -> anyhow::Result<()> {
    let mut known = Vec::with_capacity(those.len());
    for neigh in those {
        known.extend(state.find_tenant(&neigh.tenant)?.map(|tenant| (tenant.id, neigh.ip)));
    }
    Ok(state.forget_neighbours(&known)?)
}
