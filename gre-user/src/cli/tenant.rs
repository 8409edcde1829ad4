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
    state::{State, StateDir, second_key, tenant::Named},
    value::{Key, Rate, Service, Source},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tenant on one tunnel, or on several.
    Add(Add),
    /// Change a tenant's keys while traffic flows.
    ///
    /// To go over from key 10 to key 11 without loss, at both ends: `set NAME --second-in-key 11`; then
    /// `set NAME --key 11 --second-in-key 10`; and once `show NAME` counts nothing more by key 10, `set NAME --no-second-in-key`.
    #[command(verbatim_doc_comment)]
    Set(Set),
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
    /// Another key that packets received may have, while keys are changed; see `xgre tenant set`.
    #[arg(long, value_name = "K")]
    second_in_key: Option<Key>,
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

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("changes").required(true).multiple(true))]
pub struct Set {
    /// Its name.
    name: String,
    /// Its key, in both directions.
    #[arg(long, group = "changes", value_name = "K", conflicts_with_all = ["in_key", "out_key", "no_key"])]
    key: Option<Key>,
    /// The key in packets received; goes with --out-key.
    #[arg(
        long,
        group = "changes",
        value_name = "K",
        requires = "out_key",
        conflicts_with = "no_key"
    )]
    in_key: Option<Key>,
    /// The key in packets sent; goes with --in-key.
    #[arg(
        long,
        group = "changes",
        value_name = "K",
        requires = "in_key",
        conflicts_with = "no_key"
    )]
    out_key: Option<Key>,
    /// Packets carry no key.
    #[arg(long, group = "changes")]
    no_key: bool,
    /// Another key that packets received may have.
    #[arg(long, group = "changes", value_name = "K")]
    second_in_key: Option<Key>,
    /// Packets received may have no other key any more.
    #[arg(long, group = "changes", conflicts_with = "second_in_key")]
    no_second_in_key: bool,
}

impl From<&Set> for manage::tenant::Keys {
    fn from(set: &Set) -> Self {
        let both = (set.key.or(set.in_key), set.key.or(set.out_key));
        let changes = set.no_key || both.0.is_some();
        let second = set.second_in_key.map(Some).or(set.no_second_in_key.then_some(None));
        Self { both: changes.then_some(both), second }
    }
}

impl From<Add> for Tenant {
    fn from(add: Add) -> Self {
        Self {
            name: add.name,
            in_key: add.key.or(add.in_key),
            second_in_key: add.second_in_key,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    second_in_key: Option<u32>,
    out_key: Option<u32>,
    tunnels: Vec<String>,
    ports: Vec<String>,
    /// What was received, by key; of one tenant only.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Vec<Received>>,
}

#[derive(Serialize)]
struct Received {
    key: Option<u32>,
    packets: u64,
    bytes: u64,
}

impl From<second_key::Received> for Received {
    fn from(second_key::Received { key, received }: second_key::Received) -> Self {
        let key = key.map(|GreKey(key)| key);
        Self { key, packets: received.packets, bytes: received.bytes }
    }
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(add) => {
            let tenant = Tenant::from(add);
            tenant.check()?;
            manage::tenant::add(&mut Host::open(dir)?, &tenant).await
        }
        Verb::Set(set) => {
            manage::tenant::set_keys(&mut Host::open(dir)?, &set.name, &(&set).into())
        }
        Verb::Del { name } => Ok(State::open(dir)?.delete_tenant(&name)?),
        Verb::List { json } => {
            let state = State::open(dir)?;
            list(rows(&state, state.tenants())?, json)
        }
        Verb::Show { name, json } => {
            let state = State::open(dir)?;
            show(&state, state.tenant(&name)?, json)
        }
    }
}

fn rows(state: &State, tenants: Vec<Named>) -> anyhow::Result<Vec<Row>> {
    let tunnels: HashMap<TunnelId, String> =
        state.tunnels().into_iter().map(|tunnel| (tunnel.id, tunnel.name)).collect();
    let ports = state.ports()?;
    let key = |field| Option::<GreKey>::from(field).map(|GreKey(key)| key);
    let row = |tenant: Named| {
        let of_tenant = ports.iter().filter(|port| port.record.tenant == tenant.id);
        Ok(Row {
            service: if tenant.tenant.service == tables::Service::L2 { "l2" } else { "l3" },
            in_key: key(tenant.tenant.in_key),
            second_in_key: state.second_key(tenant.id, &tenant.tenant)?.and_then(key),
            out_key: key(tenant.tenant.out_key),
            tunnels: state
                .tunnels_of(&tenant.tenant)
                .iter()
                .filter_map(|id| tunnels.get(id).cloned())
                .collect(),
            ports: of_tenant.map(|port| port.name.clone()).collect(),
            received: None,
            name: tenant.name,
        })
    };
    tenants.into_iter().map(row).collect()
}

fn show(state: &State, tenant: Named, json: bool) -> anyhow::Result<()> {
    let received: Vec<_> =
        state.received_by_key(tenant.id).into_iter().map(Received::from).collect();
    let mut tenants = rows(state, vec![tenant])?;
    if !json {
        list(tenants, json)?;
        output::print(&"")?;
        let cells =
            |it: Received| [output::or_dash(it.key), it.packets.to_string(), it.bytes.to_string()];
        return output::table(
            ["BY KEY", "RX PACKETS", "RX BYTES"],
            received.into_iter().map(cells),
        );
    }
    if let [tenant] = &mut tenants[..] {
        tenant.received = Some(received);
    }
    list(tenants, json)
}

fn list(tenants: Vec<Row>, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&Document { version: JSON_VERSION, tenants });
    }
    let headings = ["NAME", "SERVICE", "IN KEY", "OUT KEY", "TUNNELS", "PORTS"];
    output::table(headings, tenants.into_iter().map(cells))
}

fn cells(row: Row) -> [String; 6] {
    [
        row.name,
        row.service.to_owned(),
        match row.second_in_key {
            Some(second) => format!("{}, {second}", output::or_dash(row.in_key)),
            None => output::or_dash(row.in_key),
        },
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
