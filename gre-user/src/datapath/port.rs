//! The program on a port, and what kind of port a device makes.

use aya::programs::SchedClassifier;
use gre_common::{
    tables::{Delivery, Hook, IfIndex, Port, Service, TenantId},
    wire::ethernet::{Ends, MacAddr},
};

use super::{Error, Result, load::Programs, tc};
use crate::{
    netlink::{Netlink, link::Link},
    state::StateDir,
};

const CREATED_PREFIX: &str = "xgre-";

/// Attaches the program that is pinned, without a daemon.
///
/// # Errors
/// No program is pinned, or the kernel refuses.
pub fn attach_pinned(dir: &StateDir, link: &Link) -> Result<()> {
    let pinned = SchedClassifier::from_pin(dir.program(Hook::PORT_TC.name()));
    let mut program = pinned.map_err(|_| Error::NotLoaded)?;
    tc::attach(&mut program, &link.name, &dir.link(Hook::PORT_TC, link.ifindex))
}

/// Attaches the program just loaded, in place of the one of an earlier run.
///
/// # Errors
/// The kernel refuses.
pub fn attach(programs: &mut Programs, dir: &StateDir, link: &Link) -> Result<()> {
    tc::attach(programs.tc(Hook::PORT_TC)?, &link.name, &dir.link(Hook::PORT_TC, link.ifindex))
}

/// Takes the program off; absent is fine.
///
/// # Errors
/// The pin cannot be removed.
pub fn detach(dir: &StateDir, name: &str, ifindex: IfIndex) -> Result<()> {
    tc::detach(name, &dir.link(Hook::PORT_TC, ifindex))
}

/// The name of the device that xgre makes to carry the program, beside the one it makes for the host.
pub fn created_name(tenant: TenantId) -> String {
    format!("{CREATED_PREFIX}{}", tenant.0)
}

/// Whether xgre made a device, as far as its name tells.
pub fn is_created(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth") && link.name.starts_with(CREATED_PREFIX)
}

/// The port that an interface makes. `station` is the MAC address behind it, if the user gave one.
///
/// # Errors
/// It has no Ethernet header, or an l3 port's station cannot be found.
pub async fn describe(
    netlink: &Netlink,
    link: &Link,
    service: Service,
    station: Option<MacAddr>,
) -> Result<Port> {
    let own = link.mac.ok_or_else(|| Error::NotEthernet(link.name.clone()))?;
    let station = match (service, station) {
        (_, Some(station)) => station,
        (Service::L2, None) => [0; 6],
        (_, None) => {
            netlink.peer_mac(link).await?.ok_or_else(|| Error::NoStation(link.name.clone()))?
        }
    };
    Ok(Port { ifindex: link.ifindex, delivery: delivery(link), ends: Ends::new(station, own) })
}

/// XDP redirects only to what certainly transmits the frames: into a tap. A veth device discards them
/// without a word unless its peer has XDP or GRO on, and a NIC unless its driver can.
fn delivery(link: &Link) -> Delivery {
    match link.kind.as_deref() {
        Some("tun") => Delivery::REDIRECT,
        _ => Delivery::PASS,
    }
}
