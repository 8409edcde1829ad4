//! Interfaces of bridges that become ports.

use std::net::IpAddr;

use super::{
    Reader,
    database::{Bridge, Port},
    del_port, tunnel,
};
use crate::{config::model::Item, netlink::link::Link};

/// The VLAN where neutron puts ports that are not to reach anything.
const DEAD_VLAN: u16 = 4095;

impl<'a> Reader<'a> {
    /// Makes a port of a bridge one of the tenant, or notes why not.
    pub(super) fn port(&mut self, tenant: &str, bridge: &'a Bridge, port: &'a Port) {
        let [interface] = port.interfaces.as_slice() else {
            let what = "it is a bond of Open vSwitch's";
            let remedy = "make a bond of the kernel's, and it the port (`[[port]]`)";
            return self.import.note(&port.name, what, remedy);
        };
        if tunnel::is_gre(interface) || interface.kind == "patch" || port.tag == Some(DEAD_VLAN) {
            return;
        }
        let name = interface.name.as_str();
        if port.is_trunk {
            let what = "it carries several VLANs (trunk)";
            return self.import.note(
                name,
                what,
                "make a VLAN device for each, and those the ports",
            );
        }
        let create = match interface.kind.as_str() {
            "" | "system" => false,
            "internal" | "tap" => true,
            kind => {
                let what = format!("it is of type {kind}, which is no interface of the kernel's");
                return self.import.note(
                    name,
                    what,
                    "give the tenant a tap or veth device instead",
                );
            }
        };
        if self.import.uplinks.contains(name) {
            let what = "it belongs to a tenant's network, and the tunnels' packets leave by it";
            let remedy = "give the tenant a veth device instead, and the addresses of the tunnels to the network interface";
            return self.import.note(name, what, remedy);
        }
        if !self.taken.insert(name) {
            let what = format!("tenant {tenant} has it, and another tenant too");
            return self.import.note(name, what, "an interface is the port of one tenant: choose");
        }
        let link = self.links.iter().find(|link| link.name == name);
        match (create, link) {
            (true, Some(link)) => self.moves.add(link, name),
            (true, None) => {
                let what = "it is made by Open vSwitch, and in another network namespace now";
                let mac = interface.mac.as_deref().unwrap_or("MAC");
                let remedy = format!(
                    "after the last step move the new one there (`ip link set {name} netns NAME`), and give it its addresses \
                     and {mac}"
                );
                self.import.note(name, what, remedy);
            }
            (false, Some(_)) => {}
            (false, None) => {
                let what = "there is no such interface in this network namespace";
                return self.import.note(
                    name,
                    what,
                    "it is left out; bring it back if it is needed",
                );
            }
        }
        self.import.port(tenant, name, create);
        let command = del_port(bridge, &port.name);
        self.import.steps.before.push(command);
        if name == bridge.name {
            self.emptied.insert(name);
        }
    }

    /// Whether a bridge's own device is one for the tenants, rather than for tunnels or nothing.
    pub(super) fn is_used(&self, port: &Port) -> bool {
        let link = self.links.iter().find(|link| link.name == port.name);
        let ends: Vec<IpAddr> = self
            .import
            .model
            .values()
            .filter_map(|item| match item {
                Item::Tunnel(tunnel) => Some(tunnel.local),
                _ => None,
            })
            .collect();
        let addresses: Vec<_> = link.map(|link| self.addresses(link)).unwrap_or_default();
        !addresses.is_empty() && !addresses.iter().any(|address| ends.contains(address))
    }

    /// Those that somebody gave.
    fn addresses(&self, link: &Link) -> Vec<IpAddr> {
        let of_link = self.holdings.addresses.iter().filter(|it| it.ifindex == link.ifindex);
        let is_own = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        of_link.map(|it| it.local).filter(|address| !is_own(address)).collect()
    }
}
