//! `xgre fleet`

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    fleet::{
        edit::{self, NewTenant},
        entry::{Endpoint, Host, Path, Port, Range, Status, Tenant},
        options::Options,
        ovs,
    },
    value::{Key, Mac, Prefix, Service},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: Options,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What the hosts make of the fleet: who is there, and what is left out and why.
    Status(Shown),
    /// Tenants of the fleet.
    #[command(subcommand)]
    Tenant(OfTenant),
    /// Hosts of the fleet.
    #[command(subcommand)]
    Host(OfHost),
    /// Ports of the fleet's tenants, and who is behind them.
    #[command(subcommand)]
    Endpoint(OfEndpoint),
    /// Print what makes another endpoint a host of the fleet, as it is now.
    Export {
        /// Commands for Open vSwitch, for a shell of that host.
        #[arg(long, required = true)]
        ovs: bool,
        /// The host.
        #[arg(long, value_name = "NAME")]
        host: String,
        /// The bridge there.
        #[arg(long, value_name = "NAME", default_value = "br-fleet")]
        bridge: String,
    },
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Shown {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum OfTenant {
    /// Define a tenant.
    Add {
        /// Its name.
        name: String,
        /// Its key, in both directions. By default one that nobody has had.
        #[arg(long, value_name = "K")]
        key: Option<Key>,
        /// l2: Ethernet frames; l3: IPv4 and IPv6 packets.
        #[arg(long, value_enum, default_value_t)]
        service: Service,
        /// Hosts that may have endpoints of it. By default any.
        #[arg(long, num_args = 1.., value_name = "NAME")]
        hosts: Vec<String>,
        /// Where the addresses of its endpoints are. By default anywhere.
        #[arg(long, num_args = 1.., value_name = "PREFIX")]
        prefixes: Vec<Prefix>,
    },
    /// Forget a tenant that has no endpoints.
    Del {
        /// Its name.
        name: String,
    },
    /// List all tenants.
    List(Shown),
    /// Show one tenant with its endpoints.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
}

#[derive(Debug, Subcommand)]
enum OfHost {
    /// Say where a host is that does not follow the store itself, as one with Open vSwitch.
    Add {
        /// Its name.
        name: String,
        /// Its addresses of the underlay.
        #[arg(long, required = true, num_args = 1.., value_name = "IP")]
        address: Vec<IpAddr>,
    },
    /// Forget a host that will not come back: its ports and endpoints.
    Del {
        /// Its name.
        name: String,
    },
    /// List the hosts that are there.
    List(Shown),
    /// Show one host.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
}

#[derive(Debug, Subcommand)]
enum OfEndpoint {
    /// Have a host make an interface the port of a tenant.
    Add {
        /// Whose.
        tenant: String,
        /// The interface.
        #[arg(value_name = "IFACE")]
        iface: String,
        /// The host.
        #[arg(long, value_name = "NAME")]
        host: String,
        /// The station behind it. By default that of a created device, else learned.
        #[arg(long)]
        mac: Option<Mac>,
        /// Its addresses.
        #[arg(long, num_args = 1.., value_name = "IP")]
        address: Vec<IpAddr>,
        /// Make the device.
        #[arg(long)]
        create: bool,
    },
    /// Have a host take a port from its tenant.
    Del {
        /// The interface.
        #[arg(value_name = "IFACE")]
        iface: String,
        /// The host.
        #[arg(long, value_name = "NAME")]
        host: String,
    },
    /// Show one endpoint.
    Show {
        /// The interface.
        #[arg(value_name = "IFACE")]
        iface: String,
        /// The host.
        #[arg(long, value_name = "NAME")]
        host: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// List endpoints, of one tenant or of all.
    List {
        /// Only this tenant's.
        tenant: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
}

#[derive(Serialize)]
struct TenantRow {
    name: String,
    #[serde(flatten)]
    tenant: Tenant,
}

#[derive(Serialize)]
struct HostRow {
    name: String,
    #[serde(flatten)]
    host: Host,
    /// Absent: it has not said yet.
    status: Option<Status>,
}

#[derive(Serialize)]
struct EndpointRow {
    tenant: String,
    host: String,
    iface: String,
    #[serde(flatten)]
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<TenantRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<HostRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<Vec<EndpointRow>>,
}

const NOTHING: Document =
    Document { version: JSON_VERSION, tenants: None, hosts: None, endpoints: None };

pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = &mut args.store.connect().await?;
    match args.verb {
        Verb::Status(shown) | Verb::Host(OfHost::List(shown)) => {
            status(hosts(client).await?, shown)
        }
        Verb::Tenant(OfTenant::Add { name, key, service, hosts, prefixes }) => {
            let new = NewTenant { name, key, service, hosts, prefixes };
            let key = edit::add_tenant(client, &new).await?;
            output::print(&format!("tenant {} has key {}", new.name, key.0.0))
        }
        Verb::Tenant(OfTenant::Del { name }) => edit::delete_tenant(client, &name).await,
        Verb::Tenant(OfTenant::List(shown)) => show_tenants(tenants(client).await?, shown),
        Verb::Tenant(OfTenant::Show { name, shown }) => {
            let mut tenants = tenants(client).await?;
            tenants.retain(|row| row.name == name);
            ensure!(!tenants.is_empty(), "there is no tenant {name} in the fleet");
            let endpoints = endpoints(client, Some(&name)).await?;
            if shown.json {
                let (tenants, endpoints) = (Some(tenants), Some(endpoints));
                return output::json(&Document { tenants, endpoints, ..NOTHING });
            }
            show_tenants(tenants, shown)?;
            output::print(&"")?;
            show_endpoints(endpoints, shown)
        }
        Verb::Export { ovs: _, host, bridge } => {
            let (local, remotes, networks) = edit::networks(client, &host).await?;
            output::print(&ovs::commands(&bridge, local, &remotes, &networks).trim_end())
        }
        Verb::Host(OfHost::Add { name, address }) => edit::add_host(client, &name, &address).await,
        Verb::Host(OfHost::Del { name }) => edit::delete_host(client, &name).await,
        Verb::Host(OfHost::Show { name, shown }) => {
            let mut hosts = hosts(client).await?;
            hosts.retain(|row| row.name == name);
            ensure!(!hosts.is_empty(), "host {name} is not there");
            status(hosts, shown)
        }
        Verb::Endpoint(OfEndpoint::Add { tenant, iface, host, mac, address, create }) => {
            let endpoint = Endpoint { mac, addresses: address };
            edit::add_port(client, &host, &iface, &Port { tenant, create, endpoint }).await
        }
        Verb::Endpoint(OfEndpoint::Del { iface, host }) => {
            edit::delete_port(client, &host, &iface).await
        }
        Verb::Endpoint(OfEndpoint::Show { iface, host, shown }) => {
            let found = edit::endpoint(client, &host, &iface).await?;
            let (tenant, endpoint) = found.with_context(|| {
                format!("host {host} has no endpoint {iface}; what stands in its way `xgre fleet host show {host}` tells")
            })?;
            show_endpoints(vec![EndpointRow { tenant, host, iface, endpoint }], shown)
        }
        Verb::Endpoint(OfEndpoint::List { tenant, shown }) => {
            show_endpoints(endpoints(client, tenant.as_deref()).await?, shown)
        }
    }
}

async fn tenants(client: &mut etcd_client::Client) -> anyhow::Result<Vec<TenantRow>> {
    let all = edit::all::<Tenant>(client, &Range::under("tenants", &[])).await?;
    let row = |(path, tenant)| match path {
        Path::Tenant(name) => Some(TenantRow { name, tenant }),
        _ => None,
    };
    Ok(all.into_iter().filter_map(row).collect())
}

async fn hosts(client: &mut etcd_client::Client) -> anyhow::Result<Vec<HostRow>> {
    let all = edit::hosts(client).await?;
    Ok(all.into_iter().map(|(name, host, status)| HostRow { name, host, status }).collect())
}

async fn endpoints(
    client: &mut etcd_client::Client,
    tenant: Option<&str>,
) -> anyhow::Result<Vec<EndpointRow>> {
    let all = edit::endpoints(client, tenant).await?;
    let row = |(tenant, host, iface, endpoint)| EndpointRow { tenant, host, iface, endpoint };
    Ok(all.into_iter().map(row).collect())
}

fn show_tenants(tenants: Vec<TenantRow>, shown: Shown) -> anyhow::Result<()> {
    if shown.json {
        return output::json(&Document { tenants: Some(tenants), ..NOTHING });
    }
    let row = |TenantRow { name, tenant }| {
        let Tenant { key, service, hosts, prefixes } = tenant;
        let service = match service {
            Service::L2 => "l2",
            Service::L3 => "l3",
        };
        let hosts = if hosts.is_empty() { "any".to_owned() } else { hosts.join(", ") };
        [name, key.0.0.to_string(), service.to_owned(), hosts, joined(&prefixes)]
    };
    output::table(["TENANT", "KEY", "SERVICE", "HOSTS", "PREFIXES"], tenants.into_iter().map(row))
}

fn show_endpoints(endpoints: Vec<EndpointRow>, shown: Shown) -> anyhow::Result<()> {
    if shown.json {
        return output::json(&Document { endpoints: Some(endpoints), ..NOTHING });
    }
    let row = |EndpointRow { tenant, host, iface, endpoint }| {
        [tenant, host, iface, output::or_dash(endpoint.mac), joined(&endpoint.addresses)]
    };
    output::table(["TENANT", "HOST", "PORT", "MAC", "ADDRESSES"], endpoints.into_iter().map(row))
}

fn status(hosts: Vec<HostRow>, shown: Shown) -> anyhow::Result<()> {
    if shown.json {
        return output::json(&Document { hosts: Some(hosts), ..NOTHING });
    }
    let row = |HostRow { name, host, status }: &HostRow| {
        let number = |of: fn(&Status) -> usize| output::or_dash(status.as_ref().map(of));
        let tenants = number(|it| it.tenants);
        let endpoints = number(|it| it.endpoints);
        let (peers, problems) = (number(|it| it.peers), number(|it| it.problems.len()));
        [name.clone(), joined(&host.addresses), tenants, endpoints, peers, problems]
    };
    let headings = ["HOST", "ADDRESSES", "TENANTS", "ENDPOINTS", "PEERS", "PROBLEMS"];
    output::table(headings, hosts.iter().map(row))?;
    for HostRow { name, status, .. } in &hosts {
        for problem in status.iter().flat_map(|status| &status.problems) {
            output::print(&format!("{name}: {problem}"))?;
        }
    }
    Ok(())
}

fn joined(list: &[impl ToString]) -> String {
    let texts: Vec<_> = list.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}
