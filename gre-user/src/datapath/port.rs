//! The programs on a port, and what kind of port a device makes.

use aya::programs::{Xdp, XdpMode};
use gre_common::{
    tables::{Delivery, Hook, IfIndex, Port, PortMode, PortRecord, Service, TenantId},
    wire::ethernet::{Ends, MacAddr},
};

use super::{Error, Result, load::Programs, pinned, tc, xdp};
use crate::{
    netlink::{Netlink, ethtool, link::Link},
    state::{StateDir, port::Origin},
};

const CREATED_PREFIX: &str = "xgre-";

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver of a physical device that leaves VLAN tags in frames, TC on any other.
    Auto,
    /// XDP in the driver or nothing.
    Native,
    /// No XDP.
    Tc,
}

/// What that means for a device. The checksums of a local sender's frames may be partial, and behind most
/// virtual devices there is a local sender: only of a physical device it is certain that packets came from a wire.
pub fn mode(asked: Mode, link: &Link) -> PortMode {
    match asked {
        Mode::Auto if link.kind.is_none() => PortMode::AUTO,
        Mode::Native => PortMode::NATIVE,
        _ => PortMode::TC,
    }
}

/// Attaches the programs that are pinned, without a daemon.
///
/// # Errors
/// No program is pinned, or the kernel refuses; nothing is attached then.
pub fn attach_pinned(dir: &StateDir, link: &Link, mode: PortMode) -> Result<()> {
    let (mut tc, mut xdp) = (tc::pinned(dir, Hook::PORT_TC)?, xdp::pinned(dir, Hook::PORT_XDP)?);
    tc::attach(&mut tc, dir, Hook::PORT_TC, link)?;
    let attached = attach_xdp(&mut xdp, dir, link, mode);
    if attached.is_err() {
        detach(dir, &link.name, link.ifindex)?;
    }
    attached
}

/// Attaches the programs just loaded, in place of those of an earlier run. Where the driver refuses XDP, which it
/// took when the port was added, the error is the value: TC does all of it then.
///
/// # Errors
/// The kernel refuses TC.
pub fn attach(
    programs: &mut Programs,
    dir: &StateDir,
    link: &Link,
    mode: PortMode,
) -> Result<Option<Error>> {
    tc::attach(programs.tc(Hook::PORT_TC)?, dir, Hook::PORT_TC, link)?;
    Ok(attach_xdp(programs.xdp(Hook::PORT_XDP)?, dir, link, mode).err())
}

/// Takes the programs off; absent is fine.
///
/// # Errors
/// A pin cannot be removed.
pub fn detach(dir: &StateDir, name: &str, ifindex: IfIndex) -> Result<()> {
    pinned::detach(&dir.link(Hook::PORT_XDP, ifindex))?;
    tc::detach(dir, Hook::PORT_TC, name, ifindex)
}

/// Whether XDP is attached to a port.
pub fn has_xdp(dir: &StateDir, ifindex: IfIndex) -> bool {
    dir.link(Hook::PORT_XDP, ifindex).exists()
}

fn attach_xdp(program: &mut Xdp, dir: &StateDir, link: &Link, mode: PortMode) -> Result<()> {
    let pin = dir.link(Hook::PORT_XDP, link.ifindex);
    match mode {
        PortMode::NATIVE => {
            xdp::check_foreign(link, &pin)?;
            xdp::attach(program, link, XdpMode::Driver, &pin)
                .map_err(|error| xdp::refused(link, XdpMode::Driver, &error))
        }
        // XDP would take a VLAN's packets for the tenant's where their tag is gone; TC sees it.
        PortMode::AUTO if ethtool::strips_vlan(&link.name) => pinned::detach(&pin),
        PortMode::AUTO => {
            // TC does the same, only slower.
            let _ = xdp::attach(program, link, XdpMode::Driver, &pin);
            Ok(())
        }
        _ => pinned::detach(&pin),
    }
}

/// A name for the device that xgre makes to carry the program, beside the one it makes for the host: the first one, or
/// another where that is taken.
pub fn created_name(tenant: TenantId, number: u32) -> String {
    match number {
        0 => format!("{CREATED_PREFIX}{}", tenant.0),
        _ => format!("{CREATED_PREFIX}{}-{number}", tenant.0),
    }
}

/// Deletes the device of a port that is no more, if xgre made it. One that is not of the kind that xgre makes is left as it is.
///
/// # Errors
/// It cannot be deleted.
pub async fn delete_device(netlink: &Netlink, record: &PortRecord) -> Result<()> {
    let is_ours: fn(&Link) -> bool = match Origin::of(record) {
        Origin::Created => is_created,
        Origin::Vlan => |link| link.kind.as_deref() == Some("vlan"),
        Origin::Existing => return Ok(()),
    };
    let ifindex = record.port.ifindex;
    if netlink.link_by_index(ifindex).await?.as_ref().is_some_and(is_ours) {
        netlink.delete_link(ifindex).await?;
    }
    Ok(())
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
    let delivery = delivery(netlink, link).await?;
    Ok(Port { ifindex: link.ifindex, delivery, ends: Ends::new(station, own) })
}

/// How decapsulated packets reach a device: XDP redirects to a NIC or tap that transmits the frames.
///
/// Not to a veth device, even while its other end takes them (XDP or GRO is on there): behind it is a local
/// receiver, and what comes by TC keeps the merging, and the marks of checksums that a sender on this machine left partial.
///
/// # Errors
/// The kernel does not answer.
pub async fn delivery(netlink: &Netlink, link: &Link) -> Result<Delivery> {
    let is_pair = link.peer.is_some();
    let redirect = !is_pair && netlink.transmits_xdp(link).await?;
    Ok(if redirect { Delivery::REDIRECT } else { Delivery::PASS })
}
