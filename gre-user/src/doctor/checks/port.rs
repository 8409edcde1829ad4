//! Ports: their devices, and what reaches them.

use gre_common::tables::{Delivery, PortMode};

use super::{Check, FINE, Host, Judge, Port, Severity, Told, Trouble, bad, when};
use crate::{
    doctor::facts::{Device, Fits},
    netlink::{generic::XdpFeatures, link::Link},
    state::port::Origin,
};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "port_missing",
        severity: Severity::Error,
        fine: "there is such an interface",
        judge: Judge::Port(missing),
    },
    Check {
        id: "port_down",
        severity: Severity::Warning,
        fine: "it is up",
        judge: Judge::Port(down),
    },
    Check {
        id: "port_mtu",
        severity: Severity::Warning,
        fine: "what it takes fits the tunnels",
        judge: Judge::Port(mtu),
    },
    Check {
        id: "port_rp_filter",
        severity: Severity::Warning,
        fine: "the kernel takes what it delivers",
        judge: Judge::Port(rp_filter),
    },
    Check {
        id: "port_redirect",
        severity: Severity::Note,
        fine: "it is reached the shortest way for its kind",
        judge: Judge::Port(redirect),
    },
    Check {
        id: "port_vlan_offload",
        severity: Severity::Warning,
        fine: "programs see VLAN tags",
        judge: Judge::Port(vlan_offload),
    },
    Check {
        id: "port_native_veth",
        severity: Severity::Warning,
        fine: "frames have complete checksums and their tags",
        judge: Judge::Port(native_veth),
    },
];

fn missing(_: &Host, port: &Port) -> Told {
    let Port { name, tenant, .. } = port;
    // In a file one that xgre is to make is not there yet.
    let is_to_be_made = port.origin != Origin::Existing && port.delivery.is_none();
    when(port.device.is_none() && !is_to_be_made, || {
        let cause = format!("its device is gone: what tenant {tenant} receives is dropped");
        Trouble::new(
            cause,
            format!("xgre port del {tenant} {name}  # or make the device, and add the port again"),
        )
    })
}

/// The end that users know.
fn end(port: &Port) -> Option<&Device> {
    match port.origin {
        Origin::Created => port.other_end.as_ref(),
        _ => port.device.as_ref(),
    }
}

fn down(_: &Host, port: &Port) -> Told {
    let ends = [port.device.as_ref(), port.other_end.as_ref()];
    port.device.as_ref()?;
    let down = ends.into_iter().flatten().find(|device| !device.link.up);
    let Some(Device { link: Link { name, .. }, .. }) = down else { return FINE };
    bad(format!("{name} is down"), format!("ip link set {name} up"))
}

fn mtu(_: &Host, port: &Port) -> Told {
    let device = end(port)?;
    let (name, mtu) = (&device.link.name, device.link.mtu);
    let Fits { inner, overhead } = port.fits?;
    when(mtu > inner, || {
        let needed = mtu + overhead;
        let cause = format!(
            "MTU {mtu}, and the tunnels carry {inner}: {mtu} + {overhead} bytes of headers need an underlay of {needed}"
        );
        let inside = if port.origin == Origin::Created {
            ""
        } else {
            ", and the same in the machine behind it"
        };
        Trouble::new(
            cause,
            format!(
                "ip link set {name} mtu {inner}  # or raise the underlay's to {needed}{inside}"
            ),
        )
    })
}

fn rp_filter(_: &Host, port: &Port) -> Told {
    let device = end(port)?;
    let Some(detour) = port.detours.first().filter(|_| device.is_strict) else { return FINE };
    let name = &device.link.name;
    let cause = format!(
        "rp_filter is strict, and the route back to {} leaves by {}: the kernel drops what comes from there",
        detour.address, detour.by
    );
    bad(cause, format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2  # or correct the routes"))
}

fn redirect(_: &Host, port: &Port) -> Told {
    let device = port.device.as_ref()?;
    let is_wire = matches!(device.link.kind.as_deref(), None | Some("tun"));
    let transmits = device.xdp?.has(XdpFeatures::TRANSMIT);
    when(is_wire && !transmits && port.delivery.is_none_or(|it| it == Delivery::PASS), || {
        let cause =
            "its driver transmits no frames of XDP: it is delivered to by TC, which costs more";
        Trouble::new(
            cause,
            "use a NIC whose driver transmits for XDP, or leave it: TC does the same",
        )
    })
}

fn vlan_offload(_: &Host, port: &Port) -> Told {
    let device = port.device.as_ref()?;
    if device.is_veth() || port.mode == PortMode::TC {
        return None;
    }
    if device.offloads.rx_vlan != Some(true) {
        return FINE;
    }
    let cause = match port.mode {
        PortMode::NATIVE => {
            "the NIC takes VLAN tags out of frames before XDP: packets of its VLANs become the tenant's"
        }
        PortMode::AUTO if device.xdp.is_some_and(|it| it.has(XdpFeatures::BASIC)) => {
            "the NIC takes VLAN tags out of frames, so TC sends what XDP could"
        }
        _ => return FINE,
    };
    let name = &device.link.name;
    bad(cause, format!("ethtool -K {name} rxvlan off  # then add the port again"))
}

fn native_veth(_: &Host, port: &Port) -> Told {
    let device = port.device.as_ref().filter(|device| device.is_veth())?;
    let sender = port.other_end.as_ref()?;
    let offloads = sender.offloads;
    let leaves = offloads.tx_checksum == Some(true) || offloads.tx_vlan == Some(true);
    when(port.mode == PortMode::NATIVE && leaves, || {
        let (name, other) = (&device.link.name, &sender.link.name);
        let cause = format!(
            "{name} has XDP, and {other} leaves checksums or VLAN tags to the device: broken packets are sent"
        );
        Trouble::new(
            cause,
            format!("ethtool -K {other} tx off txvlan off  # or add the port with --mode tc"),
        )
    })
}

#[cfg(test)]
mod tests {
    use gre_common::tables::PortMode;

    use crate::doctor::sample::{good, told};
    use crate::{
        doctor::facts::{Detour, Device, Host},
        netlink::generic::XdpFeatures,
        state::port::Origin,
    };

    fn broken(change: impl FnOnce(&mut Host)) -> Vec<&'static str> {
        let mut host = good();
        change(&mut host);
        told(&host)
    }

    fn device(host: &mut Host) -> &mut Device {
        host.ports[0].device.as_mut().expect("a device")
    }

    fn other_end(host: &mut Host) -> &mut Device {
        host.ports[0].other_end.as_mut().expect("another end")
    }

    /// A NIC as port.
    fn nic(host: &mut Host) {
        host.ports[0].origin = Origin::Existing;
        host.ports[0].other_end = None;
        host.ports[0].mode = PortMode::AUTO;
        let device = device(host);
        device.link.kind = None;
        device.xdp = Some(XdpFeatures(1 | 4 | 32));
    }

    #[test]
    fn its_devices() {
        assert_eq!(broken(|host| host.ports[0].device = None), ["port_missing"]);
        assert_eq!(broken(|host| other_end(host).link.up = false), ["port_down"]);
        assert!(broken(nic).is_empty());
    }

    #[test]
    fn a_port_that_is_still_to_be_made() {
        let planned = |host: &mut Host| {
            let port = &mut host.ports[0];
            (port.device, port.other_end, port.delivery) = (None, None, None);
        };
        assert!(broken(planned).is_empty());
    }

    #[test]
    fn packets_that_do_not_fit() {
        let mut host = good();
        other_end(&mut host).link.mtu = 1500;
        let found = crate::doctor::judge(&host);
        let mtu = found.iter().find(|it| it.id == "port_mtu").expect("a row");
        assert_eq!(
            mtu.cause,
            "MTU 1500, and the tunnels carry 1472: 1500 + 28 bytes of headers need an underlay of 1528"
        );
        let remedy = mtu.remedy.as_deref().expect("a remedy");
        assert!(remedy.starts_with("ip link set blue0 mtu 1472 "), "{remedy}");
    }

    #[test]
    fn a_strict_kernel() {
        let detour = |host: &mut Host| {
            let by = "eth0".to_owned();
            host.ports[0].detours.push(Detour { address: [10, 9, 0, 2].into(), by });
        };
        assert!(broken(detour).is_empty());
        let strict = |host: &mut Host| {
            detour(host);
            other_end(host).is_strict = true;
        };
        assert_eq!(broken(strict), ["port_rp_filter"]);
    }

    #[test]
    fn a_nic_as_port() {
        let deaf = |host: &mut Host| {
            nic(host);
            device(host).xdp = Some(XdpFeatures(1));
        };
        assert_eq!(broken(deaf), ["port_redirect"]);
        let strips = |host: &mut Host| {
            nic(host);
            device(host).offloads.rx_vlan = Some(true);
        };
        assert_eq!(broken(strips), ["port_vlan_offload"]);
    }

    #[test]
    fn native_xdp_of_a_local_sender() {
        let native = |host: &mut Host| {
            host.ports[0].mode = PortMode::NATIVE;
            other_end(host).offloads.tx_checksum = Some(true);
        };
        assert_eq!(broken(native), ["port_native_veth"]);
    }
}
