//! The state as a file.

use std::{collections::BTreeMap, fmt::Write as _};

use gre_common::{
    tables::{
        FdbEntry, FdbKey, IfIndex, IfName, KeyField, PortRecord, TenantId, TransitAction, TunnelId,
        TunnelOptions, Via,
    },
    wire::gre::GreKey,
};
use toml::Table;

use super::model::{
    Fdb, Item, Kind, Model, Neigh, Port, Route, Tenant, Transit, Tunnel,
    transit::{Action, Packets},
};
use crate::{
    datapath,
    manage::{Host, device, way},
    netlink::{Netlink, link::Link},
    state::{self, State, name, transit},
    value::{Ecn, Keepalive, Key, Mac, Mtu, PortMode, Prefix, Rate, Source, Tos, Ttl},
};

/// Everything that is configured.
///
/// # Errors
/// The kernel refuses.
pub async fn model(host: &Host) -> anyhow::Result<Model> {
    let mut items: Vec<_> = host.state.tunnels().into_iter().map(tunnel).collect();
    items.extend(tenants(&host.state)?);
    items.extend(ports(&host.state, &host.netlink).await?);
    items.extend(routes(&host.state)?);
    items.extend(stations(&host.state)?);
    items.extend(neighbours(&host.state)?);
    items.extend(transit_rules(&host.state, &host.netlink).await?);
    Ok(items.into_iter().map(|item| (item.id(), item)).collect())
}

/// Says of every port what the state would say of it: a mode that is what `auto` makes of the device is `auto`.
///
/// # Errors
/// The kernel does not answer.
pub async fn settle(model: &mut Model, host: &Host) -> anyhow::Result<()> {
    for item in model.values_mut() {
        let Item::Port(port) = item else { continue };
        if port.mode == PortMode::Auto {
            continue;
        }
        let link = if port.create { None } else { host.netlink.link(&port.name).await? };
        if port.create || link.is_some_and(|link| is_auto(port.mode, &link)) {
            port.mode = PortMode::Auto;
        }
    }
    Ok(())
}

/// A file of it.
///
/// # Errors
/// A value has no form in TOML.
pub fn text(model: &Model) -> anyhow::Result<String> {
    let mut text = String::new();
    for item in model.values() {
        let end = if text.is_empty() { "" } else { "\n" };
        write!(text, "{end}[[{}]]\n{}", item.id().kind.name(), item.brief()?)?;
    }
    Ok(text)
}

/// The same by kind, for JSON.
///
/// # Errors
/// A value has no form in TOML.
pub fn tables(model: &Model) -> anyhow::Result<BTreeMap<&'static str, Vec<Table>>> {
    let mut tables = BTreeMap::from(Kind::ALL.map(|kind| (kind.name(), Vec::new())));
    for item in model.values() {
        tables.entry(item.id().kind.name()).or_default().push(item.brief()?);
    }
    Ok(tables)
}

fn tunnel(state::tunnel::Named { name, tunnel, .. }: state::tunnel::Named) -> Item {
    let has = |option| tunnel.options.has(option);
    let is_compatible = has(TunnelOptions::ECN_COMPATIBILITY);
    Item::Tunnel(Tunnel {
        name,
        local: tunnel.local.into(),
        remote: tunnel.remote.into(),
        ttl: Ttl(tunnel.ttl),
        tos: Tos(tunnel.tos),
        ecn: if is_compatible { Ecn::Compatibility } else { Ecn::Normal },
        df: tunnel.df.into(),
        csum: has(TunnelOptions::CHECKSUM),
        seq: has(TunnelOptions::SEQUENCE),
        mtu: (tunnel.mtu != 0).then_some(Mtu(tunnel.mtu)),
        mss_clamp: (!has(TunnelOptions::KEEP_MSS)).into(),
        pmtudisc: (!has(TunnelOptions::NO_PMTU_DISCOVERY)).into(),
        keepalive: Keepalive::of(&tunnel.keepalive),
    })
}

fn tenants(state: &State) -> anyhow::Result<Vec<Item>> {
    let sources = state.sources()?;
    let tunnels: BTreeMap<TunnelId, String> =
        state.tunnels().into_iter().map(|tunnel| (tunnel.id, tunnel.name)).collect();
    let tenant = |state::tenant::Named { name, id, tenant }: state::tenant::Named| {
        let sources = sources.get(&id).map(Vec::as_slice).unwrap_or_default();
        Ok(Item::Tenant(Tenant {
            name,
            in_key: key(tenant.in_key),
            second_in_key: state.second_key(id, &tenant)?.and_then(key),
            out_key: key(tenant.out_key),
            tunnels: state
                .tunnels_of(&tenant)
                .iter()
                .filter_map(|id| tunnels.get(id).cloned())
                .collect(),
            service: tenant.service.into(),
            sources: sources.iter().copied().map(Source).collect(),
            rate: state.rate(id)?.map(Rate),
        }))
    };
    state.tenants().into_iter().map(tenant).collect()
}

async fn ports(state: &State, netlink: &Netlink) -> anyhow::Result<Vec<Item>> {
    let tenants: BTreeMap<_, _> =
        state.tenants().into_iter().map(|tenant| (tenant.id, tenant)).collect();
    let mut items = Vec::new();
    for state::port::Named { name, record } in state.ports()? {
        let Some(tenant) = tenants.get(&record.tenant) else { continue };
        let station = Mac(record.port.ends.dst());
        let (create, mode) = (record.created == PortRecord::PAIR, record.mode.into());
        let vlan = if record.created == PortRecord::VLAN { device::vlan_of(&name) } else { None };
        let (name, vlan) = match vlan {
            Some((below, vid)) => (below.to_owned(), Some(vid)),
            None => (name, None),
        };
        let link = if create { None } else { netlink.link_by_index(record.port.ifindex).await? };
        let is_auto = create || link.is_some_and(|link| is_auto(mode, &link));
        items.push(Item::Port(Port {
            tenant: tenant.name.clone(),
            name,
            create,
            vlan,
            mac: (record.follows_peer == 0).then_some(station),
            mode: if is_auto { PortMode::Auto } else { mode },
        }));
    }
    Ok(items)
}

fn routes(state: &State) -> anyhow::Result<Vec<Item>> {
    let tenants = tenant_names(state);
    let ways = way::names(state)?;
    let route = |route: state::route::Entry| {
        let (ports, tunnels): (Vec<Via>, Vec<_>) =
            route.ways.iter().partition(|way| way.to_port().is_some());
        let named = |all: Vec<Via>| all.iter().filter_map(|way| ways.get(way).cloned()).collect();
        Some(Item::Route(Route {
            tenant: tenants.get(&route.tenant)?.clone(),
            prefix: Prefix(route.prefix),
            tunnels: named(tunnels),
            ports: named(ports),
        }))
    };
    Ok(state.routes(None)?.into_iter().filter_map(route).collect())
}

fn neighbours(state: &State) -> anyhow::Result<Vec<Item>> {
    let tenants = tenant_names(state);
    let neigh = |entry: state::neighbour::Entry| {
        let tenant = tenants.get(&entry.tenant)?.clone();
        Some(Item::Neigh(Neigh { tenant, ip: entry.address, mac: entry.neighbour.mac().map(Mac) }))
    };
    Ok(state.neighbours(None)?.into_iter().filter_map(neigh).collect())
}

fn tenant_names(state: &State) -> BTreeMap<TenantId, String> {
    state.tenants().into_iter().map(|tenant| (tenant.id, tenant.name)).collect()
}

/// Those that someone said.
fn stations(state: &State) -> anyhow::Result<Vec<Item>> {
    let tenants = tenant_names(state);
    let ways = way::names(state)?;
    let station = |(key, entry): (FdbKey, FdbEntry)| {
        let name = ways.get(&entry.via).cloned();
        let is_port = entry.via.to_port().is_some();
        Some(Item::Fdb(Fdb {
            tenant: tenants.get(&key.tenant)?.clone(),
            mac: Mac(key.mac()),
            tunnel: name.clone().filter(|_| !is_port),
            port: name.filter(|_| is_port),
        }))
    };
    let said = state.stations(None)?.into_iter().filter(|(_, entry)| entry.is_static());
    Ok(said.filter_map(station).collect())
}

fn is_auto(mode: PortMode, link: &Link) -> bool {
    datapath::port::mode(mode.into(), link) == datapath::port::mode(PortMode::Auto.into(), link)
}

async fn transit_rules(state: &State, netlink: &Netlink) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    for (packets, rule) in state.transit_rules()? {
        let action = match rule.action {
            TransitAction::REDIRECT => {
                Action::Redirect(interface(netlink, rule.target, &rule.target_name).await?)
            }
            TransitAction::DROP => Action::Drop,
            _ => Action::Count,
        };
        let packets = Packets {
            iface: interface(netlink, packets.ifindex, &rule.iface).await?,
            key: key(packets.key),
            remote: transit::address(packets.remote),
            local: transit::address(packets.local),
        };
        items.push(Item::Transit(Transit { packets, action }));
    }
    Ok(items)
}

/// The name of an interface now; once it is gone, the one it had.
async fn interface(netlink: &Netlink, ifindex: IfIndex, was: &IfName) -> anyhow::Result<String> {
    let now = match ifindex {
        IfIndex::NONE => None,
        ifindex => netlink.link_by_index(ifindex).await?,
    };
    Ok(now.map_or_else(|| name::text(was), |link| link.name))
}

fn key(field: KeyField) -> Option<Key> {
    Option::<GreKey>::from(field).map(Key)
}
