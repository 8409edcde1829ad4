//! Linux: its own GRE devices.

use testbed::{
    Host,
    suite::{Case, Need},
};

use crate::{
    comparison::{Peer, compare},
    receiver::{Framing, Order, Port, Receiver},
    tenants::{self, TENANTS, Tenant},
    underlay::Underlay,
};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Linux and xgre agree on every packet", || agree(Peer::Linux, &TENANTS))
            .needs(Need::Device("gre"))
            .needs(Need::Device("gretap")),
        Case::new("Linux and xgre agree on every packet over IPv6", || {
            // To Linux, key 0 is the same as none there.
            let tenants: Vec<_> = TENANTS.into_iter().filter(|t| t.key != Some(0)).collect();
            agree(Peer::Linux6, &tenants);
        })
        .needs(Need::Device("ip6gre"))
        .needs(Need::Device("ip6gretap")),
    ]
}

fn agree(peer: Peer, tenants: &[Tenant]) {
    let underlay = peer.underlay();
    let (host, wire) = tenants::host(underlay);
    let ports = tenants.iter().map(|tenant| device(&host, underlay, tenant)).collect();
    let linux = Receiver::new((&host.ns, "eth0"), &wire, underlay, ports, Order::Kept);
    compare(peer, &linux, &tenants::xgre(underlay, tenants));
}

/// The tenant's device.
fn device(host: &Host, underlay: Underlay, tenant: &Tenant) -> Port {
    let device = format!("{}0", tenant.name);
    let version = if underlay == Underlay::V6 { "ip6" } else { "" };
    let kind = if tenant.is_l2 { "gretap" } else { "gre" };
    let (local, remote) = (underlay.local(), underlay.remote());
    let key = tenant.key.map_or(String::new(), |key| format!("key {key}"));
    let checksum = if tenant.checksum { "icsum" } else { "" };
    host.ns.ip(&format!(
        "link add {device} type {version}{kind} local {local} remote {remote} {key} {checksum}"
    ));
    host.ns.offload(&device, "gro off");
    host.ns.ip(&format!("link set {device} up"));
    let framing = if tenant.is_l2 { Framing::Ethernet } else { Framing::Ip };
    Port { tenant: tenant.name, device, framing }
}
