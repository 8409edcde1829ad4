//! The kernel's GRE devices.
//!
//! A device becomes a tenant, and the tunnel between its ends is shared with the devices that differ only by their key. Its
//! port is a device that xgre makes. What the device holds moves to that by [`moves`](super::moves).

use std::net::IpAddr;

use gre_common::{
    tables::FieldPolicy,
    wire::{ethernet, gre, ipv4, ipv6},
};

use super::{Import, Underlay, moves::Moves, plain_tunnel, quoted};
use crate::{
    config::model::{Tenant, Tunnel},
    netlink::{
        Netlink,
        gre::{Device, Parameters, Payload},
        link::Link,
    },
    value::{Key, Mtu, Service, Tos, Ttl},
};

/// Longest name of an interface, in bytes.
const MAX_NAME: usize = 15;
/// The kernel's `ip6gre` devices leave room for an option against tunnels in tunnels, in bytes.
const ENCAP_LIMIT: u32 = 8;

/// Reads the devices of this network namespace. The new ones are called like them, with `suffix` behind it: without one
/// the old device has to go first; with one both are there for a while.
///
/// # Errors
/// The kernel does not answer.
pub async fn read(netlink: &Netlink, suffix: &str) -> anyhow::Result<Import> {
    let (holdings, links) = (netlink.holdings().await?, netlink.links().await?);
    let mut import = Import::default();
    let mut moves = Moves::new(&holdings, &links);
    let mut old = Vec::new();
    for device in netlink.gre_devices().await?.iter().filter(|device| !device.is_fallback()) {
        let Some(new) = carry(&mut import, netlink, device, &links, suffix).await? else {
            continue;
        };
        moves.add(&device.link, &new);
        old.push(format!("ip link del {}", quoted(&device.link.name)));
    }
    if suffix.is_empty() {
        import.steps.before = old;
        moves.write(&mut import);
    } else {
        moves.write(&mut import);
        import.steps.after.extend(old);
    }
    Ok(import.finish())
}

/// Carries a device over, and gives the name of its port; `None`: it cannot be, and a note says why.
async fn carry(
    import: &mut Import,
    netlink: &Netlink,
    device: &Device,
    links: &[Link],
    suffix: &str,
) -> anyhow::Result<Option<String>> {
    let Device { link, parameters, .. } = device;
    if let Some((what, remedy)) = obstacle(device) {
        import.note(&link.name, what, remedy);
        return Ok(None);
    }
    // An obstacle where there is none.
    let Some(remote) = parameters.remote else { return Ok(None) };
    let underlay = import.way(netlink, parameters.local, remote).await?;
    let Some(local) = parameters.local.or(underlay.as_ref().and_then(|it| it.source)) else {
        let what =
            format!("it has no local address, and there is no route to {remote} that tells one");
        import.note(&link.name, what, "give it one (`ip link set` with `local`) and import again");
        return Ok(None);
    };
    let mtu = mtu(import, device, underlay.as_ref());
    let Some(tunnel) = import.tunnel(&link.name, &tunnel(parameters, local, remote, mtu)) else {
        return Ok(None);
    };
    let [in_key, out_key] = [parameters.input, parameters.output]
        .map(|fields| fields.key.map(|key| Key(gre::GreKey(key))));
    let service = service(device);
    let tenant = Tenant {
        name: link.name.clone(),
        in_key,
        second_in_key: None,
        out_key,
        tunnels: vec![tunnel],
        service,
        sources: Vec::new(),
        rate: None,
    };
    let Some(tenant) = import.tenant(&link.name, tenant) else { return Ok(None) };
    let port = port_name(&link.name, suffix, links);
    import.port(&tenant, &port, true);
    uplinks(import, device, underlay.as_ref(), remote, links);
    tell_what_is_lost(import, device);
    Ok(Some(port))
}

/// Why a device cannot be carried over, and what to do.
fn obstacle(device: &Device) -> Option<(String, String)> {
    let Parameters { remote, input, output, .. } = &device.parameters;
    let kept = "it is left out and keeps working beside xgre";
    let (what, remedy) = if device.payload == Payload::Erspan {
        ("it mirrors frames (ERSPAN), which xgre does not", "")
    } else if device.is_foreign {
        let what = "its GRE packets are those of another network namespace";
        (what, "import there, and move the created device here (`ip link set NAME netns`)")
    } else if device.parameters.external {
        let what = "whoever sends by it chooses addresses and key with each packet (external)";
        (what, "import that instead: `xgre import ovs` where it is Open vSwitch")
    } else if let Some(encap) = &device.parameters.encap {
        let what = format!("its packets are inside UDP ({encap}), which xgre does not do");
        let remedy = "turn encap off at both ends to carry it over";
        return Some((what, format!("{kept}; {remedy}")));
    } else if remote.is_none_or(|remote| remote.is_multicast()) {
        let what = "it has no remote address of one host: it is a tunnel to many";
        (what, "make a tunnel to each of them")
    } else if input.key.is_some() != output.key.is_some() {
        let what = "it has a key in one direction only";
        (what, "give it both keys or none, at both ends, to carry it over")
    } else if output.seq && !input.seq {
        let what = "it sends sequence numbers and wants none, where xgre's seq does both";
        (what, "give it iseq, and the other end oseq, to carry it over")
    } else {
        return None;
    };
    let remedy = if remedy.is_empty() { kept.to_owned() } else { format!("{kept}; {remedy}") };
    Some((what.to_owned(), remedy))
}

fn tunnel(parameters: &Parameters, local: IpAddr, remote: IpAddr, mtu: Option<Mtu>) -> Tunnel {
    let field = |value: Option<u8>| value.map_or(FieldPolicy::INHERIT, FieldPolicy::fixed);
    // The low two bits are ECN, which follows the inner packet.
    let tos = parameters.tos.map(|tos| tos & !3);
    Tunnel {
        ttl: Ttl(field(parameters.ttl)),
        tos: Tos(field(tos)),
        df: parameters.df,
        csum: parameters.output.csum,
        seq: parameters.output.seq,
        mtu,
        ..plain_tunnel(local, remote)
    }
}

fn service(device: &Device) -> Service {
    if device.payload == Payload::Ethernet { Service::L2 } else { Service::L3 }
}

/// The MTU of a device where somebody gave it a smaller one than fits.
fn mtu(import: &mut Import, device: &Device, underlay: Option<&Underlay>) -> Option<Mtu> {
    let Device { link, parameters, .. } = device;
    let fits = underlay?.link.mtu.checked_sub(outer_len(device))?;
    let is_v6 = parameters.remote.is_some_and(|remote| remote.is_ipv6());
    let least = fits.saturating_sub(if is_v6 { ENCAP_LIMIT } else { 0 });
    if link.mtu > fits {
        let what = format!(
            "its MTU is {}, and only {fits} bytes fit without fragments of the outer packets, of which xgre makes none",
            link.mtu
        );
        import.note(
            &link.name,
            what,
            "the port gets an MTU that fits; raise the underlay's if need be",
        );
    }
    u16::try_from(link.mtu).ok().filter(|_| link.mtu < least).map(Mtu)
}

/// What is around an inner packet, in bytes.
fn outer_len(device: &Device) -> u32 {
    let Device { parameters, .. } = device;
    let is_v6 = parameters.remote.is_some_and(|remote| remote.is_ipv6());
    let ip = if is_v6 { ipv6::HEADER_LEN } else { ipv4::HEADER_LEN };
    let fields = parameters.output;
    let fields = [fields.key.is_some(), fields.csum, fields.seq];
    let gre = gre::BASE_LEN + gre::FIELD_LEN * fields.into_iter().filter(|&there| there).count();
    let link = if service(device) == Service::L2 { ethernet::HEADER_LEN } else { 0 };
    (ip + gre + link) as u32
}

/// The old name where that is to be, or the like.
fn port_name(old: &str, suffix: &str, links: &[Link]) -> String {
    if suffix.is_empty() {
        return old.to_owned();
    }
    let cut = |end: &str| {
        let room = MAX_NAME.saturating_sub(end.len());
        let mut name = old.to_owned();
        while name.len() > room {
            name.pop();
        }
        name + end
    };
    let names =
        std::iter::once(cut(suffix)).chain((2..).map(|n: u32| cut(&format!("{suffix}{n}"))));
    let is_free = |name: &String| links.iter().all(|link| link.name != *name);
    names.into_iter().find(is_free).unwrap_or_default()
}

fn uplinks(
    import: &mut Import,
    device: &Device,
    underlay: Option<&Underlay>,
    remote: IpAddr,
    links: &[Link],
) {
    let Device { link, parameters, .. } = device;
    let bound = links.iter().find(|other| Some(other.ifindex) == parameters.bound);
    match (underlay, bound) {
        (Some(underlay), Some(bound)) if underlay.link.ifindex != bound.ifindex => {
            let what = format!(
                "it is bound to {}, and the route to {remote} leaves by {}; xgre goes by routes",
                bound.name, underlay.link.name
            );
            import.note(&link.name, what, "make a route to the other end by the right device");
        }
        (None, _) => {
            let what = format!("there is no route to {remote} now");
            let remedy = "make one, and name the device that it leaves by as --iface of `xgre run`";
            import.note(&link.name, what, remedy);
        }
        _ => {}
    }
    if let Some(link) = underlay.map(|it| &it.link).or(bound) {
        import.uplink(link);
    }
}

/// Options that xgre has not.
fn tell_what_is_lost(import: &mut Import, device: &Device) {
    let Device { link, parameters, .. } = device;
    let Parameters { input, output, fwmark, .. } = parameters;
    let mut note = |what: &str, remedy: &str| import.note(&link.name, what, remedy);
    if input.csum && !output.csum {
        note(
            "it takes only packets with checksums (icsum)",
            "nothing: xgre verifies those that are there, and takes packets without",
        );
    }
    if input.seq && !output.seq {
        note(
            "it takes only packets with sequence numbers, in order (iseq), and sends none",
            "nothing: xgre takes packets in any order here; with seq at both ends it checks",
        );
    }
    if *fwmark != 0 {
        let what = format!("its packets are routed by the mark {fwmark:#x}");
        note(&what, "make a rule by their addresses (`ip rule add from LOCAL to REMOTE`)");
    }
}
