//! `xgre fdb`

use std::collections::HashMap;

use anyhow::ensure;
use clap::Subcommand;
use gre_common::tables::{FdbEntry, FdbKey, TenantId};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    manage::{fdb, way},
    state::{State, StateDir},
    value::Mac,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say where a station of an l2 tenant is, whatever is heard.
    Add {
        /// The tenant.
        tenant: String,
        /// The station's MAC address.
        mac: Mac,
        /// The tunnel or port that it is behind.
        #[arg(long, value_name = "TUNNEL|PORT")]
        via: String,
    },
    /// Forget where a station is, said or learned.
    Del {
        /// The tenant.
        tenant: String,
        /// The station's MAC address.
        mac: Mac,
    },
    /// List where stations are, as far as is known.
    List {
        /// Only this tenant's.
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show where one station is.
    Show {
        /// The tenant.
        tenant: String,
        /// The station's MAC address.
        mac: Mac,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Document {
    version: u32,
    fdb: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    tenant: String,
    mac: String,
    via: String,
    r#static: bool,
    /// Seconds since it was heard.
    age: Option<u64>,
}

pub fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    match verb {
        Verb::Add { tenant, mac, via } => {
            let fdb = fdb::place(&state, &tenant, mac, &via)?;
            fdb::add(&mut state, &fdb)
        }
        Verb::Del { tenant, mac } => fdb::delete(&mut state, &tenant, mac),
        Verb::List { tenant, json } => {
            let tenant = tenant.map(|name| fdb::l2_tenant(&state, &name)).transpose()?;
            let stations = state.stations(tenant.map(|tenant| tenant.id))?;
            print(&state, &stations, json)
        }
        Verb::Show { tenant, mac, json } => {
            let tenant = fdb::l2_tenant(&state, &tenant)?;
            let mut stations = state.stations(Some(tenant.id))?;
            stations.retain(|(key, _)| key.mac() == mac.0);
            ensure!(!stations.is_empty(), fdb::unknown(&tenant, mac));
            print(&state, &stations, json)
        }
    }
}

fn print(state: &State, stations: &[(FdbKey, FdbEntry)], json: bool) -> anyhow::Result<()> {
    let tenants: HashMap<TenantId, String> =
        state.tenants().into_iter().map(|tenant| (tenant.id, tenant.name)).collect();
    let ways = way::names(state)?;
    let row = |(key, entry): &(FdbKey, FdbEntry)| Row {
        tenant: tenants.get(&key.tenant).cloned().unwrap_or_default(),
        mac: Mac(key.mac()).to_string(),
        via: ways.get(&entry.via).cloned().unwrap_or_default(),
        r#static: entry.is_static(),
        age: State::heard(entry).map(|nanoseconds| nanoseconds / 1_000_000_000),
    };
    let mut rows: Vec<Row> = stations.iter().map(row).collect();
    rows.sort_by(|a, b| (&a.tenant, &a.mac).cmp(&(&b.tenant, &b.mac)));
    if json {
        return output::json(&Document { version: JSON_VERSION, fdb: rows });
    }
    let cells = |row: Row| {
        let age = row.age.map_or_else(|| "static".to_owned(), |age| format!("{age} s"));
        [row.tenant, row.mac, row.via, age]
    };
    output::table(["TENANT", "MAC", "VIA", "HEARD"], rows.into_iter().map(cells))
}
