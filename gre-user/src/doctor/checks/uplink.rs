//! Uplinks: what their drivers can do, and what they do to frames.

use gre_common::tables::{PortMode, UplinkMode};

use super::{
    Check, FINE, Host, Judge, Severity, Told, Trouble, Uplink, bad, kernel::XDP_FRAGMENTS, when,
};
use crate::{doctor::facts::Device, netlink::generic::XdpFeatures};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "uplink_missing",
        severity: Severity::Error,
        fine: "there is such an interface",
        judge: Judge::Uplink(missing),
    },
    Check {
        id: "uplink_not_ethernet",
        severity: Severity::Error,
        fine: "it has an Ethernet header",
        judge: Judge::Uplink(not_ethernet),
    },
    Check {
        id: "uplink_down",
        severity: Severity::Error,
        fine: "it is up",
        judge: Judge::Uplink(down),
    },
    Check {
        id: "native_xdp",
        severity: Severity::Note,
        fine: "it has the best mode for its kind",
        judge: Judge::Uplink(native_xdp),
    },
    Check {
        id: "veth_native",
        severity: Severity::Note,
        fine: "it is a wire, or has no native XDP",
        judge: Judge::Uplink(veth_native),
    },
    Check {
        id: "xdp_frags",
        severity: Severity::Warning,
        fine: "XDP takes frames as long as its MTU",
        judge: Judge::Uplink(frags),
    },
    Check {
        id: "xdp_transmit",
        severity: Severity::Note,
        fine: "it transmits what ports send by XDP, or none does",
        judge: Judge::Uplink(transmit),
    },
    Check {
        id: "lro",
        severity: Severity::Warning,
        fine: "it merges nothing that programs should see",
        judge: Judge::Uplink(lro),
    },
    Check {
        id: "gro",
        severity: Severity::Note,
        fine: "received TCP segments are merged",
        judge: Judge::Uplink(gro),
    },
    Check {
        id: "one_queue",
        severity: Severity::Note,
        fine: "more than one CPU takes packets off it, or there is only one",
        judge: Judge::Uplink(one_queue),
    },
    Check {
        id: "steered_veth",
        severity: Severity::Warning,
        fine: "no checksums are lost on the way to another CPU",
        judge: Judge::Uplink(steered_veth),
    },
];

/// What XDP in the driver leaves of a page of 4096 bytes for a frame behind its Ethernet header, in bytes: the rest is headroom
/// and `struct skb_shared_info` (`veth_xdp_set`). Many drivers take a little less.
const PAGE_ROOM: u32 = 3506;

fn missing(_: &Host, uplink: &Uplink) -> Told {
    let remedy = "ip link  # then name one of these";
    when(uplink.device.is_none(), || Trouble::new("there is no such interface", remedy))
}

fn not_ethernet(_: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    when(device.link.mac.is_none(), || {
        let cause = "its frames have no Ethernet header, and xgre needs one";
        Trouble::new(cause, "name an Ethernet device, or the one below it, as --iface")
    })
}

fn down(_: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    let remedy = format!("ip link set {} up", uplink.name);
    when(!device.link.up, || Trouble::new("it is down", remedy))
}

/// Whether XDP in its driver is used, or will be: `auto` prefers it.
fn is_native(uplink: &Uplink) -> bool {
    match uplink.mode {
        Some(mode) => mode == UplinkMode::NATIVE,
        None => uplink.device.as_ref().is_some_and(|device| can_native(device) != Some(false)),
    }
}

/// Whether XDP runs in its driver, if the kernel tells.
fn can_native(device: &Device) -> Option<bool> {
    if device.link.kind.as_deref() == Some("bond") {
        return Some(false);
    }
    device.xdp.map(|features| features.has(XdpFeatures::BASIC))
}

fn native_xdp(host: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    let name = &uplink.name;
    let is_tc = uplink.mode.is_none_or(|mode| !mode.has_xdp());
    let link = &device.link;
    let parts = host.links.iter().filter(|it| it.master == Some(link.ifindex));
    let below = host.links.iter().filter(|it| link.below == Some(it.ifindex));
    let parts: Vec<_> = parts.chain(below).map(|it| it.name.as_str()).collect();
    match (can_native(device), link.kind.as_deref()) {
        _ if !is_tc => FINE,
        (Some(false), _) if !parts.is_empty() => {
            let cause = "XDP does not run on it, only TC; what is below it may have XDP";
            bad(cause, format!("xgre run --iface {}", parts.join(" ")))
        }
        (Some(false), _) => {
            let cause = "its driver has no XDP: packets are taken off by TC";
            bad(cause, "use a NIC whose driver has XDP, or leave it: TC does the same")
        }
        (_, None) if uplink.mode.is_some() => {
            let cause = "xgre takes packets off this NIC by TC: that was asked for, or the driver refused XDP";
            let remedy =
                format!("xgre run --iface {name} --mode native  # tells why it is refused");
            bad(cause, remedy)
        }
        _ => FINE,
    }
}

fn veth_native(_: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    when(is_native(uplink) && device.is_veth(), || {
        let cause = "with native XDP the other end of a veth pair segments every large packet, which about halves TCP";
        Trouble::new(cause, format!("xgre run --iface {} --mode tc", uplink.name))
    })
}

fn frags(host: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    let mtu = device.link.mtu;
    // Of a veth uplink TC was asked for: its driver does not refuse.
    let may_be_refused = uplink.mode == Some(UplinkMode::TC) && !device.is_veth();
    if !is_native(uplink) && !may_be_refused {
        return None;
    }
    if mtu <= PAGE_ROOM {
        return FINE;
    }
    let basic = device.xdp.is_some_and(|features| features.has(XdpFeatures::BASIC));
    let no_frags = basic && !device.xdp.is_some_and(|it| it.has(XdpFeatures::FRAGMENTS));
    let cause = if host.kernel.release < XDP_FRAGMENTS {
        "frames of this MTU do not fit a page, and XDP takes longer ones from Linux 5.18 on"
    } else if no_frags {
        "frames of this MTU do not fit a page, and its driver takes no longer ones by XDP"
    } else {
        return FINE;
    };
    let cause = format!("MTU {mtu}: {cause}; TC does all of it");
    bad(cause, format!("ip link set {} mtu {PAGE_ROOM}", uplink.name))
}

fn transmit(host: &Host, uplink: &Uplink) -> Told {
    let features = uplink.device.as_ref()?.xdp?;
    let by_xdp = host.ports.iter().find(|port| port.mode == PortMode::NATIVE)?;
    when(!features.has(XdpFeatures::TRANSMIT), || {
        let port = &by_xdp.name;
        let cause = format!(
            "it transmits no frames of XDP: port {port} has XDP, and TC sends all the same"
        );
        Trouble::new(cause, format!("give port {port} --mode tc, or use an uplink that transmits"))
    })
}

fn lro(_: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    when(device.offloads.lro?, || {
        let cause = "the NIC merges packets (LRO) before programs see them: lengths are wrong, and many drivers refuse XDP";
        Trouble::new(cause, format!("ethtool -K {} lro off", uplink.name))
    })
}

fn gro(_: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    when(!device.offloads.gro?, || {
        let cause = "GRO is off: tenants' TCP segments stay single, and each costs as much as a merged 64 KiB packet";
        Trouble::new(cause, format!("ethtool -K {} gro on", uplink.name))
    })
}

fn one_queue(host: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref()?;
    let queues = device.queues?;
    // Without GRO and XDP a veth device has no queue: the sender's CPU does all, as of other virtual devices.
    let is_queued = match device.link.kind.as_deref() {
        None => true,
        Some("veth") => is_native(uplink) || device.offloads.gro == Some(true),
        Some(_) => false,
    };
    if !is_queued {
        return None;
    }
    let (name, cpus) = (&uplink.name, host.kernel.cpus);
    if queues.used > 1 || cpus < 2 || host.state.steers {
        return FINE;
    }
    let cause = format!("one receive queue, so one of {cpus} CPUs does all the work");
    let wanted = queues.max.min(cpus as u32);
    let kind = if queues.combined { "combined" } else { "rx" };
    let steer = format!("xgre run --iface {name} --steer inner");
    let more = format!("ethtool -L {name} {kind} {wanted}  # for many tunnels; for one: {steer}");
    bad(cause, if wanted < 2 { steer } else { more })
}

fn steered_veth(host: &Host, uplink: &Uplink) -> Told {
    let device = uplink.device.as_ref().filter(|_| host.state.steers)?;
    when(device.is_veth(), || {
        let cause = "--steer sends frames to other CPUs, where they lose the mark of a checksum that a sender on this machine left to the device";
        Trouble::new(
            cause,
            "leave out --steer, or turn checksum offload off at the other end (`ethtool -K DEV tx off`)",
        )
    })
}

#[cfg(test)]
mod tests {
    use gre_common::tables::{IfIndex, PortMode, UplinkMode};

    use crate::doctor::sample::{device, good, link, told};
    use crate::{
        doctor::facts::Host,
        netlink::{ethtool::Queues, generic::XdpFeatures},
    };

    fn broken(change: impl FnOnce(&mut Host)) -> Vec<&'static str> {
        let mut host = good();
        change(&mut host);
        told(&host)
    }

    #[test]
    fn the_interface_itself() {
        assert_eq!(broken(|host| host.uplinks[0].device = None), ["uplink_missing"]);
        let down = |host: &mut Host| device(host).link.up = false;
        assert_eq!(broken(down), ["uplink_down"]);
        let tun = |host: &mut Host| device(host).link.mac = None;
        assert_eq!(broken(tun), ["uplink_not_ethernet"]);
    }

    #[test]
    fn a_driver_without_xdp() {
        let none = |mode| {
            broken(|host| {
                device(host).xdp = Some(XdpFeatures(0));
                host.uplinks[0].mode = mode;
            })
        };
        assert_eq!(none(Some(UplinkMode::TC)), ["native_xdp"]);
        assert_eq!(none(None), ["native_xdp"], "before the first run");
        assert!(none(Some(UplinkMode::GENERIC)).is_empty(), "it was asked for");
    }

    #[test]
    fn xdp_that_was_refused_or_not_wanted() {
        let tc = |kind: Option<&str>| {
            broken(|host| {
                device(host).link.kind = kind.map(str::to_owned);
                host.uplinks[0].mode = Some(UplinkMode::TC);
            })
        };
        assert_eq!(tc(None), ["native_xdp"]);
        assert!(tc(Some("veth")).is_empty(), "TC is the best for veth");
    }

    #[test]
    fn a_bond_names_its_ports() {
        let mut host = good();
        device(&mut host).link.kind = Some("bond".to_owned());
        host.uplinks[0].mode = Some(UplinkMode::TC);
        let mut port = link(7, "eth7");
        port.master = Some(device(&mut host).link.ifindex);
        host.links.push(port);
        let found = crate::doctor::judge(&host);
        let native = found.iter().find(|finding| finding.id == "native_xdp").expect("a finding");
        assert_eq!(native.remedy.as_deref(), Some("xgre run --iface eth7"));
    }

    #[test]
    fn a_veth_pair() {
        let veth = |host: &mut Host| device(host).link.kind = Some("veth".to_owned());
        assert_eq!(broken(veth), ["veth_native"]);
        let steered = |host: &mut Host| {
            veth(host);
            host.state.steers = true;
        };
        assert_eq!(broken(steered), ["veth_native", "steered_veth"]);
    }

    #[test]
    fn frames_longer_than_a_page() {
        let jumbo = |release, features: XdpFeatures| {
            broken(|host| {
                host.kernel.release = release;
                let device = device(host);
                device.link.mtu = 9000;
                device.xdp = Some(features);
            })
        };
        let basic = XdpFeatures(1 | 4);
        assert_eq!(jumbo((6, 18), basic), ["xdp_frags"]);
        assert!(jumbo((6, 18), XdpFeatures(1 | 4 | 32)).is_empty());
        assert!(jumbo((5, 15), XdpFeatures(1 | 4 | 32)).contains(&"xdp_frags"));
    }

    #[test]
    fn an_uplink_that_does_not_transmit_for_xdp() {
        let native = |host: &mut Host| {
            device(host).xdp = Some(XdpFeatures::BASIC);
            host.ports[0].mode = PortMode::NATIVE;
        };
        assert_eq!(broken(native), ["xdp_transmit"]);
    }

    #[test]
    fn offloads() {
        assert_eq!(broken(|host| device(host).offloads.lro = Some(true)), ["lro"]);
        assert_eq!(broken(|host| device(host).offloads.gro = Some(false)), ["gro"]);
    }

    #[test]
    fn one_queue() {
        let queues = |max| {
            move |host: &mut Host| {
                device(host).queues = Some(Queues { used: 1, max, combined: true });
            }
        };
        assert_eq!(broken(queues(8)), ["one_queue"]);
        assert_eq!(broken(queues(1)), ["one_queue"]);
        let alone = |host: &mut Host| {
            queues(8)(host);
            host.kernel.cpus = 1;
        };
        assert!(broken(alone).is_empty());
        let steered = |host: &mut Host| {
            queues(8)(host);
            host.state.steers = true;
        };
        assert!(broken(steered).is_empty());
    }

    #[test]
    fn an_interface_above_an_uplink_is_covered() {
        let mut host = good();
        let mut vlan = link(8, "eth0.5");
        vlan.below = Some(device(&mut host).link.ifindex);
        host.links.push(vlan.clone());
        let mut above = link(9, "eth0.5.6");
        above.below = Some(vlan.ifindex);
        let bridge = link(10, "br0");
        device(&mut host).link.master = Some(bridge.ifindex);
        assert!(host.is_covered(&above) && host.is_covered(&bridge));
        assert!(!host.is_covered(&link(11, "eth9")));
        assert_ne!(vlan.ifindex, IfIndex::NONE);
    }
}
