//! Linux at the other end of the wire, with its own GRE devices.

use std::fmt;

use testbed::{
    Capture, Frame, Host, Ping,
    suite::{Case, Need},
    topology::wired,
    traffic::tcp,
};

use crate::setup::{Mode, Service, add_tenant, any_port, count, drops, eventually};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        for options in OPTIONS {
            for &mode in options.modes {
                let name = format!("Linux {kind}{options}, {mode}");
                let case = Case::new(name, move || interoperate(kind, options, mode));
                cases.push(case.needs(Need::Device(kind.device)));
            }
        }
    }
    cases
}

/// "Checksum present".
const CHECKSUM: u16 = 0x8000;
/// "Key present".
const KEY: u16 = 0x2000;
/// "Sequence number present".
const SEQUENCE: u16 = 0x1000;

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
    linux: &'static str,
    xgre: &'static str,
    bit: u16,
    modes: &'static [Mode],
}

const OPTIONS: [Options; 3] = [
    Options { linux: "", xgre: "", bit: 0, modes: &[Mode::Tc, Mode::Native] },
    Options { linux: "csum", xgre: "--csum", bit: CHECKSUM, modes: &[Mode::Tc] },
    Options { linux: "seq", xgre: "--seq", bit: SEQUENCE, modes: &[Mode::Native] },
];

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.linux.is_empty() { Ok(()) } else { write!(f, " {}", self.linux) }
    }
}

/// What a tenant's packets are told apart by: as Linux says it, as xgre does, what xgre sends and receives.
struct Keys {
    tenant: &'static str,
    linux: &'static str,
    xgre: &'static str,
    sent: Option<u32>,
    received: Option<u32>,
}

impl Keys {
    fn device(&self) -> String {
        format!("{}0", self.tenant)
    }
}

#[rustfmt::skip]
const KEYS: [Keys; 3] = [
    Keys { tenant: "open", linux: "", xgre: "--no-key", sent: None, received: None },
    Keys { tenant: "keyed", linux: "key 10", xgre: "--key 10", sent: Some(10), received: Some(10) },
    Keys { tenant: "crossed", linux: "ikey 7 okey 8", xgre: "--in-key 8 --out-key 7", sent: Some(7), received: Some(8) },
];

fn interoperate(kind: Kind, options: Options, mode: Mode) {
    let [local, remote] = kind.underlay;
    let prefix = if local.contains(':') { 64 } else { 24 };
    let [first, second] = kind.underlay.map(|address| format!("{address}/{prefix}"));
    let (xgre, linux) = wired([&first, &second]);
    for host in [&xgre, &linux] {
        // As on a wire: checksums are complete, and what arrives is merged.
        host.ns.offload("eth0", "tx off gro on");
    }
    let _daemon = xgre.start(&format!("--iface eth0 --mode {mode}"));
    let option = options.xgre;
    xgre.xgre(&format!("tunnel add t --local {local} --remote {remote} {option}")).ok();
    for (number, keys) in (1..).zip(&KEYS) {
        add_tenant(&xgre, keys.tenant, &format!("{} --service {}", keys.xgre, kind.service));
        let device = keys.device();
        let (key, option) = (keys.linux, options.linux);
        linux.ns.ip(&format!(
            "link add {device} type {kind} local {remote} remote {local} {key} {option}"
        ));
        for (end, host) in [(1, &xgre), (2, &linux)] {
            host.ns.ip(&format!("addr add 10.9.{number}.{end}/24 dev {device}"));
            host.ns.ip(&format!("addr add fd09:{number}::{end}/64 dev {device} nodad"));
            host.ns.ip(&format!("link set {device} up"));
        }
    }
    eventually("the wire", || Ping::to(remote).times(1, 10).run(&xgre.ns).received == 1);
    let before = drops(&xgre);
    for (number, keys) in (1..).zip(&KEYS) {
        headers(&xgre, &linux, number, keys, options);
        everything_crosses([&xgre, &linux], number, &keys.device(), options);
    }
    assert_eq!(drops(&xgre), before);
}

/// Pings and TCP, both ways.
fn everything_crosses(hosts: [&Host; 2], number: u32, device: &str, options: Options) {
    let mtus = hosts.map(|host| count(&host.ns.json(&format!("link show {device}"))[0], "/mtu"));
    // Over IPv6 Linux sends eight bytes of destination options.
    let [mtu, other] = mtus;
    assert!(mtu == other || mtu == other + 8, "MTU of {device}: {mtu}, Linux says {other}");
    let mtu = other;
    let [one, two] = hosts;
    let ways = [(one, two, 2), (two, one, 1)];
    for (from, _, end) in ways {
        let address = format!("10.9.{number}.{end}");
        let whole = Ping::to(&address).times(2, 10);
        whole.size(mtu as usize - 28).dont_fragment().all_answered(&from.ns);
        whole.size(4000).all_answered(&from.ns);
        Ping::to(&format!("fd09:{number}::{end}")).times(2, 10).all_answered(&from.ns);
    }
    // Neither checksum nor number can be said of a packet that is yet to be cut, or of one that is not complete.
    let by_device = options.bit == 0;
    for segmented_by_sender in [false, true].into_iter().filter(|by_sender| *by_sender || by_device)
    {
        for (from, to, end) in ways {
            if segmented_by_sender {
                from.ns.offload(device, "tx off tso off gso off");
            }
            for address in [format!("10.9.{number}.{end}"), format!("fd09:{number}::{end}")] {
                tcp(&from.ns, (&to.ns, any_port(&address)), 4 * MIB);
            }
        }
    }
}

/// A few pings, seen where XDP does not take them, and what their GRE headers say.
fn headers(xgre: &Host, linux: &Host, number: u32, keys: &Keys, options: Options) {
    let wire = Capture::start(&linux.ns, "eth0");
    Ping::to(&format!("10.9.{number}.2")).all_answered(&xgre.ns);
    let frames = wire.stop();
    for (outgoing, key) in [(false, keys.sent), (true, keys.received)] {
        let flags = options.bit | if key.is_some() { KEY } else { 0 };
        let key_offset = if options.bit == CHECKSUM { 8 } else { 4 };
        let is_like = |gre: &&[u8]| {
            gre[..2] == flags.to_be_bytes()
                && key.is_none_or(|key| gre[key_offset..][..4] == key.to_be_bytes())
        };
        let frames = frames.iter().filter(|frame| frame.outgoing == outgoing);
        let packets = frames.filter_map(Frame::gre).filter(is_like).count();
        assert!(packets >= 3, "{packets} packets, outgoing: {outgoing}");
    }
}
