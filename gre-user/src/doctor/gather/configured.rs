//! Tunnels, tenants and ports, as the state or a file has them.

use std::collections::{BTreeMap, BTreeSet};

use gre_common::{
    encap,
    tables::{self, Delivery, IfIndex, PortMode, Service, TenantId, TunnelId},
    wire::ethernet,
};

use crate::{
    config::model::{Item, Model, Port, Tenant, Tunnel},
    datapath,
    doctor::facts::{self, Fits, Host},
    manage::{self, device::Shape},
    netlink::link::Link,
    state::{self, State, port::Origin},
};

/// What is configured.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// Whether programs work by it: it is the state's.
    pub is_live: bool,
    /// Tunnels, in the order of their names.
    pub tunnels: Vec<(String, tables::Tunnel)>,
    /// Tenants, in the order of their names.
    pub tenants: Vec<ConfiguredTenant>,
    /// Ports.
    pub ports: Vec<ConfiguredPort>,
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct ConfiguredTenant {
    /// Its name.
    pub name: String,
    /// What the datapath knows of it, or would.
    pub record: tables::Tenant,
    /// Names of its tunnels.
    pub tunnels: Vec<String>,
}

/// A port.
#[derive(Clone, Debug)]
pub struct ConfiguredPort {
    /// Its name.
    pub name: String,
    /// The tenant's.
    pub tenant: String,
    /// Where its device comes from.
    pub origin: Origin,
    /// How packets are taken off it.
    pub mode: PortMode,
    /// How they reach it, once it is there.
    pub delivery: Option<Delivery>,
    /// The device that carries the program, once it is there.
    pub ifindex: Option<IfIndex>,
}

impl Configured {
    /// What programs work by.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn of_state(state: &State) -> state::Result<Self> {
        let (tunnels, all) = (state.tunnels(), state.tenants());
        let names: BTreeMap<TunnelId, &String> =
            tunnels.iter().map(|it| (it.id, &it.name)).collect();
        let owners: BTreeMap<TenantId, &String> = all.iter().map(|it| (it.id, &it.name)).collect();
        let name = |id: TunnelId| names.get(&id).map(|&name| name.clone());
        let tenant = |it: &state::tenant::Named| ConfiguredTenant {
            name: it.name.clone(),
            record: it.tenant,
            tunnels: state.tunnels_of(&it.tenant).into_iter().filter_map(name).collect(),
        };
        let port = |state::port::Named { name, record }: state::port::Named| ConfiguredPort {
            name,
            tenant: owners.get(&record.tenant).map(|&name| name.clone()).unwrap_or_default(),
            origin: Origin::of(&record),
            mode: record.mode,
            delivery: Some(record.port.delivery),
            ifindex: Some(record.port.ifindex),
        };
        Ok(Self {
            is_live: true,
            ports: state.ports()?.into_iter().map(port).collect(),
            tenants: all.iter().map(tenant).collect(),
            tunnels: tunnels.iter().map(|it| (it.name.clone(), it.tunnel)).collect(),
        })
    }

    /// What they would work by.
    pub fn of_model(model: &Model, links: &[Link]) -> Self {
        let mut configured = Self::default();
        for item in model.values() {
            match item {
                Item::Tunnel(tunnel) => configured.tunnels.push(planned_tunnel(tunnel)),
                Item::Tenant(tenant) => configured.tenants.push(planned_tenant(tenant)),
                Item::Port(port) => configured.ports.push(planned_port(port, links)),
                Item::Route(_) | Item::Fdb(_) | Item::Neigh(_) | Item::Transit(_) => {}
            }
        }
        configured
    }

    /// The tenants.
    pub fn tenant_facts(&self) -> Vec<facts::Tenant> {
        let owners: BTreeSet<_> = self.ports.iter().map(|port| &port.tenant).collect();
        let fact = |tenant: &ConfiguredTenant| facts::Tenant {
            name: tenant.name.clone(),
            has_port: owners.contains(&tenant.name),
            key: tenant.record.in_key.into(),
            tunnels: tenant.tunnels.clone(),
        };
        self.tenants.iter().map(fact).collect()
    }

    /// What a tenant's tunnels take, by the paths that these have.
    pub fn fits(&self, tenant: &str, host: &Host) -> Option<Fits> {
        let tenant = self.tenants.binary_search_by(|it| it.name.as_str().cmp(tenant)).ok()?;
        let ConfiguredTenant { record, tunnels, .. } = &self.tenants[tenant];
        let tunnel = |name: &String| {
            let route = host.tunnel(name)?.route.as_ref()?;
            let mut tunnel = *self.tunnel(name)?;
            tunnel.next_hop.mtu = route.mtu;
            Some(tunnel)
        };
        let tunnels: Vec<_> = tunnels.iter().filter_map(tunnel).collect();
        let overhead = tunnels.iter().map(|tunnel| overhead(tunnel, record)).max()?;
        Some(Fits { inner: Shape::new(record, &tunnels).mtu().into(), overhead })
    }

    /// Bytes around an inner packet in each tunnel, for the tenant that needs most.
    pub fn overheads(&self) -> BTreeMap<&str, u32> {
        let mut overheads = BTreeMap::new();
        for ConfiguredTenant { record, tunnels, .. } in &self.tenants {
            for name in tunnels {
                let Some(tunnel) = self.tunnel(name) else { continue };
                let most: &mut u32 = overheads.entry(name.as_str()).or_default();
                *most = overhead(tunnel, record).max(*most);
            }
        }
        overheads
    }

    fn tunnel(&self, name: &str) -> Option<&tables::Tunnel> {
        let found = self.tunnels.binary_search_by(|(it, _)| it.as_str().cmp(name)).ok()?;
        Some(&self.tunnels[found].1)
    }
}

/// Bytes around an inner packet on the underlay.
fn overhead(tunnel: &tables::Tunnel, tenant: &tables::Tenant) -> u32 {
    let link = if tenant.service == Service::L2 { ethernet::HEADER_LEN } else { 0 };
    (encap::outer_len(tunnel, tenant) + link) as u32
}

fn planned_tunnel(tunnel: &Tunnel) -> (String, tables::Tunnel) {
    (tunnel.name.clone(), manage::tunnel::record(tunnel))
}

fn planned_tenant(tenant: &Tenant) -> ConfiguredTenant {
    let described = manage::tenant::described(tenant);
    ConfiguredTenant {
        name: tenant.name.clone(),
        record: described.new.record(),
        tunnels: described.tunnels,
    }
}

fn planned_port(port: &Port, links: &[Link]) -> ConfiguredPort {
    let device = port.device();
    let link = links.iter().find(|link| link.name == device).filter(|_| !port.create);
    let origin = match port.vlan {
        _ if port.create => Origin::Created,
        Some(_) => Origin::Vlan,
        None => Origin::Existing,
    };
    ConfiguredPort {
        tenant: port.tenant.clone(),
        origin,
        mode: link.map_or(PortMode::TC, |link| datapath::port::mode(port.mode.into(), link)),
        delivery: None,
        ifindex: link.map(|link| link.ifindex),
        name: device,
    }
}
