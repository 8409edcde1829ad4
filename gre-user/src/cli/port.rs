//! `xgre port`

use std::{collections::HashMap, fs};

use anyhow::{Context as _, ensure};
use clap::{Subcommand, ValueEnum};
use gre_common::{
    encap,
    tables::{Delivery, IfIndex, Port, PortMode, Service, Tenant, TenantId, Tunnel, TunnelOptions},
    wire::ethernet::{self, MacAddr},
};
use serde::Serialize;

use super::{
    output::{self, JSON_VERSION},
    value,
};
use crate::{
    datapath,
    netlink::{Netlink, ethtool, link::Link},
    state::{
        State, StateDir,
        port::{Named, New, Origin},
        tenant,
    },
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an interface the port of a tenant.
    Add(Add),
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

#[derive(Debug, clap::Args)]
pub struct Add {
    /// The tenant.
    tenant: String,
    /// The interface.
    iface: String,
    /// Make a device of this name for the host's own stack.
    #[arg(long)]
    create: bool,
    /// l3: MAC address of the station behind the interface.
    #[arg(long, value_parser = value::mac)]
    mac: Option<MacAddr>,
    /// auto: native on a physical device whose driver has XDP and leaves VLAN tags in frames (`ethtool -K IFACE rxvlan
    /// off`), else tc; native: XDP in the driver, fastest, and
    /// only right for packets that came from a wire; tc: no XDP.
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Auto,
    Native,
    Tc,
}

impl From<Mode> for datapath::port::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Native => Self::Native,
            Mode::Tc => Self::Tc,
        }
    }
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
    let mut state = State::open(dir)?;
    match verb {
        Verb::Add(add) => run_add(dir, &mut state, &add).await,
        Verb::Del { tenant, iface } => run_del(dir, &mut state, &tenant, &iface).await,
        Verb::List { json } => {
            let ports = state.ports()?;
            print(dir, &state, ports, json)
        }
        Verb::Show { tenant, iface, json } => {
            let port = state.port(&tenant, &iface)?;
            print(dir, &state, vec![port], json)
        }
    }
}

async fn run_add(dir: &StateDir, state: &mut State, add: &Add) -> anyhow::Result<()> {
    let tenant = state.tenant(&add.tenant)?;
    state.check_port_free(&tenant, &add.iface)?;
    let netlink = Netlink::connect()?;
    if tenant.tenant.port != Port::NONE {
        datapath::flood::ensure(dir, state, &netlink).await?;
    }
    if add.create {
        ensure!(add.mac.is_none(), "--create chooses the MAC address itself; leave out --mac");
        ensure!(
            add.mode != Mode::Native,
            "--create makes a device for the host's own stack, whose packets XDP cannot send; leave out --mode"
        );
        return create(dir, state, &netlink, &tenant, &add.iface).await;
    }
    let link = netlink.link(&add.iface).await?;
    let link = link.ok_or_else(|| datapath::Error::UnknownInterface(add.iface.clone()))?;
    let uplink = state.uplinks()?.into_iter().any(|uplink| uplink.ifindex == link.ifindex);
    ensure!(!uplink, "{} is an uplink; a port is another interface", add.iface);
    let port = datapath::port::describe(&netlink, &link, tenant.tenant.service, add.mac).await?;
    let origin = if add.mac.is_some() { Origin::StationNamed } else { Origin::Existing };
    let mode = datapath::port::mode(add.mode.into(), &link);
    enter(dir, state, &tenant, &add.iface, &link, New { port, origin, mode })
}

/// Makes a pair of devices, one for the host's stack and one that carries the program.
async fn create(
    dir: &StateDir,
    state: &mut State,
    netlink: &Netlink,
    tenant: &tenant::Named,
    name: &str,
) -> anyhow::Result<()> {
    let tunnel = state.tunnels().into_iter().find(|tunnel| tunnel.id == tenant.tenant.tunnel);
    let mtu = tunnel.as_ref().map_or(ethernet_mtu(), |it| inner_mtu(&it.tunnel, &tenant.tenant));
    let numbered = tunnel.is_some_and(|it| {
        let options = it.tunnel.options;
        options.has(TunnelOptions::CHECKSUM) || options.has(TunnelOptions::SEQUENCE)
    });
    let is_l2 = tenant.tenant.service == Service::L2;
    let other = datapath::port::created_name(netlink, tenant.id).await?;
    let (stack, device) = netlink.create_veth(name, &other, mtu, is_l2).await?;
    // The device carries a tenant's packets only, none of the host's own. Without IPv6 there is nothing to turn off.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{other}/disable_ipv6"), "1");
    let entered = async {
        if numbered {
            // A GRE checksum or sequence number is of one packet, not of one that is cut later.
            ethtool::leave_nothing_to(name).with_context(|| format!("cannot set {name} up"))?;
        }
        let service = tenant.tenant.service;
        let port = datapath::port::describe(netlink, &device, service, stack.mac).await?;
        let new = New { port, origin: Origin::Created, mode: PortMode::TC };
        enter(dir, state, tenant, name, &device, new)
    };
    let entered = entered.await;
    if entered.is_err() {
        netlink.delete_link(device.ifindex).await?;
    }
    entered
}

/// Enters the port and attaches the program, or leaves things as they were. Without a datapath the next
/// `run` attaches it.
fn enter(
    dir: &StateDir,
    state: &mut State,
    tenant: &tenant::Named,
    name: &str,
    device: &Link,
    new: New,
) -> anyhow::Result<()> {
    state.add_port(tenant, name, new)?;
    match datapath::port::attach_pinned(dir, device, new.mode) {
        Ok(()) => Ok(()),
        Err(datapath::Error::NotLoaded) => {
            eprintln!(
                "xgre: warning: {name} carries packets once `xgre run` attaches the datapath"
            );
            Ok(())
        }
        Err(error) => {
            let port = state.port(&tenant.name, name)?;
            state.delete_port(&port)?;
            Err(error.into())
        }
    }
}

async fn run_del(
    dir: &StateDir,
    state: &mut State,
    tenant: &str,
    iface: &str,
) -> anyhow::Result<()> {
    let port = state.port(tenant, iface)?;
    let netlink = Netlink::connect()?;
    let ifindex = port.ifindex();
    let device = netlink.link_by_index(ifindex).await?;
    state.delete_port(&port)?;
    datapath::port::detach(dir, &device.map_or(port.name, |device| device.name), ifindex)?;
    if port.record.created != 0 {
        netlink.delete_link(ifindex).await?;
    }
    Ok(())
}

const fn ethernet_mtu() -> u16 {
    1500
}

/// Largest inner packet (behind its Ethernet header for l2), in bytes.
fn inner_mtu(tunnel: &Tunnel, tenant: &Tenant) -> u16 {
    let path = match tunnel.next_hop.mtu {
        0 => ethernet_mtu(),
        mtu => u16::try_from(mtu).unwrap_or(u16::MAX),
    };
    let link = if tenant.service == Service::L2 { ethernet::HEADER_LEN } else { 0 };
    let overhead = encap::outer_len(tunnel, tenant) + link;
    let room = path.saturating_sub(overhead as u16);
    if tunnel.mtu == 0 { room } else { room.min(tunnel.mtu) }
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
            station: is_l3.then(|| output::mac(&port.ends.dst())),
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
