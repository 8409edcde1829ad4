//! Linux at the other end of the wire, with its own GRE devices.

use std::fmt;

use testbed::{
    Ping,
    suite::{Case, Need},
    topology::wired,
};

use crate::{
    crossing::{CHECKSUM, KEYS, Keys, SEQUENCE, addresses, all_cross},
    setup::{Mode, Service, add_tenant, count, eventually, inner_addresses},
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        for options in OPTIONS {
            for &mode in options.modes {
                let name = format!("Linux {kind}{}, {mode}", options.name);
                let case = Case::new(name, move || interoperate(kind, options, mode));
                cases.push(case.needs(Need::Device(kind.device)));
            }
        }
    }
    let unfinished = Case::new("a GRE checksum that a veth device was to add", unfinished_checksum);
    cases.push(unfinished.needs(Need::Device("gre")));
    cases
}

/// A kind of device.
#[derive(Clone, Copy)]
struct Kind {
    device: &'static str,
    service: Service,
    /// xgre's end and Linux's.
    underlay: [&'static str; 2],
}

const IPV4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

const IPV6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

const KINDS: [Kind; 4] = [
    Kind { device: "gre", service: Service::L3, underlay: IPV4 },
    Kind { device: "gretap", service: Service::L2, underlay: IPV4 },
    Kind { device: "ip6gre", service: Service::L3, underlay: IPV6 },
    Kind { device: "ip6gretap", service: Service::L2, underlay: IPV6 },
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.device)
    }
}

/// What a tunnel is told at both ends, and the bit that says so in each packet.
#[derive(Clone, Copy)]
struct Options {
    name: &'static str,
    tunnel: [&'static str; 2],
    bit: u16,
    wire: &'static str,
    modes: &'static [Mode],
}

/// As on a wire: checksums are complete, and what arrives is merged.
const CUT: &str = "tx off gro on";
/// Large packets stay whole, and the checksums inside partial.
const UNCUT: &str = "tx on gro on";

#[rustfmt::skip]
const OPTIONS: [Options; 4] = [
    Options { name: "", tunnel: ["", ""], bit: 0, wire: CUT, modes: &[Mode::Tc, Mode::Native] },
    Options { name: ", uncut", tunnel: ["", ""], bit: 0, wire: UNCUT, modes: &[Mode::Tc] },
    Options { name: " csum", tunnel: ["--csum", "csum"], bit: CHECKSUM, wire: CUT, modes: &[Mode::Tc] },
    Options { name: " seq", tunnel: ["--seq", "seq"], bit: SEQUENCE, wire: CUT, modes: &[Mode::Native] },
];

/// The keys as Linux is told.
fn keys_of_device(keys: &Keys) -> String {
    match (keys.sent, keys.received) {
        (Some(sent), Some(received)) if sent == received => format!("key {sent}"),
        (Some(sent), Some(received)) => format!("ikey {sent} okey {received}"),
        _ => String::new(),
    }
}

fn interoperate(kind: Kind, options: Options, mode: Mode) {
    let [local, remote] = kind.underlay;
    let prefix = if local.contains(':') { 64 } else { 24 };
    let [first, second] = kind.underlay.map(|address| format!("{address}/{prefix}"));
    let (xgre, linux) = wired([&first, &second]);
    for host in [&xgre, &linux] {
        host.ns.offload("eth0", options.wire);
    }
    let _daemon = xgre.start(&format!("--iface eth0 --mode {mode}"));
    let [ours, theirs] = options.tunnel;
    xgre.xgre(&format!("tunnel add t --local {local} --remote {remote} {ours}")).ok();
    for keys in &KEYS {
        add_tenant(&xgre, keys.tenant, &format!("{} --service {}", keys.xgre, kind.service));
        let (device, keys) = (keys.device(), keys_of_device(keys));
        linux.ns.ip(&format!(
            "link add {device} type {kind} local {remote} remote {local} {keys} {theirs}"
        ));
    }
    addresses([&xgre, &linux]);
    eventually("the wire", || Ping::to(remote).times(1, 10).run(&xgre.ns).received == 1);
    all_cross([&xgre, &linux], [options.bit; 2]);
}

/// Linux leaves the GRE checksum of a packet whose inner checksum is there already to the device (`gre_build_header`), and a
/// veth device adds none. Nothing in the packet tells this from a wrong one.
fn unfinished_checksum() {
    let (xgre, linux) = wired(["192.0.2.1/24", "192.0.2.2/24"]);
    let _daemon = xgre.start("--iface eth0 --mode tc");
    xgre.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2 --csum").ok();
    add_tenant(&xgre, "blue", "--key 10");
    linux.ns.ip("link add blue0 type gre local 192.0.2.2 remote 192.0.2.1 key 10 csum");
    for (host, end) in [(&xgre, 1), (&linux, 2)] {
        inner_addresses(&host.ns, "blue0", end);
    }
    let ping = Ping::to("10.9.0.1");
    ping.unanswered(&linux.ns);
    let blue = xgre.tenant_stats("blue");
    assert!(count(&blue, "/drops/bad_checksum") >= 3, "{blue}");
    linux.ns.offload("eth0", "tx off");
    ping.all_answered(&linux.ns);
}
