//! What people and scripts read in the store and write there: each change is one transaction.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, bail, ensure};
use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse};
use gre_common::wire::gre::GreKey;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    entry::{Endpoint, Host, Path, Port, Range, Status, Tenant, published},
    options::OPERATIONS,
    ovs::Network,
    wanted::tunnel_to,
};
use crate::{
    config::model,
    state::name,
    value::{Key, PortMode, Prefix, Service},
};

/// Entries that are read at a time: an answer has bounds.
const PAGE: i64 = 5000;
/// How often somebody else may be faster.
const TRIES: u32 = 100;

/// A tenant that is to be.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its name.
    pub name: String,
    /// Its key; `None`: one that nobody has had.
    pub key: Option<Key>,
    /// What its packets are.
    pub service: Service,
    /// Hosts that may have endpoints of it; none: any.
    pub hosts: Vec<String>,
    /// Where the addresses of its endpoints are; none: anywhere.
    pub prefixes: Vec<Prefix>,
}

/// Defines a tenant, and gives its key.
///
/// # Errors
/// Its name or key is taken, or the store refuses; nothing has changed then.
pub async fn add_tenant(client: &mut Client, new: &NewTenant) -> anyhow::Result<Key> {
    let NewTenant { name, key, service, hosts, prefixes } = new;
    name::parse(name)?;
    for host in hosts {
        check_host(host)?;
    }
    let mut least = 0;
    for _ in 0..TRIES {
        let (next, counted) = next_key(client).await?;
        let chosen = key.map_or(next.max(least), |Key(GreKey(key))| key);
        let tenant = Tenant {
            key: Key(GreKey(chosen)),
            service: *service,
            hosts: hosts.clone(),
            prefixes: prefixes.clone(),
        };
        let (at, of_key) = (Path::Tenant(name.clone()), Path::Key(chosen));
        let mut conditions = vec![is_absent(&at), is_absent(&of_key)];
        let mut writes = vec![put(&at, &tenant)?, put(&of_key, name)?];
        if key.is_none() {
            let path = Path::NextKey.to_string();
            conditions.push(Compare::mod_revision(path, CompareOp::Equal, counted));
            writes.push(put(&Path::NextKey, &chosen.saturating_add(1))?);
        }
        let reads = [&at, &of_key].map(|path| TxnOp::get(path.to_string(), None));
        let done = client.txn(Txn::new().when(conditions).and_then(writes).or_else(reads)).await?;
        if done.succeeded() {
            return Ok(tenant.key);
        }
        let found = done.op_responses().into_iter().map(|answer| match answer {
            TxnOpResponse::Get(found) => {
                found.kvs().first().map(|kv| String::from_utf8_lossy(kv.value()).into_owned())
            }
            _ => None,
        });
        let [there, owner] = found.collect::<Vec<_>>().try_into().unwrap_or([None, None]);
        ensure!(there.is_none(), "tenant {name} exists already");
        match (owner, key) {
            (Some(owner), Some(key)) => {
                bail!("the key {} is that of tenant {owner}; give another, or none", key.0.0)
            }
            (Some(_), None) => least = chosen.saturating_add(1),
            (None, _) => {}
        }
    }
    bail!("others define tenants all the time; try again")
}

/// Where to look for a free key, and the revision of that.
async fn next_key(client: &mut Client) -> anyhow::Result<(u32, i64)> {
    let found = client.get(Path::NextKey.to_string(), None).await?;
    Ok(found
        .kvs()
        .first()
        .map_or((1, 0), |kv| (serde_json::from_slice(kv.value()).unwrap_or(1), kv.mod_revision())))
}

/// Forgets a tenant that has no endpoints. Its key is free again.
///
/// # Errors
/// There is none, it has endpoints, or the store refuses.
pub async fn delete_tenant(client: &mut Client, name: &str) -> anyhow::Result<()> {
    let at = Path::Tenant(name.to_owned());
    let (tenant, revision) =
        read::<Tenant>(client, &at).await?.with_context(|| unknown_tenant(name))?;
    let endpoints = Range::under("endpoints", &[name]).path;
    let conditions = [
        Compare::mod_revision(at.to_string(), CompareOp::Equal, revision),
        Compare::create_revision(endpoints, CompareOp::Equal, 0).with_prefix(),
    ];
    let GreKey(key) = tenant.key.0;
    let writes = [at, Path::Key(key)].map(|path| TxnOp::delete(path.to_string(), None));
    let done = client.txn(Txn::new().when(conditions).and_then(writes)).await?;
    ensure!(
        done.succeeded(),
        "tenant {name} has endpoints; `xgre fleet endpoint list {name}` shows them; delete them first"
    );
    Ok(())
}

/// Has a host make an interface the port of a tenant.
///
/// # Errors
/// It is a port already, there is no such tenant, it may have none there, or the store refuses.
pub async fn add_port(
    client: &mut Client,
    host: &str,
    iface: &str,
    port: &Port,
) -> anyhow::Result<()> {
    check_host(host)?;
    let as_item = model::Port {
        tenant: port.tenant.clone(),
        name: iface.to_owned(),
        create: port.create,
        vlan: None,
        mac: port.endpoint.mac,
        mode: PortMode::Auto,
    };
    as_item.check(model::Syntax::Command)?;
    let owner = Path::Tenant(port.tenant.clone());
    let (tenant, revision) =
        read::<Tenant>(client, &owner).await?.with_context(|| unknown_tenant(&port.tenant))?;
    ensure!(
        tenant.may_be_at(host),
        "tenant {} may have no endpoints at host {host}, only at {}",
        port.tenant,
        tenant.hosts.join(", ")
    );
    for address in &port.endpoint.addresses {
        ensure!(tenant.may_have(*address), "{address} is not an address of tenant {}", port.tenant);
    }
    let at = Path::Port { host: host.to_owned(), iface: iface.to_owned() };
    let conditions =
        [is_absent(&at), Compare::mod_revision(owner.to_string(), CompareOp::Equal, revision)];
    let mut writes = vec![put(&at, port)?];
    if is_static(client, host).await? {
        let [endpoint, claim] = published(host, &port.tenant, iface);
        writes.extend([put(&endpoint, &port.endpoint)?, put(&claim, &true)?]);
    }
    let done = client.txn(Txn::new().when(conditions).and_then(writes)).await?;
    ensure!(
        done.succeeded(),
        "{iface} of host {host} is a port already, or tenant {} has just changed; delete the port first",
        port.tenant
    );
    Ok(())
}

/// Has a host take a port from its tenant.
///
/// # Errors
/// It is none, or the store refuses.
pub async fn delete_port(client: &mut Client, host: &str, iface: &str) -> anyhow::Result<()> {
    let at = Path::Port { host: host.to_owned(), iface: iface.to_owned() };
    let port = read::<Port>(client, &at).await?;
    let (port, _) = port.with_context(|| format!("{iface} is no port of host {host}"))?;
    let mut paths = vec![at];
    if is_static(client, host).await? {
        paths.extend(published(host, &port.tenant, iface));
    }
    let deletes: Vec<_> = paths.iter().map(|path| TxnOp::delete(path.to_string(), None)).collect();
    client.txn(Txn::new().and_then(deletes)).await?;
    Ok(())
}

/// Says where a host is that does not follow the store itself.
///
/// # Errors
/// It cannot be called so, is there by itself, or the store refuses.
pub async fn add_host(client: &mut Client, name: &str, addresses: &[IpAddr]) -> anyhow::Result<()> {
    check_host(name)?;
    let at = Path::Host(name.to_owned());
    let there = read::<Host>(client, &at).await?;
    ensure!(
        there.is_none_or(|(host, _)| host.is_static),
        "host {name} follows the store, and says itself where it is"
    );
    let host = Host { addresses: addresses.to_vec(), is_static: true };
    client.txn(Txn::new().and_then([put(&at, &host)?])).await?;
    Ok(())
}

async fn is_static(client: &mut Client, host: &str) -> anyhow::Result<bool> {
    let found = read::<Host>(client, &Path::Host(host.to_owned())).await?;
    Ok(found.is_some_and(|(host, _)| host.is_static))
}

/// What a host with Open vSwitch has to be told: its own address, those of the others, and its networks.
///
/// # Errors
/// It is not known, or the store refuses.
pub async fn networks(
    client: &mut Client,
    host: &str,
) -> anyhow::Result<(IpAddr, BTreeMap<String, IpAddr>, Vec<Network>)> {
    let hosts: BTreeMap<_, _> =
        hosts(client).await?.into_iter().map(|(name, host, _)| (name, host.addresses)).collect();
    let unknown = || format!("host {host} is not known; `xgre fleet host add` says where it is");
    let local = *hosts.get(host).and_then(|it| it.first()).with_context(unknown)?;
    let same = |it: &&IpAddr| it.is_ipv4() == local.is_ipv4();
    let reached = |(name, all): (String, Vec<IpAddr>)| Some((name, *all.iter().find(same)?));
    let remotes: BTreeMap<_, _> = hosts.into_iter().filter_map(reached).collect();
    let mut networks = Vec::new();
    for (path, tenant) in all::<Tenant>(client, &Range::under("tenants", &[])).await? {
        let Path::Tenant(name) = path else { continue };
        let mut network =
            Network { key: tenant.key, own: BTreeMap::new(), others: BTreeMap::new() };
        for (_, at, iface, endpoint) in endpoints(client, Some(&name)).await? {
            if at == host {
                network.own.insert(iface, endpoint.mac);
            } else if remotes.contains_key(&at) {
                network.others.entry(at).or_default().extend(endpoint.mac);
            }
        }
        if !network.own.is_empty() {
            ensure!(
                tenant.service == Service::L2,
                "tenant {name} is l3, and Open vSwitch's GRE ports carry frames; take its ports from host {host}"
            );
            networks.push(network);
        }
    }
    Ok((local, remotes, networks))
}

/// Forgets a host that will not come back: its ports, its endpoints, and where it is.
///
/// # Errors
/// Nothing is known of it, or the store refuses.
pub async fn delete_host(client: &mut Client, host: &str) -> anyhow::Result<()> {
    let mut writes: Vec<_> = [Path::Host(host.to_owned()), Path::Status(host.to_owned())]
        .map(|path| TxnOp::delete(path.to_string(), None))
        .into();
    let mut known = read::<Host>(client, &Path::Host(host.to_owned())).await?.is_some();
    for kind in ["ports", "claims"] {
        let range = Range::under(kind, &[host]);
        for (path, _) in paths(client, &range).await? {
            known = true;
            writes.push(TxnOp::delete(path.to_string(), None));
            if let Path::Claim { host, tenant, iface } = path {
                let [endpoint, _] = published(&host, &tenant, &iface);
                writes.push(TxnOp::delete(endpoint.to_string(), None));
            }
        }
    }
    ensure!(known, "nothing is known of host {host}");
    for some in writes.chunks(OPERATIONS) {
        client.txn(Txn::new().and_then(some)).await?;
    }
    Ok(())
}

/// All entries of a kind that can be read, by their paths.
///
/// # Errors
/// The store refuses.
pub async fn all<T: DeserializeOwned>(
    client: &mut Client,
    range: &Range,
) -> anyhow::Result<Vec<(Path, T)>> {
    let read = |(path, text): (Path, Vec<u8>)| Some((path, serde_json::from_slice(&text).ok()?));
    Ok(paths(client, range).await?.into_iter().filter_map(read).collect())
}

/// What is said of each host: where it is, if it is there, and what it makes of it all.
///
/// # Errors
/// The store refuses.
pub async fn hosts(client: &mut Client) -> anyhow::Result<Vec<(String, Host, Option<Status>)>> {
    let statuses = all::<Status>(client, &Range::under("status", &[])).await?;
    let mut statuses: BTreeMap<_, _> = statuses.into_iter().collect();
    let there = all::<Host>(client, &Range::under("hosts", &[])).await?;
    let row = |(path, host)| match path {
        Path::Host(name) => {
            let status = statuses.remove(&Path::Status(name.clone()));
            Some((name, host, status))
        }
        _ => None,
    };
    Ok(there.into_iter().filter_map(row).collect())
}

/// Endpoints, of a tenant or of all: tenant, host, interface, who is behind it.
///
/// # Errors
/// The store refuses.
pub async fn endpoints(
    client: &mut Client,
    tenant: Option<&str>,
) -> anyhow::Result<Vec<(String, String, String, Endpoint)>> {
    let range = Range::under("endpoints", &tenant.into_iter().collect::<Vec<_>>());
    let found = all::<Endpoint>(client, &range).await?;
    let row = |(path, endpoint)| match path {
        Path::Endpoint { tenant, host, iface } => Some((tenant, host, iface, endpoint)),
        _ => None,
    };
    Ok(found.into_iter().filter_map(row).collect())
}

/// Who is behind a host's interface, and of which tenant.
///
/// # Errors
/// The store refuses.
pub async fn endpoint(
    client: &mut Client,
    host: &str,
    iface: &str,
) -> anyhow::Result<Option<(String, Endpoint)>> {
    for (path, _) in paths(client, &Range::under("claims", &[host])).await? {
        if let Path::Claim { tenant, iface: at, .. } = path
            && at == iface
        {
            let [endpoint, _] = published(host, &tenant, iface);
            return Ok(read(client, &endpoint).await?.map(|(endpoint, _)| (tenant, endpoint)));
        }
    }
    Ok(None)
}

/// Paths and texts.
async fn paths(client: &mut Client, range: &Range) -> anyhow::Result<Vec<(Path, Vec<u8>)>> {
    let entry =
        |kv: &etcd_client::KeyValue| Some((Path::parse(kv.key_str().ok()?)?, kv.value().to_vec()));
    let (mut from, mut revision, mut all) = (range.path.clone().into_bytes(), 0, Vec::new());
    loop {
        // All pages as they were at the same time.
        let options = GetOptions::new().with_limit(PAGE).with_revision(revision);
        let options = if range.is_prefix() { options.with_range(range.end()) } else { options };
        let found = client.get(from, Some(options)).await?;
        all.extend(found.kvs().iter().filter_map(entry));
        let Some(last) = found.kvs().last().filter(|_| found.more()) else { return Ok(all) };
        from = [last.key(), &[0]].concat();
        revision = found.header().map_or(0, etcd_client::ResponseHeader::revision);
    }
}

/// An entry and its revision, if it is there.
async fn read<T: DeserializeOwned>(
    client: &mut Client,
    path: &Path,
) -> anyhow::Result<Option<(T, i64)>> {
    let found = client.get(path.to_string(), None).await?;
    let Some(kv) = found.kvs().first() else { return Ok(None) };
    let value =
        serde_json::from_slice(kv.value()).with_context(|| format!("{path} cannot be read"))?;
    Ok(Some((value, kv.mod_revision())))
}

fn put(path: &Path, value: &impl Serialize) -> anyhow::Result<TxnOp> {
    Ok(TxnOp::put(path.to_string(), serde_json::to_string(value)?, None))
}

fn is_absent(path: &Path) -> Compare {
    Compare::create_revision(path.to_string(), CompareOp::Equal, 0)
}

fn unknown_tenant(name: &str) -> String {
    format!(
        "there is no tenant {name} in the fleet; `xgre fleet tenant list` shows those there are"
    )
}

/// A host's name becomes part of a tunnel's.
fn check_host(name: &str) -> anyhow::Result<()> {
    name::parse(&tunnel_to(name))
        .map(drop)
        .with_context(|| format!("{name} cannot be the name of a host in a fleet"))
}
