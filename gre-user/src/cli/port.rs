//! `xgre port`

use std::collections::HashMap;

use clap::Subcommand;
use gre_common::tables::{Delivery, IfIndex, Service, TenantId};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    config::{self, model::Syntax},
    datapath,
    manage::{Host, port},
    state::{State, StateDir, port::Named, tenant},
    value::Mac,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an interface the port of a tenant.
    Add(config::model::Port),
    /// Take a port from its tenant; a device that xgre made is removed.
    Del {
        /// The tenant.
        tenant: String,
        /// The interface.
        iface: String,
    },
    /// List all ports.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one port.
    Show {
        /// The tenant.
        tenant: String,
        /// The interface.
        iface: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Document {
    version: u32,
    ports: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    tenant: String,
    ifindex: u32,
    created: bool,
    mode: &'static str,
    delivery: &'static str,
    station: Option<String>,
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(port) => add(dir, &port).await,
        Verb::Del { tenant, iface } => delete(dir, &tenant, &iface).await,
        Verb::List { json } => {
            let state = State::open(dir)?;
            print(dir, &state, state.ports()?, json)
        }
        Verb::Show { tenant, iface, json } => {
            let state = State::open(dir)?;
            print(dir, &state, vec![state.port(&tenant, &iface)?], json)
        }
    }
}

async fn add(dir: &StateDir, port: &config::model::Port) -> anyhow::Result<()> {
    port.check(Syntax::Command)?;
    port::add(&mut Host::open(dir)?, port).await
}

async fn delete(dir: &StateDir, tenant: &str, iface: &str) -> anyhow::Result<()> {
    port::delete(&mut Host::open(dir)?, tenant, iface).await
}

fn print(dir: &StateDir, state: &State, ports: Vec<Named>, json: bool) -> anyhow::Result<()> {
    let tenants: HashMap<TenantId, tenant::Named> =
        state.tenants().into_iter().map(|tenant| (tenant.id, tenant)).collect();
    let row = |named: Named| {
        let tenant = tenants.get(&named.record.tenant);
        let port = named.record.port;
        let is_l3 = tenant.is_some_and(|tenant| tenant.tenant.service == Service::L3);
        let IfIndex(ifindex) = named.ifindex();
        let has_xdp = datapath::port::has_xdp(dir, named.ifindex());
        Row {
            name: named.name,
            tenant: tenant.map(|tenant| tenant.name.clone()).unwrap_or_default(),
            ifindex,
            created: named.record.created != 0,
            mode: if has_xdp { "native" } else { "tc" },
            delivery: if port.delivery == Delivery::REDIRECT { "redirect" } else { "pass" },
            station: is_l3.then(|| Mac(port.ends.dst()).to_string()),
        }
    };
    let rows = ports.into_iter().map(row);
    if json {
        return output::json(&Document { version: JSON_VERSION, ports: rows.collect() });
    }
    let cells = |row: Row| {
        let created = if row.created { "yes" } else { "no" };
        let station = output::or_dash(row.station);
        let [mode, delivery] = [row.mode, row.delivery].map(str::to_owned);
        [row.name, row.tenant, created.to_owned(), mode, delivery, station]
    };
    output::table(["NAME", "TENANT", "CREATED", "MODE", "DELIVERY", "STATION"], rows.map(cells))
}
