//! Tenants: what a key leads to.

use std::collections::BTreeMap;

use super::{
    Gre, Reader,
    database::{self, Bridge},
    layout::{Layout, Network},
    tunnel::{self, Keys},
};
use crate::{
    config::model::{Fdb, Item, Neigh, Tenant, Tunnel},
    value::Service,
};

impl<'a> Reader<'a> {
    /// Networks that are VLANs.
    pub(super) fn vlans(&mut self, layout: &Layout, gre: &[Gre<'a>], joined: &[&'a Bridge]) {
        for (vlan, network) in &layout.vlans {
            let about = format!("VLAN {vlan}");
            let Some(tenant) = self.network(&about, network, gre) else { continue };
            for (bridge, port) in
                joined.iter().flat_map(|it| it.ports.iter().map(move |port| (it, port)))
            {
                if port.tag == Some(*vlan) {
                    self.port(&tenant.name, bridge, port);
                }
            }
            let stations = layout.stations.iter().filter(|(of, _, _)| of == vlan);
            for (_, mac, name) in stations {
                let tunnel =
                    gre.iter().find(|gre| gre.interface.name == *name).map(|it| it.tunnel.clone());
                if tunnel.as_ref().is_some_and(|name| tenant.tunnels.contains(name)) {
                    let tenant = tenant.name.clone();
                    self.import.add(Item::Fdb(Fdb { tenant, mac: *mac, tunnel, port: None }));
                }
            }
            for (_, ip, mac) in layout.answers.iter().filter(|(of, ..)| of == vlan) {
                let tenant = tenant.name.clone();
                self.import.add(Item::Neigh(Neigh { tenant, ip: *ip, mac: Some(*mac) }));
            }
        }
    }

    /// Networks that flows lead to a port or several.
    pub(super) fn ports(&mut self, layout: &Layout, gre: &[Gre<'a>], bridge: &'a Bridge) {
        let mut tenants: BTreeMap<(Option<u32>, Option<u32>), Option<Tenant>> = BTreeMap::new();
        for (name, network) in &layout.ports {
            let is_it = |port: &&database::Port| port.interfaces.iter().any(|it| it.name == *name);
            let Some(port) = bridge.ports.iter().find(is_it) else { continue };
            let keys = (network.in_key, network.out_key);
            let tenant = tenants.entry(keys).or_insert_with(|| self.network(name, network, gre));
            if let Some(Tenant { name, .. }) = tenant {
                self.port(name, bridge, port);
            }
        }
    }

    /// The tenant of a network; `None`: a note says why there is none.
    fn network(&mut self, about: &str, network: &Network, gre: &[Gre<'a>]) -> Option<Tenant> {
        let Network { in_key, out_key, tunnels } = network;
        let by_flows = gre.iter().filter(|gre| gre.keys == Keys::Flows);
        let is_sent_to = |gre: &&Gre<'_>| tunnels.contains(&gre.interface.name);
        let tunnels: Vec<_> = by_flows.filter(is_sent_to).map(|gre| gre.tunnel.clone()).collect();
        let (Some(in_key), Some(out_key)) = (*in_key, *out_key) else {
            let (has, lacks) = match in_key {
                Some(key) => {
                    (format!("key {key} leads to it"), "nothing of it is sent to a GRE port")
                }
                None => ("it is sent to GRE ports".to_owned(), "no key leads to it"),
            };
            let remedy = "it is left out; add a tenant by hand if it is to be one";
            self.import.note(about, format!("{has}, but {lacks}"), remedy);
            return None;
        };
        self.tenant(about, &format!("key-{in_key}"), (Some(in_key), Some(out_key)), tunnels)
    }

    /// Bridges whose GRE ports have keys of their own.
    pub(super) fn fixed(&mut self, gre: &[Gre<'a>], bridge: &'a Bridge) {
        type Group = (Option<u16>, Option<u32>, Option<u32>);
        let mut groups: BTreeMap<Group, Vec<&Gre<'a>>> = BTreeMap::new();
        for port in gre {
            if let Keys::Fixed(in_key, out_key) = port.keys {
                groups.entry((port.tag, in_key, out_key)).or_default().push(port);
            }
        }
        let mut served = BTreeMap::new();
        for ((tag, in_key, out_key), list) in groups {
            let about = &list[0].interface.name;
            let tunnels: Vec<_> = list.iter().map(|gre| gre.tunnel.clone()).collect();
            let Some(tenant) = self.tenant(about, &bridge.name, (in_key, out_key), tunnels) else {
                continue;
            };
            if let Some(other) = served.insert(tag, tenant.name.clone()) {
                let what = format!(
                    "bridge {} joins its network to that of tenant {other}, which has other keys",
                    bridge.name
                );
                let remedy = "the ports are those of one tenant; give all GRE ports of a bridge one key, at both ends";
                self.import.note(about, what, remedy);
                served.insert(tag, other);
                continue;
            }
            if tenant.tunnels.len() > 1 {
                let what =
                    format!("bridge {} may have forwarded between its GRE ports", bridge.name);
                let remedy =
                    "xgre does not (split horizon): give every host a tunnel to every other";
                self.import.note(about, what, remedy);
            }
            if tag.is_none() {
                self.tell_of_tags(bridge);
            }
            for port in bridge.ports.iter().filter(|port| port.tag == tag) {
                let is_own = port.name == bridge.name;
                if !is_own || self.is_used(port) {
                    self.port(&tenant.name, bridge, port);
                }
            }
        }
    }

    fn tenant(
        &mut self,
        about: &str,
        name: &str,
        (in_key, out_key): (Option<u32>, Option<u32>),
        mut tunnels: Vec<String>,
    ) -> Option<Tenant> {
        tunnels.sort_unstable();
        tunnels.dedup();
        let [in_key, out_key] = [in_key, out_key].map(tunnel::key);
        let service = Service::L2;
        let tenant = Tenant {
            name: name.to_owned(),
            in_key,
            second_in_key: None,
            out_key,
            tunnels,
            service,
            sources: Vec::new(),
            rate: None,
        };
        let name = self.import.tenant(about, tenant.clone())?;
        if tenant.tunnels.len() > 1 {
            self.leave_numbers_out(&tenant.tunnels);
        }
        Some(Tenant { name, ..tenant })
    }

    /// One row of sequence numbers is that of one sender.
    fn leave_numbers_out(&mut self, tunnels: &[String]) {
        for item in self.import.model.values_mut() {
            let Item::Tunnel(Tunnel { name, seq, .. }) = item else { continue };
            if *seq && tunnels.contains(name) {
                *seq = false;
                let about = name.clone();
                let what = "a tenant with several tunnels cannot have sequence numbers (seq)";
                self.import.note(&about, what, "turn them off at the other ends");
                return self.leave_numbers_out(tunnels);
            }
        }
    }
}
