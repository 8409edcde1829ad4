//! Tunnels: how their packets leave, and whether answers come.

use super::{Check, FINE, Host, Judge, Severity, Told, Trouble, Tunnel, bad, when};
use crate::netlink::next_hop::Acquaintance;

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "local_address",
        severity: Severity::Error,
        fine: "the local address is one of this host",
        judge: Judge::Tunnel(local_address),
    },
    Check {
        id: "no_route",
        severity: Severity::Error,
        fine: "there is a route to the remote address",
        judge: Judge::Tunnel(no_route),
    },
    Check {
        id: "recursive_route",
        severity: Severity::Error,
        fine: "the tunnel's packets do not go into a tunnel's port",
        judge: Judge::Tunnel(recursive),
    },
    Check {
        id: "no_uplink_there",
        severity: Severity::Warning,
        fine: "its packets leave by an uplink",
        judge: Judge::Tunnel(no_uplink),
    },
    Check {
        id: "neighbour",
        severity: Severity::Warning,
        fine: "the next hop's MAC address is known",
        judge: Judge::Tunnel(neighbour),
    },
    Check {
        id: "uplink_rp_filter",
        severity: Severity::Warning,
        fine: "the kernel takes what the slow path needs",
        judge: Judge::Tunnel(rp_filter),
    },
    Check {
        id: "tunnel_down",
        severity: Severity::Warning,
        fine: "the other end answers, or is not asked",
        judge: Judge::Tunnel(down),
    },
    Check {
        id: "tunnel_mtu",
        severity: Severity::Warning,
        fine: "the path carries what --mtu says",
        judge: Judge::Tunnel(mtu),
    },
];

fn local_address(host: &Host, tunnel: &Tunnel) -> Told {
    let device = host.uplinks.first().map_or("IFACE", |uplink| &uplink.name);
    let local = tunnel.local;
    when(!tunnel.is_local, || {
        let cause = format!("{local} is no address of this host: nothing is sent");
        let bits = if local.is_ipv4() { 32 } else { 128 };
        Trouble::new(
            cause,
            format!("ip addr add {local}/{bits} dev {device}  # with the prefix of its network"),
        )
    })
}

fn no_route(host: &Host, tunnel: &Tunnel) -> Told {
    let device = host.uplinks.first().map_or("IFACE", |uplink| &uplink.name);
    let Tunnel { local, remote, .. } = tunnel;
    if !tunnel.is_local {
        return None;
    }
    when(tunnel.route.is_none(), || {
        let cause = format!("the kernel has no route from {local} to {remote}: nothing is sent");
        Trouble::new(cause, format!("ip route add {remote} via GATEWAY dev {device}"))
    })
}

fn recursive(_: &Host, tunnel: &Tunnel) -> Told {
    let route = tunnel.route.as_ref()?;
    let Some(port) = &route.into_port else { return FINE };
    let Tunnel { remote, .. } = tunnel;
    let cause =
        format!("the route to {remote} leads back into port {port}: the tunnel would carry itself");
    bad(
        cause,
        format!(
            "ip route add {remote} via GATEWAY dev UPLINK  # more specific than the one by {port}"
        ),
    )
}

fn no_uplink(host: &Host, tunnel: &Tunnel) -> Told {
    let route = tunnel.route.as_ref().filter(|route| route.into_port.is_none())?;
    let device = &route.link.name;
    let names: Vec<_> = host.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
    let all_known = !names.is_empty() && host.devices().count() == names.len();
    when(all_known && !host.is_covered(&route.link), || {
        let cause = format!(
            "packets leave by {device}, which is no uplink: nobody takes what comes back there"
        );
        Trouble::new(cause, format!("xgre run --iface {} {device}", names.join(" ")))
    })
}

fn neighbour(_: &Host, tunnel: &Tunnel) -> Told {
    let route = tunnel.route.as_ref().filter(|route| route.into_port.is_none())?;
    let next = route.next?;
    let device = &route.link.name;
    let cause = match (route.acquaintance, route.is_resolved) {
        (Acquaintance::Failed, _) => format!("{next} does not answer on {device}: nothing arrives"),
        (Acquaintance::Unknown, Some(false)) => {
            format!(
                "the MAC address of {next} on {device} is not known: the kernel asks with every packet"
            )
        }
        _ => return FINE,
    };
    bad(cause, format!("ping -c 1 -I {device} {next}  # is it up, on this wire, in this VLAN?"))
}

fn rp_filter(host: &Host, tunnel: &Tunnel) -> Told {
    let route = tunnel.route.as_ref().filter(|_| tunnel.remote.is_ipv4())?;
    let leaves_by = &route.link.name;
    let home = host.devices().find(|device| {
        let is_home = tunnel.home.contains(&device.link.ifindex);
        is_home && device.is_strict && device.link.ifindex != route.link.ifindex
    });
    let Some(home) = home else { return FINE };
    let name = &home.link.name;
    let remote = tunnel.remote;
    let cause = format!(
        "rp_filter is strict on {name}, and the route back to {remote} leaves by {leaves_by}: fragments, keepalives and ICMP from there are dropped"
    );
    bad(cause, format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2"))
}

fn down(_: &Host, tunnel: &Tunnel) -> Told {
    let Tunnel { local, remote, .. } = tunnel;
    when(tunnel.is_down, || {
        let cause = format!(
            "{remote} leaves keepalives unanswered: it is away, or does not let GRE through"
        );
        Trouble::new(cause, format!("ping -c 3 -I {local} {remote}"))
    })
}

fn mtu(_: &Host, tunnel: &Tunnel) -> Told {
    let route = tunnel.route.as_ref()?;
    let asked = u32::from(tunnel.mtu?);
    let needed = asked + tunnel.overhead;
    let device = &route.link.name;
    when(needed > route.mtu, || {
        let cause = format!(
            "packets of --mtu {asked} take {needed} bytes with their headers, and the path carries {}",
            route.mtu
        );
        Trouble::new(cause, format!("ip link set {device} mtu {needed}  # and on the whole way"))
    })
}

#[cfg(test)]
mod tests {
    use crate::doctor::sample::{device, good, link, told, uplink};
    use crate::{
        doctor::facts::{Host, Route},
        netlink::next_hop::Acquaintance,
    };

    fn broken(change: impl FnOnce(&mut Host)) -> Vec<&'static str> {
        let mut host = good();
        change(&mut host);
        told(&host)
    }

    fn route(host: &mut Host) -> &mut Route {
        host.tunnels[0].route.as_mut().expect("a route")
    }

    #[test]
    fn no_way_to_send() {
        let nowhere = |host: &mut Host| host.tunnels[0].route = None;
        assert_eq!(broken(nowhere), ["no_route"]);
        let elsewhere = |host: &mut Host| {
            nowhere(host);
            host.tunnels[0].is_local = false;
        };
        assert_eq!(broken(elsewhere), ["local_address"], "one cause is told once");
    }

    #[test]
    fn ways_that_are_wrong() {
        let into = |host: &mut Host| route(host).into_port = Some("blue0".to_owned());
        assert_eq!(broken(into), ["recursive_route"]);
        let other = |host: &mut Host| route(host).link = link(9, "eth9");
        assert_eq!(broken(other), ["no_uplink_there"]);
    }

    #[test]
    fn neighbours() {
        let hop = |acquaintance, is_resolved| {
            broken(|host| {
                route(host).acquaintance = acquaintance;
                route(host).is_resolved = is_resolved;
            })
        };
        assert_eq!(hop(Acquaintance::Failed, Some(false)), ["neighbour"]);
        assert_eq!(hop(Acquaintance::Failed, None), ["neighbour"]);
        assert_eq!(hop(Acquaintance::Unknown, Some(false)), ["neighbour"]);
        assert!(hop(Acquaintance::Unknown, Some(true)).is_empty(), "the daemon remembers");
        assert!(hop(Acquaintance::Unknown, None).is_empty(), "nobody has asked yet");
    }

    #[test]
    fn answers_that_the_kernel_drops() {
        let two = |host: &mut Host| {
            device(host).is_strict = true;
            host.uplinks.push(uplink(3, "eth1"));
            let eth1 = host.uplinks[1].device.as_ref().expect("a device").link.clone();
            host.links.push(eth1.clone());
            route(host).link = eth1;
        };
        assert_eq!(broken(two), ["uplink_rp_filter"]);
        let loose = |host: &mut Host| {
            two(host);
            device(host).is_strict = false;
        };
        assert!(broken(loose).is_empty());
    }

    #[test]
    fn a_silent_end_and_too_much_at_once() {
        assert_eq!(broken(|host| host.tunnels[0].is_down = true), ["tunnel_down"]);
        assert_eq!(broken(|host| host.tunnels[0].mtu = Some(1473)), ["tunnel_mtu"]);
        assert!(broken(|host| host.tunnels[0].mtu = Some(1472)).is_empty());
    }
}
