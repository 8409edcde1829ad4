//! What every receiver is set up for.

use testbed::{Host, Netns, topology::sensor};

use crate::{
    receiver::{Framing, Order, Port, Receiver},
    underlay::Underlay,
};

/// Who gets packets.
#[derive(Clone, Copy)]
pub struct Tenant {
    /// Its name; its device is `NAME0`.
    pub name: &'static str,
    pub key: Option<u32>,
    pub is_l2: bool,
    /// Whether a receiver that must be told is told to expect GRE checksums.
    pub checksum: bool,
}

const fn l3(name: &'static str, key: Option<u32>) -> Tenant {
    Tenant { name, key, is_l2: false, checksum: false }
}

/// The one with Ethernet frames.
pub const GREEN: Tenant = Tenant { is_l2: true, ..l3("green", Some(20)) };

/// All of them.
pub const TENANTS: [Tenant; 5] = [
    l3("blue", Some(10)),
    l3("zero", Some(0)),
    l3("plain", None),
    GREEN,
    Tenant { checksum: true, ..l3("summed", Some(30)) },
];

/// The key of the tenant whose receiver expects checksums.
pub const SUMMED: Option<u32> = Some(30);

/// xgre, in both of its modes, with an option of the tunnel.
pub fn xgre(underlay: Underlay, option: &str, tenants: &[Tenant]) -> Vec<(&'static str, Receiver)> {
    let receiver = |mode| {
        let (host, wire) = host(underlay);
        let daemon = host.start(&format!("--iface eth0 --mode {mode}"));
        // XDP turns it on; merged packets would come late.
        host.ns.offload("eth0", "gro off");
        let ports = ports(&host, underlay, option, tenants);
        // The programs stay. The slow path would deliver behind the fence.
        daemon.kill();
        let at = (&host.ns, "eth0");
        let receiver = Receiver::new(at, &wire, underlay, ports, Order::Kept);
        (mode, receiver.keeping((host, wire)))
    };
    ["tc", "native"].map(receiver).into()
}

/// A host with the receivers' address on a wire.
pub fn host(underlay: Underlay) -> (Host, Netns) {
    let (host, wire) = sensor();
    if underlay == Underlay::V6 {
        host.ns.ip(&format!("addr add {}/64 dev eth0 nodad", underlay.local()));
    }
    (host, wire)
}

fn ports(host: &Host, underlay: Underlay, option: &str, tenants: &[Tenant]) -> Vec<Port> {
    let (local, remote) = (underlay.local(), underlay.remote());
    host.xgre(&format!("tunnel add t --local {local} --remote {remote} {option}")).ok();
    let port = |Tenant { name, key, is_l2, .. }: &Tenant| {
        let key = key.map_or("--no-key".to_owned(), |key| format!("--key {key}"));
        let service = if *is_l2 { "l2" } else { "l3" };
        host.xgre(&format!("tenant add {name} {key} --service {service} --tunnel t")).ok();
        host.xgre(&format!("port add {name} {name}0 --create")).ok();
        let framing = if *is_l2 { Framing::Ethernet } else { Framing::IpInEthernet };
        Port { tenant: name, device: format!("{name}0"), framing }
    };
    tenants.iter().map(port).collect()
}
