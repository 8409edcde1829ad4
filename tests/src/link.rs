//! Links between namespaces. Addresses and the rest are set with [`Netns::ip`] and [`Netns::offload`].

use crate::netns::Netns;

/// A device in a namespace.
pub type End<'a> = (&'a Netns, &'a str);

/// Joins two namespaces by a pair of veth devices, both up.
#[track_caller]
pub fn veth((one, name): End<'_>, (two, peer): End<'_>) {
    one.ip(&format!("link add {name} type veth peer name {peer} netns {}", two.path()));
    one.ip(&format!("link set {name} up"));
    two.ip(&format!("link set {peer} up"));
}

/// Makes a bridge, up, out of devices of a namespace. A bridge has no native XDP.
#[track_caller]
pub fn bridge(ns: &Netns, name: &str, devices: &[&str]) {
    ns.ip(&format!("link add {name} type bridge forward_delay 0"));
    for device in devices {
        ns.ip(&format!("link set {device} master {name} up"));
    }
    ns.ip(&format!("link set {name} up"));
}
