//! `xgre tenant`

use std::collections::HashMap;

use clap::{Subcommand, ValueEnum};
use gre_common::{
    tables::{Service, TunnelId},
    wire::gre::GreKey,
};
use serde::Serialize;

use super::{
    output::{self, JSON_VERSION},
    value,
};
use crate::{
    datapath::flood,
    netlink::Netlink,
    state::{
        State, StateDir,
        tenant::{Named, New},
    },
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tenant on one tunnel, or l2 on several.
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
    #[arg(long, group = "keys", value_parser = value::key, value_name = "K", conflicts_with_all = ["in_key", "out_key", "no_key"])]
    key: Option<GreKey>,
    /// The key in packets received; goes with --out-key.
    #[arg(long, group = "keys", value_parser = value::key, value_name = "K", requires = "out_key", conflicts_with = "no_key")]
    in_key: Option<GreKey>,
    /// The key in packets sent; goes with --in-key.
    #[arg(long, group = "keys", value_parser = value::key, value_name = "K", requires = "in_key", conflicts_with = "no_key")]
    out_key: Option<GreKey>,
    /// Packets carry no key, which is not the same as key 0.
    #[arg(long, group = "keys")]
    no_key: bool,
    /// Its tunnel; several for l2, whose frames go to where their destination was heard.
    #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
    tunnel: Vec<String>,
    /// l2: Ethernet frames; l3: IPv4 and IPv6 packets.
    #[arg(long, value_enum, default_value = "l3")]
    service: ServiceName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceName {
    L2,
    L3,
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
    let mut state = State::open(dir)?;
    match verb {
        Verb::Add(add) => run_add(dir, &mut state, &add).await,
        Verb::Del { name } => Ok(state.delete_tenant(&name)?),
        Verb::List { json } => print(&state, state.tenants(), json),
        Verb::Show { name, json } => print(&state, vec![state.tenant(&name)?], json),
    }
}

async fn run_add(dir: &StateDir, state: &mut State, add: &Add) -> anyhow::Result<()> {
    let service = match add.service {
        ServiceName::L2 => Service::L2,
        ServiceName::L3 => Service::L3,
    };
    let new = New { service, in_key: add.key.or(add.in_key), out_key: add.key.or(add.out_key) };
    state.add_tenant(&add.name, &add.tunnel, new)?;
    if add.tunnel.len() > 1
        && let Err(error) = flood::ensure(dir, state, &Netlink::connect()?).await
    {
        state.delete_tenant(&add.name)?;
        return Err(error.into());
    }
    Ok(())
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
            service: if tenant.tenant.service == Service::L2 { "l2" } else { "l3" },
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
