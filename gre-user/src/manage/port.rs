//! Ports.

use anyhow::ensure;
use gre_common::{
    tables::{self, Hook, IfIndex, PortMode, Service, Tenant, TenantId},
    wire::ethernet::MacAddr,
};

use super::{
    Host,
    device::{self, Shape},
};
use crate::{
    config::model::Port,
    datapath,
    netlink::link::Link,
    state::port::{Named, New, Origin},
};

/// The tenant that a port is to be of.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// After whose slot the device of a created port is called.
    pub id: TenantId,
    /// What its packets are.
    pub service: Service,
    /// What its devices are like.
    pub shape: Shape,
}

/// A device that is ready to be a port: programs are attached, and let everything pass until it is one.
#[derive(Debug)]
pub struct Ready {
    /// What the port is to be.
    pub new: New,
    link: Link,
    /// What it was before, if it is one.
    before: Option<tables::PortRecord>,
}

impl Ready {
    /// The device.
    pub const fn ifindex(&self) -> IfIndex {
        self.new.port.ifindex
    }
}

impl Owner {
    fn of(host: &Host, id: TenantId, tenant: &Tenant) -> Self {
        Self { id, service: tenant.service, shape: Shape::of(&host.state, tenant) }
    }
}

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
    let owner = Owner::of(host, tenant.id, &tenant.tenant);
    let ready = make_ready(host, port, owner).await?;
    if let Err(error) = host.state.add_port(&tenant, &name, ready.new) {
        take_back(host, ready).await?;
        return Err(error.into());
    }
    Ok(())
}

/// Takes a port from its tenant, and removes a device that xgre made.
///
/// # Errors
/// There is no such port, or the kernel refuses.
pub async fn delete(host: &mut Host, tenant: &str, name: &str) -> anyhow::Result<()> {
    let port = host.state.port(tenant, name)?;
    host.state.delete_port(&port)?;
    leave(host, &port).await
}

/// Takes the programs off what is a port no more, and removes a device that xgre made.
///
/// # Errors
/// The kernel refuses.
pub async fn leave(host: &Host, port: &Named) -> anyhow::Result<()> {
    let ifindex = port.ifindex();
    let link = host.netlink.link_by_index(ifindex).await?;
    let name = link.map_or_else(|| port.name.clone(), |link| link.name);
    datapath::port::detach(&host.dir, &name, ifindex)?;
    Ok(datapath::port::delete_device(&host.netlink, &port.record).await?)
}

/// Finds or makes the device of a new port.
///
/// # Errors
/// There is no such interface, or one too many, or the kernel refuses.
pub async fn make_ready(host: &Host, port: &Port, owner: Owner) -> anyhow::Result<Ready> {
    if port.create {
        let (link, station) = device::create(host, owner.id, &port.name, owner.shape).await?;
        return make_ready_made(host, port, link, owner.service, station).await;
    }
    let link = host.netlink.link(&port.name).await?;
    let link = link.ok_or_else(|| datapath::Error::UnknownInterface(port.name.clone()))?;
    if let Some(vid) = port.vlan {
        let link = device::create_vlan(host, &link, vid, &port.device()).await?;
        return make_ready_made(host, port, link, owner.service, None).await;
    }
    let uplink = host.state.uplinks()?.into_iter().any(|uplink| uplink.ifindex == link.ifindex);
    ensure!(!uplink, "{} is an uplink; a port is another interface", port.name);
    if host.state.ports()?.iter().all(|port| port.ifindex() != link.ifindex) {
        datapath::tc::check_alone(&host.netlink, Hook::PORT_TC, &link).await?;
    }
    let new = describe(host, &link, port, owner.service, None).await?;
    attach(host, &port.name, &link, new.mode)?;
    Ok(Ready { new, link, before: None })
}

/// The same for a device that was made a moment ago, and goes where that fails. `station` is behind it, if that is known.
async fn make_ready_made(
    host: &Host,
    port: &Port,
    link: Link,
    service: Service,
    station: Option<MacAddr>,
) -> anyhow::Result<Ready> {
    let new = match station {
        Some(station) => datapath::port::describe(&host.netlink, &link, service, Some(station))
            .await
            .map(|described| new(port, &link, described)),
        None => describe(host, &link, port, service, None).await,
    };
    let attached = new.and_then(|new| attach(host, &port.device(), &link, new.mode).map(|()| new));
    if attached.is_err() {
        host.netlink.delete_link(link.ifindex).await?;
    }
    Ok(Ready { new: attached?, link, before: None })
}

/// The same for one that is a port already, of this tenant or another.
///
/// # Errors
/// Its device is gone, or the kernel refuses.
pub async fn make_ready_again(
    host: &Host,
    port: &Port,
    there: &Named,
    service: Service,
) -> anyhow::Result<Ready> {
    let link = host.netlink.link_by_index(there.ifindex()).await?;
    let link = link.ok_or_else(|| datapath::Error::UnknownInterface(port.device()))?;
    let new = describe(host, &link, port, service, Some(&there.record)).await?;
    if new.mode != there.record.mode {
        attach(host, &port.device(), &link, new.mode)?;
    }
    Ok(Ready { new, link, before: Some(there.record) })
}

/// Undoes what was made ready, while it is no port, or is again what it was before.
///
/// # Errors
/// The kernel refuses.
pub async fn take_back(host: &Host, ready: Ready) -> anyhow::Result<()> {
    let Ready { new, link, before } = ready;
    if let Some(before) = before {
        if new.mode != before.mode
            && let Some(link) = host.netlink.link_by_index(link.ifindex).await?
        {
            attach(host, &link.name, &link, before.mode)?;
        }
        return Ok(());
    }
    datapath::port::detach(&host.dir, &link.name, link.ifindex)?;
    if new.origin != Origin::Existing {
        host.netlink.delete_link(link.ifindex).await?;
    }
    Ok(())
}

/// What the datapath is to know of a device. A station that has moved to where it cannot be seen keeps the address it had
/// `before`.
async fn describe(
    host: &Host,
    link: &Link,
    port: &Port,
    service: Service,
    before: Option<&tables::PortRecord>,
) -> datapath::Result<New> {
    let named = port.mac.map(|mac| mac.0);
    let described = datapath::port::describe(&host.netlink, link, service, named).await;
    let known =
        before.map(|before| before.port.ends.dst()).filter(|mac| *mac != MacAddr::default());
    let described = match described {
        Err(datapath::Error::NoStation(_)) if known.is_some() => {
            datapath::port::describe(&host.netlink, link, service, known).await
        }
        described => described,
    }?;
    Ok(new(port, link, described))
}

fn new(port: &Port, link: &Link, described: tables::Port) -> New {
    let origin = match port.vlan {
        _ if port.create => Origin::Created,
        Some(_) => Origin::Vlan,
        None => Origin::Existing,
    };
    let mode = match origin {
        Origin::Created => PortMode::TC,
        _ => datapath::port::mode(port.mode.into(), link),
    };
    New { port: described, origin, station_named: port.mac.is_some(), mode }
}

/// Attaches the programs, or leaves things as they were. Without a datapath the next `run` attaches them.
fn attach(host: &Host, name: &str, link: &Link, mode: PortMode) -> datapath::Result<()> {
    let mode = host.state.mode_now(mode)?;
    match datapath::port::attach_pinned(&host.dir, link, mode) {
        Err(datapath::Error::NotLoaded) => {
            eprintln!(
                "xgre: warning: {name} carries packets once `xgre run` attaches the datapath"
            );
            Ok(())
        }
        attached => attached,
    }
}
