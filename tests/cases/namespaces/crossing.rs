//! What crosses a tunnel to another implementation of GRE, whatever that is: three tenants, pings and TCP.

use testbed::{Capture, Frame, Host, Ping, traffic::tcp};

use crate::setup::{any_port, count, drops, eventually};

const MIB: usize = 1 << 20;

/// "Checksum present".
pub const CHECKSUM: u16 = 0x8000;
/// "Key present".
const KEY: u16 = 0x2000;
/// "Sequence number present".
pub const SEQUENCE: u16 = 0x1000;

/// What a tenant's packets are told apart by: as xgre is told, what it sends and receives.
pub struct Keys {
    pub tenant: &'static str,
    pub xgre: &'static str,
    pub sent: Option<u32>,
    pub received: Option<u32>,
}

impl Keys {
    /// The tenant's device, at both hosts.
    pub fn device(&self) -> String {
        format!("{}0", self.tenant)
    }
}

#[rustfmt::skip]
pub const KEYS: [Keys; 3] = [
    Keys { tenant: "open", xgre: "--no-key", sent: None, received: None },
    Keys { tenant: "keyed", xgre: "--key 10", sent: Some(10), received: Some(10) },
    Keys { tenant: "crossed", xgre: "--in-key 8 --out-key 7", sent: Some(7), received: Some(8) },
];

/// Gives the tenants' devices addresses at both hosts, xgre's and the other.
pub fn addresses(hosts: [&Host; 2]) {
    for (number, keys) in (1..).zip(&KEYS) {
        let device = keys.device();
        for (end, host) in (1..).zip(hosts) {
            host.ns.ip(&format!("addr add 10.9.{number}.{end}/24 dev {device}"));
            host.ns.ip(&format!("addr add fd09:{number}::{end}/64 dev {device} nodad"));
            host.ns.ip(&format!("link set {device} up"));
        }
    }
}

/// Everything of every tenant crosses, both ways, and xgre drops nothing. Packets have the tenant's keys and this bit: those
/// that xgre sends, those that it receives.
pub fn all_cross(hosts: [&Host; 2], bits: [u16; 2]) {
    let [xgre, _] = hosts;
    let state = || xgre.json("tunnel show t")["tunnels"][0]["next_hop"]["state"].clone();
    eventually("a next hop", || state() == "resolved");
    let before = drops(xgre);
    for (number, keys) in (1..).zip(&KEYS) {
        headers(hosts, number, keys, bits);
        everything_crosses(hosts, number, &keys.device());
    }
    assert_eq!(drops(xgre), before);
}

/// Pings and TCP, both ways.
fn everything_crosses(hosts: [&Host; 2], number: u32, device: &str) {
    let mtus = hosts.map(|host| count(&host.ns.json(&format!("link show {device}"))[0], "/mtu"));
    // Over IPv6 Linux sends eight bytes of destination options.
    let [mtu, other] = mtus;
    assert!(mtu == other || mtu == other + 8, "MTU of {device}: {mtu}, the other end says {other}");
    let mtu = other;
    let [one, two] = hosts;
    let ways = [(one, two, 2), (two, one, 1)];
    for (from, _, end) in ways {
        let address = format!("10.9.{number}.{end}");
        let whole = Ping::to(&address).times(2, 300);
        let v6 = format!("fd09:{number}::{end}");
        // The other end may lose some while it looks for a neighbour. What xgre drops is counted, and seen above.
        for ping in [
            whole.size(mtu as usize - 28).dont_fragment(),
            whole.size(4000),
            Ping::to(&v6).times(2, 300),
        ] {
            eventually("both answers", || ping.run(&from.ns).received == 2);
        }
    }
    for segmented_by_sender in [false, true] {
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
fn headers([xgre, other]: [&Host; 2], number: u32, keys: &Keys, [sent, received]: [u16; 2]) {
    let address = format!("10.9.{number}.2");
    let ping = Ping::to(&address);
    eventually("a first answer", || ping.times(1, 100).run(&xgre.ns).received == 1);
    let wire = Capture::start(&other.ns, "eth0");
    ping.all_answered(&xgre.ns);
    let frames = wire.stop();
    for (outgoing, key, bit) in [(false, keys.sent, sent), (true, keys.received, received)] {
        let flags = bit | if key.is_some() { KEY } else { 0 };
        let key_offset = if bit == CHECKSUM { 8 } else { 4 };
        let is_like = |gre: &&[u8]| {
            gre[..2] == flags.to_be_bytes()
                && key.is_none_or(|key| gre[key_offset..][..4] == key.to_be_bytes())
        };
        let frames = frames.iter().filter(|frame| frame.outgoing == outgoing);
        let packets = frames.filter_map(Frame::gre).filter(is_like).count();
        assert!(packets >= 3, "{packets} packets, outgoing: {outgoing}");
    }
}
