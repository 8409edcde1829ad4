//! What there is no like for here.

use super::{
    Reader,
    database::{self, Bridge, Interface},
    flow::Flow,
    layout::Layout,
    tunnel::is_gre,
};

impl<'a> Reader<'a> {
    /// That a bridge with fixed keys has flows of its own.
    pub(super) fn tell_of_flows(&mut self, bridge: &Bridge, flows: &[Flow]) {
        if flows.iter().all(Flow::is_normal) {
            return;
        }
        let what = format!(
            "it has {} flows; only the keys of its GRE ports are carried over",
            flows.len()
        );
        let remedy = "look at `ovs-ofctl dump-flows`: a tenant of xgre switches between all its ports and tunnels";
        self.import.note(&bridge.name, what, remedy);
    }

    /// That ports have VLANs which a GRE port carries with their tags.
    pub(super) fn tell_of_tags(&mut self, bridge: &Bridge) {
        for port in &bridge.ports {
            let Some(tag) = port.tag else { continue };
            if port.interfaces.iter().any(is_gre) {
                continue;
            }
            let what = format!("its frames cross the tunnel with the tag of VLAN {tag}");
            let remedy = "it is left out; join it to the tenant's port by a bridge of the kernel's that does VLANs";
            self.import.note(&port.name, what, remedy);
        }
    }

    /// What the flows of a bridge do, and of those that are joined to it, besides leading keys to ports.
    pub(super) fn tell_what_is_lost(
        &mut self,
        layout: &Layout,
        joined: &[&'a Bridge],
    ) -> anyhow::Result<()> {
        let bridge = joined[0];
        let mut note =
            |about: &str, what: String, remedy: &str| self.import.note(about, what, remedy);
        if !layout.specialities.is_empty() {
            let list: Vec<_> = layout.specialities.iter().map(String::as_str).collect();
            let what = format!("its flows do what has no like in xgre: {}", list.join(", "));
            note(&bridge.name, what, "look at `ovs-ofctl dump-flows` whether your tenants need it");
        }
        let names: Vec<_> =
            joined.iter().flat_map(|it| it.interfaces()).map(|it| it.name.as_str()).collect();
        for bridge in joined {
            for patch in bridge.interfaces().filter(|it| it.kind == "patch") {
                let peer = patch.options.get("peer").map_or("", String::as_str);
                if !names.contains(&peer) {
                    let what = format!(
                        "it is a patch to {peer} of another bridge, which is not carried over"
                    );
                    note(
                        &patch.name,
                        what,
                        "give the tenant a port there (a veth pair), if it needs one",
                    );
                }
            }
            let is_someones = |it: &Interface| it.external_ids.contains_key("iface-id");
            if bridge.is_controlled || bridge.interfaces().any(is_someones) {
                let what = "somebody else set it up (neutron's agent, a controller), and would put back what is taken from it";
                note(&bridge.name, what.to_owned(), "stop that before the first step");
            }
        }
        for other in &joined[1..] {
            let flows = database::flows(&other.name)?;
            let lost = flows.iter().filter(|flow| !flow.is_normal()).count();
            if lost > 0 {
                let what = format!(
                    "its {lost} flows are not carried over; they may filter (addresses, firewall)"
                );
                let remedy = "look at `ovs-ofctl dump-flows`, and filter at the ports (nftables)";
                self.import.note(&other.name, what, remedy);
            }
        }
        Ok(())
    }
}
