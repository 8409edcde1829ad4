//! GRE ports: their ends, options and keys (ovs-vswitchd.conf.db(5), "Tunnel Options").

use std::net::IpAddr;

use gre_common::{tables::FieldPolicy, wire::gre::GreKey};

use super::database::Interface;
use crate::{
    config::model::Tunnel,
    import::{Import, plain_tunnel},
    value::{Df, Key, Tos, Ttl},
};

/// Who says what key packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Flows.
    Flows,
    /// The port: received and sent; `None`: they carry none.
    Fixed(Option<u32>, Option<u32>),
}

/// Whether an interface is a GRE port.
pub fn is_gre(interface: &Interface) -> bool {
    matches!(interface.kind.as_str(), "gre" | "ip6gre")
}

/// The other end. `None`: it is none that can be carried over, and a note says why.
pub fn remote(import: &mut Import, interface: &Interface) -> Option<IpAddr> {
    let Interface { name, options, .. } = interface;
    let option = |name: &str| options.get(name).map(String::as_str);
    match option("packet_type") {
        None | Some("legacy_l2") => {}
        Some(kind) => {
            let what = format!("its packets are {kind}, and only flows say whose they are");
            let remedy = "it is left out; make an l3 tenant with its key by hand";
            import.note(name, what, remedy);
            return None;
        }
    }
    let remote = option("remote_ip").and_then(|text| text.parse().ok());
    if remote.is_none() || option("local_ip") == Some("flow") {
        let what = "its addresses are chosen by flows";
        import.note(name, what, "it is left out; make a tunnel to each host, and an l2 tenant");
        return None;
    }
    if ["psk", "remote_cert", "remote_name"].iter().any(|name| option(name).is_some()) {
        let what = "it is inside IPsec, set up by ovs-monitor-ipsec";
        let remedy =
            "set up the kernel's IPsec for these addresses yourself; xgre follows its policies";
        import.note(name, what, remedy);
    }
    if option("egress_pkt_mark").is_some() {
        let what = "its packets are routed by a mark (egress_pkt_mark)";
        import.note(
            name,
            what,
            "make a rule by their addresses (`ip rule add from LOCAL to REMOTE`)",
        );
    }
    remote
}

/// The tunnel.
pub fn tunnel(interface: &Interface, local: IpAddr, remote: IpAddr) -> Tunnel {
    let option = |name: &str| interface.options.get(name).map(String::as_str);
    let is_true = |name: &str| option(name) == Some("true");
    let plain = plain_tunnel(local, remote);
    // The low two bits are ECN, which follows the inner packet.
    let tos = match option("tos").unwrap_or("0") {
        "inherit" => FieldPolicy::INHERIT,
        text => FieldPolicy::fixed(number(text).map_or(0, |tos| tos as u8 & !3)),
    };
    let fragments = local.is_ipv4() && option("df_default") == Some("false");
    Tunnel {
        ttl: option("ttl").and_then(|text| text.parse().ok()).unwrap_or(Ttl::default()),
        tos: Tos(tos),
        df: if fragments { Df::Clear } else { Df::Set },
        csum: is_true("csum"),
        seq: is_true("seq"),
        ..plain
    }
}

/// Who says the keys. `None`: not the same for both directions, and a note says so.
pub fn keys(import: &mut Import, interface: &Interface) -> Option<Keys> {
    let Interface { name, options, .. } = interface;
    let [input, output] =
        ["in_key", "out_key"].map(|name| options.get(name).or_else(|| options.get("key")));
    let is_flow = |key: Option<&String>| key.is_some_and(|key| key == "flow");
    match (is_flow(input), is_flow(output)) {
        (true, true) => return Some(Keys::Flows),
        (false, false) => {}
        _ => {
            let what = "flows say the key for one direction, and the port for the other";
            import.note(name, what, "it is left out; set in_key and out_key both, or both to flow");
            return None;
        }
    }
    let key = |text: Option<&String>| text.map(|text| number(text)).unwrap_or_default();
    match (key(input), key(output)) {
        // It takes packets without a key as those with key 0.
        (None | Some(0), None) => Some(Keys::Fixed(None, None)),
        (Some(input), None) => {
            let what = format!("it receives key {input} and sends none");
            import.note(name, what, "it is left out; give it an out_key");
            None
        }
        (input, output) => Some(Keys::Fixed(input.or(Some(0)), output)),
    }
}

/// As a file has it.
pub fn key(key: Option<u32>) -> Option<Key> {
    key.map(|key| Key(GreKey(key)))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
