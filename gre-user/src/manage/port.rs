//! Ports.

use anyhow::ensure;
use gre_common::{
    tables::{self, PortMode, Service},
    wire::ethernet::MacAddr,
};

use super::{Host, device};
use crate::{
    config::model::Port,
    datapath,
    netlink::link::Link,
    state::{
        port::{New, Origin},
        tenant,
    },
};

/// Makes an interface the port of a tenant.
///
/// # Errors
/// The tenant or interface does not exist or has a port, or the kernel refuses.
pub async fn add(host: &mut Host, port: &Port) -> anyhow::Result<()> {
    let tenant = host.state.tenant(&port.tenant)?;
    let name = port.device();
    host.state.check_port_free(&name)?;
    if tenant.tenant.port != tables::Port::NONE && tenant.tenant.service == Service::L2 {
        datapath::flood::ensure(&host.dir, &mut host.state, &host.netlink).await?;
    }
    if port.create {
        return create(host, &tenant, &port.name).await;
    }
    let link = host.netlink.link(&port.name).await?;
    let link = link.ok_or_else(|| datapath::Error::UnknownInterface(port.name.clone()))?;
    let uplink = host.state.uplinks()?.into_iter().any(|uplink| uplink.ifindex == link.ifindex);
    if let Some(vid) = port.vlan {
        let device = device::obtain_vlan(host, &link, vid, &name).await?;
        let entered = make(host, &tenant, port, &device, Origin::Vlan).await;
        if entered.is_err() {
            device::park(host, &tenant.tenant, &name, device.ifindex);
        }
        return entered;
    }
    ensure!(!uplink, "{name} is an uplink; a port is another interface");
    make(host, &tenant, port, &link, Origin::Existing).await
}

/// Makes a device the port of a tenant.
async fn make(
    host: &mut Host,
    tenant: &tenant::Named,
    port: &Port,
    link: &Link,
    origin: Origin,
) -> anyhow::Result<()> {
    let station = port.mac.map(|mac| mac.0);
    let described = describe(host, link, tenant.tenant.service, station).await?;
    let mode = datapath::port::mode(port.mode.into(), link);
    let new = New { port: described, origin, station_named: station.is_some(), mode };
    enter(host, tenant, &port.device(), link, new)
}

/// Takes a port from its tenant. A device that xgre made is there until [`Host::finish`].
///
/// # Errors
/// There is no such port, or the kernel refuses.
pub async fn delete(host: &mut Host, tenant: &str, name: &str) -> anyhow::Result<()> {
    let port = host.state.port(tenant, name)?;
    let ifindex = port.ifindex();
    let link = host.netlink.link_by_index(ifindex).await?;
    let tenant = host.state.tenant_at(port.record.tenant);
    host.state.delete_port(&port)?;
    if tenant.service == Service::L3 {
        host.stations.insert(ifindex, port.record.port.ends.dst());
    }
    if port.record.created != 0 {
        device::park(host, &tenant, name, ifindex);
    }
    Ok(datapath::port::detach(&host.dir, &link.map_or(port.name, |link| link.name), ifindex)?)
}

/// Makes a pair of devices, one for the host's stack and one that carries the program.
async fn create(host: &mut Host, tenant: &tenant::Named, name: &str) -> anyhow::Result<()> {
    let (device, station) = device::obtain(host, tenant, name).await?;
    let service = tenant.tenant.service;
    let entered = match describe(host, &device, service, station).await {
        Ok(port) => {
            let new =
                New { port, origin: Origin::Created, station_named: false, mode: PortMode::TC };
            enter(host, tenant, name, &device, new)
        }
        Err(error) => Err(error.into()),
    };
    if entered.is_err() {
        device::park(host, &tenant.tenant, name, device.ifindex);
    }
    entered
}

/// What the datapath is to know of a device. A station that has moved to where it cannot be seen keeps the address it had
/// when its port was deleted, a moment ago.
async fn describe(
    host: &Host,
    link: &Link,
    service: Service,
    station: Option<MacAddr>,
) -> datapath::Result<tables::Port> {
    let described = datapath::port::describe(&host.netlink, link, service, station).await;
    let known = host.stations.get(&link.ifindex).copied();
    match described {
        Err(datapath::Error::NoStation(_)) if known.is_some() => {
            datapath::port::describe(&host.netlink, link, service, known).await
        }
        described => described,
    }
}

/// Enters the port and attaches the program, or leaves things as they were. Without a datapath the next
/// `run` attaches it.
fn enter(
    host: &mut Host,
    tenant: &tenant::Named,
    name: &str,
    device: &Link,
    new: New,
) -> anyhow::Result<()> {
    host.state.add_port(tenant, name, new)?;
    match datapath::port::attach_pinned(&host.dir, device, new.mode) {
        Ok(()) => Ok(()),
        Err(datapath::Error::NotLoaded) => {
            eprintln!(
                "xgre: warning: {name} carries packets once `xgre run` attaches the datapath"
            );
            Ok(())
        }
        Err(error) => {
            let port = host.state.port(&tenant.name, name)?;
            host.state.delete_port(&port)?;
            Err(error.into())
        }
    }
}
