//! `xgre tenant`

use std::collections::HashMap;

use clap::Subcommand;
use gre_common::{
    tables::{self, TunnelId},
    wire::gre::GreKey,
};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    config::model::Tenant,
    manage::{self, Host},
    state::{State, StateDir, tenant::Named},
    value::{Key, Rate, Service, Source},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tenant on one tunnel, or on several.
    Add(Add),
    /// Delete a tenant that has no port.
    Del {
        /// Its name.
        name: String,
    },
    /// List all tenants.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one tenant.
    Show {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("keys").required(true).multiple(true))]
pub struct Add {
    /// Its name.
    name: String,
    /// Its key, in both directions: a number, 0x and hexadecimal digits, or a dotted quad.
    #[arg(long, group = "keys", value_name = "K", conflicts_with_all = ["in_key", "out_key", "no_key"])]
    key: Option<Key>,
    /// The key in packets received; goes with --out-key.
    #[arg(long, group = "keys", value_name = "K", requires = "out_key", conflicts_with = "no_key")]
    in_key: Option<Key>,
    /// The key in packets sent; goes with --in-key.
    #[arg(long, group = "keys", value_name = "K", requires = "in_key", conflicts_with = "no_key")]
    out_key: Option<Key>,
    /// Packets carry no key, which is not the same as key 0.
    #[arg(long, group = "keys")]
    no_key: bool,
    /// Its tunnel. With several, frames of l2 go to where their destination was heard, packets of l3 by routes.
    #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
    tunnel: Vec<String>,
    /// l2: Ethernet frames; l3: IPv4 and IPv6 packets.
    #[arg(long, value_enum, default_value_t)]
    service: Service,
    /// From whom its packets may come, those it sends and those it receives: prefixes, for l2 MAC addresses too. By default from anyone.
    #[arg(long, num_args = 1.., value_name = "PREFIX|MAC")]
    allow_source: Vec<Source>,
    /// How much it may send, and how much it may receive, as in 100mbit. By default as much as there is.
    #[arg(long)]
    rate: Option<Rate>,
}

impl From<Add> for Tenant {
    fn from(add: Add) -> Self {
        Self {
            name: add.name,
            in_key: add.key.or(add.in_key),
            out_key: add.key.or(add.out_key),
            tunnels: add.tunnel,
            service: add.service,
            sources: add.allow_source,
            rate: add.rate,
        }
    }
}

#[derive(Serialize)]
struct Document {
    version: u32,
    tenants: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    service: &'static str,
    in_key: Option<u32>,
    out_key: Option<u32>,
    tunnels: Vec<String>,
    ports: Vec<String>,
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(add) => {
            let tenant = Tenant::from(add);
            tenant.check()?;
            manage::tenant::add(&mut Host::open(dir)?, &tenant).await
        }
        Verb::Del { name } => Ok(State::open(dir)?.delete_tenant(&name)?),
        Verb::List { json } => {
            let state = State::open(dir)?;
            print(&state, state.tenants(), json)
        }
        Verb::Show { name, json } => {
            let state = State::open(dir)?;
            print(&state, vec![state.tenant(&name)?], json)
        }
    }
}

fn print(state: &State, tenants: Vec<Named>, json: bool) -> anyhow::Result<()> {
    let tunnels: HashMap<TunnelId, String> =
        state.tunnels().into_iter().map(|tunnel| (tunnel.id, tunnel.name)).collect();
    let ports = state.ports()?;
    let row = |tenant: Named| {
        let key = |field| Option::<GreKey>::from(field).map(|GreKey(key)| key);
        let of_tenant = ports.iter().filter(|port| port.record.tenant == tenant.id);
        Row {
            name: tenant.name,
            service: if tenant.tenant.service == tables::Service::L2 { "l2" } else { "l3" },
            in_key: key(tenant.tenant.in_key),
            out_key: key(tenant.tenant.out_key),
            tunnels: state
                .tunnels_of(&tenant.tenant)
                .iter()
                .filter_map(|id| tunnels.get(id).cloned())
                .collect(),
            ports: of_tenant.map(|port| port.name.clone()).collect(),
        }
    };
    let rows = tenants.into_iter().map(row);
    if json {
        return output::json(&Document { version: JSON_VERSION, tenants: rows.collect() });
    }
    output::table(["NAME", "SERVICE", "IN KEY", "OUT KEY", "TUNNELS", "PORTS"], rows.map(cells))
}

fn cells(row: Row) -> [String; 6] {
    [
        row.name,
        row.service.to_owned(),
        output::or_dash(row.in_key),
        output::or_dash(row.out_key),
        several(&row.tunnels),
        several(&row.ports),
    ]
}

/// The first few of a list.
fn several(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names {
        [] => "-".to_owned(),
        _ if names.len() <= SHOWN => names.join(", "),
        _ => format!("{}, and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
    }
}
