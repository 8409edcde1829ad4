//! What the flows of a bridge make of keys: neutron's turn them into VLANs; simple ones lead from port to port.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::flow::Flow;
use crate::value::Mac;

/// A bridge's flows, by what they mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Networks by VLAN.
    pub vlans: BTreeMap<u16, Network>,
    /// What is led between a port and tunnels, by port.
    pub ports: BTreeMap<String, Network>,
    /// Stations behind tunnels: VLAN, MAC address, GRE port.
    pub stations: Vec<(u16, Mac, String)>,
    /// Stations in whose stead requests of ARP are answered: VLAN, address, MAC address.
    pub answers: Vec<(u16, IpAddr, Mac)>,
    /// Actions that have no like here.
    pub specialities: BTreeSet<String>,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The key received.
    pub in_key: Option<u32>,
    /// The key sent.
    pub out_key: Option<u32>,
    /// The GRE ports that it is sent to.
    pub tunnels: BTreeSet<String>,
}

/// The ports of a bridge by what flows call them.
pub trait Ports {
    /// The name of a port, by name or number.
    fn name(&self, port: &str) -> Option<&str>;
    /// Whether it is a GRE port whose keys flows say.
    fn is_gre(&self, name: &str) -> bool;
}

impl Layout {
    pub fn read(flows: &[Flow], ports: &impl Ports) -> Self {
        let mut layout = Self::default();
        let tables = tables(flows, ports);
        for flow in flows.iter().filter(|flow| !flow.expires) {
            layout.specialities.extend(flow.speciality().map(str::to_owned));
            if let Some((address, mac)) = flow.answer() {
                layout.answers.extend(flow.vlan().map(|vlan| (vlan, address, mac)));
            } else if let Some(key) = flow.key() {
                if tables.contains(&flow.table) {
                    layout.received(flow, key, ports);
                }
            } else {
                layout.sent(flow, ports);
            }
        }
        layout
    }

    /// A flow for packets from tunnels.
    fn received(&mut self, flow: &Flow, key: u32, ports: &impl Ports) {
        if let Some(vlan) = flow.sets_vlan() {
            self.vlans.entry(vlan).or_default().in_key.get_or_insert(key);
            return;
        }
        for name in flow.outputs().iter().filter_map(|output| ports.name(output.port)) {
            if !ports.is_gre(name) {
                self.ports.entry(name.to_owned()).or_default().in_key.get_or_insert(key);
            }
        }
    }

    /// A flow that may send to tunnels.
    fn sent(&mut self, flow: &Flow, ports: &impl Ports) {
        let from = flow.in_port().and_then(|port| ports.name(port));
        for output in flow.outputs() {
            let Some(gre) = ports.name(output.port).filter(|name| ports.is_gre(name)) else {
                continue;
            };
            let Some(key) = output.key else { continue };
            let network = match (flow.vlan(), flow.station(), from) {
                (Some(vlan), Some(station), _) => {
                    self.stations.push((vlan, station, gre.to_owned()));
                    self.vlans.entry(vlan).or_default()
                }
                // What is for some stations only is not where floods go.
                (Some(_), None, _) if flow.has_destination() => continue,
                (Some(vlan), None, _) => self.vlans.entry(vlan).or_default(),
                (None, _, Some(port)) => self.ports.entry(port.to_owned()).or_default(),
                (None, _, None) => continue,
            };
            network.out_key.get_or_insert(key);
            network.tunnels.insert(gre.to_owned());
        }
    }
}

/// The tables where packets of GRE ports are: other kinds of tunnels have tables of their own, with keys of their own.
fn tables(flows: &[Flow], ports: &impl Ports) -> BTreeSet<u8> {
    let is_from_gre = |flow: &&Flow| {
        let port = flow.in_port().and_then(|port| ports.name(port));
        port.is_some_and(|port| ports.is_gre(port))
    };
    let next = flows.iter().filter(is_from_gre).flat_map(Flow::next_tables);
    next.chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Flow, Layout, Network, Ports};

    /// 2 and 3 are GRE ports, 4 is one of another kind, 9 a tap.
    struct Bridge;

    impl Ports for Bridge {
        fn name(&self, port: &str) -> Option<&str> {
            [("2", "gre2"), ("3", "gre3"), ("4", "vxlan4"), ("9", "tap9"), ("LOCAL", "br")]
                .into_iter()
                .find_map(|(number, name)| (number == port || name == port).then_some(name))
        }

        fn is_gre(&self, name: &str) -> bool {
            name.starts_with("gre")
        }
    }

    fn layout(text: &str) -> Layout {
        let flows: Vec<_> = text.lines().filter_map(Flow::parse).collect();
        assert_eq!(flows.len(), text.lines().count());
        Layout::read(&flows, &Bridge)
    }

    fn network(in_key: Option<u32>, out_key: Option<u32>, tunnels: &[&str]) -> Network {
        let tunnels: BTreeSet<_> = tunnels.iter().map(|&name| name.to_owned()).collect();
        Network { in_key, out_key, tunnels }
    }

    /// As neutron lays out `br-tun`, with VXLAN beside it.
    #[test]
    fn neutron() {
        let layout = layout(
            "table=0, priority=1,in_port=2 actions=resubmit(,3)\n\
             table=0, priority=1,in_port=4 actions=resubmit(,4)\n\
             table=3, priority=1,tun_id=0xa actions=mod_vlan_vid:1,resubmit(,10)\n\
             table=4, priority=1,tun_id=0xa actions=mod_vlan_vid:7,resubmit(,10)\n\
             table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:00:00:01 actions=strip_vlan,set_tunnel:0xa,output:3\n\
             table=20, hard_timeout=300, dl_vlan=1,dl_dst=fa:16:3e:00:00:02 actions=set_tunnel:0xa,output:2\n\
             table=21, priority=1,arp,dl_vlan=1,arp_tpa=10.0.0.5 actions=load:0xfa163e000001->NXM_NX_ARP_SHA[],IN_PORT\n\
             table=22, priority=1,dl_vlan=1 actions=strip_vlan,set_tunnel:0xa,output:2,output:3,output:4\n\
             table=22, priority=1,dl_vlan=7 actions=strip_vlan,set_tunnel:0xa,output:4",
        );
        let vlans: Vec<_> = layout.vlans.into_iter().collect();
        assert_eq!(vlans, [(1, network(Some(10), Some(10), &["gre2", "gre3"]))]);
        let stations: Vec<_> =
            layout.stations.iter().map(|(vlan, mac, gre)| format!("{vlan} {mac} {gre}")).collect();
        assert_eq!(stations, ["1 fa:16:3e:00:00:01 gre3"]);
        let (_, mac, _) = layout.stations[0];
        assert_eq!(layout.answers, [(1, [10, 0, 0, 5].into(), mac)]);
    }

    #[test]
    fn from_port_to_port() {
        let layout = layout(
            "table=0, in_port=LOCAL actions=set_tunnel:0x7,output:2\n\
             table=0, in_port=2,tun_id=0x8 actions=LOCAL\n\
             table=0, in_port=9 actions=set_tunnel:0x9,output:2,output:3\n\
             table=0, tun_id=0x9 actions=output:9,group:1",
        );
        let ports: Vec<_> = layout.ports.into_iter().collect();
        let [local, tap] =
            [network(Some(8), Some(7), &["gre2"]), network(Some(9), Some(9), &["gre2", "gre3"])];
        assert_eq!(ports, [("br".to_owned(), local), ("tap9".to_owned(), tap)]);
        assert_eq!(layout.specialities, BTreeSet::from(["group".to_owned()]));
    }
}
