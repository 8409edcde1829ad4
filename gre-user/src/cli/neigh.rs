//! `xgre neigh`

use std::{collections::HashMap, net::IpAddr};

use clap::Subcommand;
use gre_common::tables::TenantId;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    config::model::Neigh,
    manage::neighbour,
    state::{State, StateDir},
    value::Mac,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Answer who asks a tenant's port for this address, by ARP or neighbour discovery.
    Add(Neigh),
    /// Answer no more.
    Del {
        /// The tenant.
        tenant: String,
        /// The address.
        ip: IpAddr,
    },
    /// List the addresses that are answered for.
    List {
        /// Only this tenant's.
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Document {
    version: u32,
    neighbours: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    tenant: String,
    ip: IpAddr,
    /// `None`: that of the port.
    mac: Option<String>,
}

pub fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    match verb {
        Verb::Add(neigh) => {
            neigh.check()?;
            neighbour::add(&mut state, &neigh)
        }
        Verb::Del { tenant, ip } => neighbour::delete(&mut state, &tenant, ip),
        Verb::List { tenant, json } => print(&state, tenant.as_deref(), json),
    }
}

fn print(state: &State, tenant: Option<&str>, json: bool) -> anyhow::Result<()> {
    let tenant = tenant.map(|name| state.tenant(name)).transpose()?;
    let tenants: HashMap<TenantId, String> =
        state.tenants().into_iter().map(|tenant| (tenant.id, tenant.name)).collect();
    let neighbours = state.neighbours(tenant.map(|tenant| tenant.id))?;
    let rows = neighbours.into_iter().map(|entry| Row {
        tenant: tenants.get(&entry.tenant).cloned().unwrap_or_default(),
        ip: entry.address,
        mac: entry.neighbour.mac().map(|mac| Mac(mac).to_string()),
    });
    if json {
        return output::json(&Document { version: JSON_VERSION, neighbours: rows.collect() });
    }
    let cells = |row: Row| {
        let mac = row.mac.unwrap_or_else(|| "the port's".to_owned());
        [row.tenant, row.ip.to_string(), mac]
    };
    output::table(["TENANT", "IP", "MAC"], rows.map(cells))
}
