//! Hosts ready joined.

use crate::{host::Host, link::veth, netns::Netns};

/// Two hosts on one wire: `eth0` of both, 192.0.2.1/24 and 192.0.2.2/24.
pub fn two_hosts() -> (Host, Host) {
    wired(["192.0.2.1/24", "192.0.2.2/24"])
}

/// Two hosts on one wire with the addresses given, `eth0` each.
pub fn wired([first, second]: [&str; 2]) -> (Host, Host) {
    let (one, two) = (Host::new(), Host::new());
    veth((&one.ns, "eth0"), (&two.ns, "eth0"));
    one.ns.ip(&format!("addr add {first} dev eth0"));
    two.ns.ip(&format!("addr add {second} dev eth0"));
    if first.contains(':') {
        // The kernel confirms a neighbour from a link-local address (RFC 4861 section 7.2.2), and gives it up where it has none.
        for (host, end) in [(&one, 1), (&two, 2)] {
            host.ns.ip(&format!("addr add fe80::{end}/64 dev eth0 nodad"));
        }
    }
    (one, two)
}

/// A host with `eth0`, 192.0.2.1/24, and the far end of its wire, also `eth0`: a namespace that sends
/// nothing by itself, so that every frame can be accounted for.
pub fn sensor() -> (Host, Netns) {
    let (host, wire) = (Host::new(), Netns::new());
    wire.sysctl("ipv6/conf/default/disable_ipv6", "1");
    veth((&host.ns, "eth0"), (&wire, "eth0"));
    host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    wire.ip("link set eth0 arp off");
    (host, wire)
}
