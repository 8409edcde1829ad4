//! Linux: its own GRE devices.

use testbed::{
    Host,
    suite::{Case, Need},
    topology::sensor,
};

use crate::{
    comparison::{Peer, compare},
    receiver::{Framing, Order, Port, Receiver},
    tenants::{self, LOCAL, REMOTE, TENANTS, Tenant},
};

pub fn cases() -> Vec<Case> {
    let case = Case::new("Linux and xgre agree on every packet", agree);
    vec![case.needs(Need::Device("gre")).needs(Need::Device("gretap"))]
}

fn agree() {
    let (host, wire) = sensor();
    let linux = Receiver::new((&host.ns, "eth0"), &wire, devices(&host), Order::Kept);
    compare(Peer::Linux, &linux, &tenants::xgre(&TENANTS));
}

/// A device for each tenant.
fn devices(host: &Host) -> Vec<Port> {
    let device = |tenant: &Tenant| {
        let device = format!("{}0", tenant.name);
        let kind = if tenant.is_l2 { "gretap" } else { "gre" };
        let key = tenant.key.map_or(String::new(), |key| format!("key {key}"));
        let checksum = if tenant.checksum { "icsum" } else { "" };
        host.ns.ip(&format!(
            "link add {device} type {kind} local {LOCAL} remote {REMOTE} {key} {checksum}"
        ));
        host.ns.offload(&device, "gro off");
        host.ns.ip(&format!("link set {device} up"));
        let framing = if tenant.is_l2 { Framing::Ethernet } else { Framing::Ip };
        Port { tenant: tenant.name, device, framing }
    };
    TENANTS.iter().map(device).collect()
}
