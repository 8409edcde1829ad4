//! Open vSwitch: bridges with GRE ports.
//!
//! - [`database`]: bridges, ports and interfaces, and how flows are asked for. [`flow`]: one flow.
//! - [`tunnel`]: what a GRE port says. [`layout`]: what a bridge's flows make of keys.
//! - [`endpoint`]: the GRE ports as they are, without what flows make of them.
//! - [`tenant`]: the tenants that come of it; [`port`]: interfaces of bridges that become their ports; [`loss`]: what is lost.
//!
//! A tenant is what a key leads to: a VLAN of the bridge, or of one that is joined to it by patch ports, as neutron lays them
//! out; a port, where flows go from port to port; the bridge, where the GRE port itself has the key.

mod database;
mod endpoint;
mod flow;
mod layout;
mod loss;
mod port;
mod tenant;
mod tunnel;

use std::collections::BTreeSet;

pub use self::{
    endpoint::{GrePort, gre_ports},
    tunnel::Keys,
};

use self::{
    database::{Bridge, Interface},
    layout::{Layout, Ports},
};
use super::{Import, moves::Moves, quoted};
use crate::netlink::{Netlink, holdings::Holdings, link::Link};

/// Reads the switch of this host.
///
/// # Errors
/// Open vSwitch, or the kernel, does not answer.
pub async fn read(netlink: &Netlink) -> anyhow::Result<Import> {
    let bridges = database::bridges()?;
    let mut links = netlink.links().await?;
    for link in &mut links {
        // That of a port is the switch which it leaves.
        link.master = None;
    }
    let holdings = netlink.holdings().await?;
    let mut reader = Reader {
        import: Import::default(),
        netlink,
        bridges: &bridges,
        links: &links,
        holdings: &holdings,
        moves: Moves::new(&holdings, &links),
        taken: BTreeSet::new(),
        emptied: BTreeSet::new(),
    };
    for bridge in &bridges {
        if bridge.interfaces().any(tunnel::is_gre) {
            reader.bridge(bridge).await?;
        }
    }
    Ok(reader.finish())
}

struct Reader<'a> {
    import: Import,
    netlink: &'a Netlink,
    bridges: &'a [Bridge],
    links: &'a [Link],
    holdings: &'a Holdings,
    moves: Moves<'a>,
    /// Ports that have a tenant.
    taken: BTreeSet<&'a str>,
    /// Bridges that go, for their own device is a port.
    emptied: BTreeSet<&'a str>,
}

/// A GRE port that can be carried over.
struct Gre<'a> {
    interface: &'a Interface,
    tunnel: String,
    keys: Keys,
    tag: Option<u16>,
}

impl Bridge {
    fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.ports.iter().flat_map(|port| &port.interfaces)
    }
}

/// Takes a port from a bridge.
fn del_port(bridge: &Bridge, port: &str) -> String {
    format!("ovs-vsctl del-port {} {}", quoted(&bridge.name), quoted(port))
}

/// A bridge's ports, as its flows call them.
struct Named<'a> {
    bridge: &'a Bridge,
    gre: &'a [Gre<'a>],
}

impl Ports for Named<'_> {
    fn name(&self, port: &str) -> Option<&str> {
        if port == "LOCAL" {
            return Some(&self.bridge.name);
        }
        let number = port.parse().ok();
        let is = |it: &&Interface| it.name == port || number.is_some() && it.ofport == number;
        self.bridge.interfaces().find(is).map(|interface| interface.name.as_str())
    }

    fn is_gre(&self, name: &str) -> bool {
        self.gre.iter().any(|gre| gre.interface.name == name && gre.keys == Keys::Flows)
    }
}

impl<'a> Reader<'a> {
    async fn bridge(&mut self, bridge: &'a Bridge) -> anyhow::Result<()> {
        let mut gre = Vec::new();
        for port in &bridge.ports {
            for interface in port.interfaces.iter().filter(|it| tunnel::is_gre(it)) {
                if let Some((tunnel, keys)) = self.tunnel(interface).await? {
                    gre.push(Gre { interface, tunnel, keys, tag: port.tag });
                }
            }
        }
        if gre.is_empty() {
            return Ok(());
        }
        let flows = database::flows(&bridge.name)?;
        let named = Named { bridge, gre: &gre };
        let layout = Layout::read(&flows, &named);
        let joined = self.joined(bridge);
        self.vlans(&layout, &gre, &joined);
        self.ports(&layout, &gre, bridge);
        self.fixed(&gre, bridge);
        self.tell_what_is_lost(&layout, &joined)?;
        if gre.iter().any(|gre| gre.keys != Keys::Flows) {
            self.tell_of_flows(bridge, &flows);
        }
        for gre in &gre {
            let command = del_port(bridge, &gre.interface.name);
            self.import.steps.before.push(command);
        }
        Ok(())
    }

    /// A GRE port's tunnel and keys; `None`: a note says why not.
    async fn tunnel(&mut self, interface: &Interface) -> anyhow::Result<Option<(String, Keys)>> {
        let import = &mut self.import;
        let Some(remote) = tunnel::remote(import, interface) else { return Ok(None) };
        let Some(keys) = tunnel::keys(import, interface) else { return Ok(None) };
        let local = interface.options.get("local_ip").and_then(|text| text.parse().ok());
        let underlay = import.way(self.netlink, local, remote).await?;
        let Some(local) = local.or(underlay.as_ref().and_then(|it| it.source)) else {
            let what =
                format!("it has no local_ip, and there is no route to {remote} that tells one");
            import.note(&interface.name, what, "set options:local_ip and import again");
            return Ok(None);
        };
        let tunnel = tunnel::tunnel(interface, local, remote);
        let Some(name) = import.tunnel(&interface.name, &tunnel) else { return Ok(None) };
        if let Some(underlay) = underlay {
            self.uplink(&underlay.link);
        } else {
            let what = format!("there is no route to {remote} now");
            let remedy = "make one, and name the device that it leaves by as --iface of `xgre run`";
            import.note(&interface.name, what, remedy);
        }
        Ok(Some((name, keys)))
    }

    fn uplink(&mut self, link: &Link) {
        self.import.uplink(link);
        let is_here = |it: &Interface| it.name == link.name && it.kind == "internal";
        if self.bridges.iter().flat_map(Bridge::interfaces).any(is_here) {
            let what = "the tunnels' packets leave by it, a device of Open vSwitch's own";
            let remedy = "keep that bridge and Open vSwitch running; or, which is faster, give the addresses to the network \
                          interface itself, and name that as --iface";
            self.import.note(&link.name, what, remedy);
        }
    }

    /// The bridge, and those joined to it by patch ports: they have the same VLANs.
    fn joined(&self, bridge: &'a Bridge) -> Vec<&'a Bridge> {
        let patches = bridge.interfaces().filter(|it| it.kind == "patch");
        let peers: Vec<_> = patches.filter_map(|it| it.options.get("peer")).collect();
        let is_joined = |other: &&Bridge| other.interfaces().any(|it| peers.contains(&&it.name));
        [bridge].into_iter().chain(self.bridges.iter().filter(is_joined)).collect()
    }

    fn finish(mut self) -> Import {
        for bridge in self.emptied {
            let of_bridge = format!("ovs-vsctl del-port {} ", quoted(bridge));
            let before = &mut self.import.steps.before;
            before.retain(|command| !command.starts_with(&of_bridge));
            before.push(format!("ovs-vsctl del-br {}", quoted(bridge)));
        }
        self.moves.write(&mut self.import);
        self.import.finish()
    }
}
