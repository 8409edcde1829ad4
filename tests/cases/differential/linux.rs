//! Linux: its own GRE devices.

use testbed::{
    Host,
    packet::Gre,
    suite::{Case, Need},
};

use crate::{
    comparison::{Peer, compare},
    receiver::{Framing, Order, Port, Receiver},
    table,
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
        Case::new("Linux and xgre agree on the order of packets", order)
            .needs(Need::Device("gre"))
            .needs(Need::Device("gretap")),
    ]
}

fn agree(peer: Peer, tenants: &[Tenant]) {
    let underlay = peer.underlay();
    let (host, wire) = tenants::host(underlay);
    let ports = tenants.iter().map(|tenant| device(&host, underlay, tenant, "")).collect();
    let linux = Receiver::new((&host.ns, "eth0"), &wire, underlay, ports, Order::Kept);
    compare(peer, &linux, &tenants::xgre(underlay, "", tenants));
}

/// The tenant's device.
fn device(host: &Host, underlay: Underlay, tenant: &Tenant, option: &str) -> Port {
    let device = format!("{}0", tenant.name);
    let version = if underlay == Underlay::V6 { "ip6" } else { "" };
    let kind = if tenant.is_l2 { "gretap" } else { "gre" };
    let (local, remote) = (underlay.local(), underlay.remote());
    let key = tenant.key.map_or(String::new(), |key| format!("key {key}"));
    let checksum = if tenant.checksum { "icsum" } else { "" };
    host.ns.ip(&format!(
        "link add {device} type {version}{kind} local {local} remote {remote} {key} {checksum} {option}"
    ));
    host.ns.offload(&device, "gro off");
    host.ns.ip(&format!("link set {device} up"));
    let framing = if tenant.is_l2 { Framing::Ethernet } else { Framing::Ip };
    Port { tenant: tenant.name, device, framing }
}

/// Sequence numbers of one key after the other, each with whether it is in order (RFC 2890 section 2.2).
fn order() {
    const NUMBERS: [(Option<u32>, bool); 18] = [
        (Some(0), true),
        (Some(0), false),
        (Some(1), true),
        (Some(5), true),
        (Some(5), false),
        (Some(3), false),
        (None, false),
        (Some(6), true),
        (Some(u32::MAX), false),
        (Some(0x8000_0007), false),
        (Some(0x8000_0006), true),
        (Some(0x8000_0005), false),
        (Some(0xffff_fff0), true),
        (Some(0xffff_fff0), false),
        (Some(3), true),
        (Some(0xffff_fff8), false),
        (Some(2), false),
        (Some(4), true),
    ];
    let (mut frames, mut delivered) = (vec![], vec![]);
    for (number, in_order) in NUMBERS {
        // Each key has numbers of its own.
        for packet in [table::blue(), table::plain()] {
            frames.push(number.into_iter().fold(packet, Gre::sequence).build());
            delivered.push(in_order);
        }
    }
    let underlay = Underlay::V4;
    let (host, wire) = tenants::host(underlay);
    let ports = TENANTS.iter().map(|tenant| device(&host, underlay, tenant, "iseq")).collect();
    let linux = Receiver::new((&host.ns, "eth0"), &wire, underlay, ports, Order::Kept);
    let theirs = linux.ask(&frames);
    let is_delivered: Vec<_> = theirs.iter().map(|outcome| !outcome.is_empty()).collect();
    assert_eq!(is_delivered, delivered, "Linux");
    for (mode, xgre) in tenants::xgre(underlay, "--seq", &TENANTS) {
        assert_eq!(xgre.ask(&frames), theirs, "xgre, {mode}");
    }
}
