//! `xgre route`

use std::collections::HashMap;

use anyhow::ensure;
use clap::Subcommand;
use gre_common::tables::TenantId;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    manage::{route, way},
    state::{State, StateDir, route::Entry},
    value::Prefix,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lead the packets of an l3 tenant to a prefix through tunnels or ports.
    Add {
        /// The tenant.
        tenant: String,
        /// The destinations: a prefix, or default.
        prefix: Prefix,
        /// The tunnel or port that they are behind; several share the flows.
        #[arg(long, required = true, num_args = 1.., value_name = "TUNNEL|PORT")]
        via: Vec<String>,
    },
    /// Delete a route.
    Del {
        /// The tenant.
        tenant: String,
        /// The destinations.
        prefix: Prefix,
    },
    /// List routes.
    List {
        /// Only this tenant's.
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one route.
    Show {
        /// The tenant.
        tenant: String,
        /// The destinations.
        prefix: Prefix,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Document {
    version: u32,
    routes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    tenant: String,
    prefix: String,
    via: Vec<String>,
}

pub fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    match verb {
        Verb::Add { tenant, prefix, via } => {
            let route = route::by(&state, &tenant, prefix, &via)?;
            route.check()?;
            route::add(&mut state, &route)
        }
        Verb::Del { tenant, prefix } => route::delete(&mut state, &tenant, prefix),
        Verb::List { tenant, json } => {
            let tenant = tenant.map(|name| route::l3_tenant(&state, &name)).transpose()?;
            print(&state, state.routes(tenant.map(|tenant| tenant.id))?, json)
        }
        Verb::Show { tenant, prefix, json } => {
            let tenant = route::l3_tenant(&state, &tenant)?;
            let mut routes = state.routes(Some(tenant.id))?;
            routes.retain(|route| route.prefix == prefix.0);
            ensure!(!routes.is_empty(), route::unknown(&tenant, prefix));
            print(&state, routes, json)
        }
    }
}

fn print(state: &State, routes: Vec<Entry>, json: bool) -> anyhow::Result<()> {
    let tenants: HashMap<TenantId, String> =
        state.tenants().into_iter().map(|tenant| (tenant.id, tenant.name)).collect();
    let ways = way::names(state)?;
    let row = |route: Entry| Row {
        tenant: tenants.get(&route.tenant).cloned().unwrap_or_default(),
        prefix: route.prefix.to_string(),
        via: route.ways.iter().filter_map(|way| ways.get(way).cloned()).collect(),
    };
    let rows = routes.into_iter().map(row);
    if json {
        return output::json(&Document { version: JSON_VERSION, routes: rows.collect() });
    }
    let cells = |row: Row| [row.tenant, row.prefix, row.via.join(", ")];
    output::table(["TENANT", "PREFIX", "VIA"], rows.map(cells))
}
