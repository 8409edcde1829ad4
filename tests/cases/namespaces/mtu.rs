//! An underlay of 1500 bytes, and inner MTUs of 1500: TCP works at once, by its MSS or by path MTU discovery.

use std::time::Instant;

use testbed::{
    Capture, Daemon, Frame, Host, Netns, Ping, bridge,
    capture::send_frames,
    packet::{Udp, internet_checksum},
    suite::Case,
    traffic::tcp,
    two_hosts, veth,
};

use crate::setup::{Mode, Service, add_tenant, any_port, count, inner_addresses, port_device};

/// Bytes of a bulk transfer.
const BULK: usize = 16 << 20;
/// The far end in both versions, and what the headers of IP and TCP take.
const ADDRESSES: [(&str, u64); 2] = [("10.9.0.2", 40), ("fd09::2", 60)];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        for mode in Mode::ALL {
            let what = format!("TCP bulk works at once, {service}, {mode}");
            cases.push(Case::new(what, move || clamped(service, mode, ["", ""])));
        }
        let what = format!("TCP bulk works at once where one end clamps, {service}");
        cases.push(Case::new(what, move || clamped(service, Mode::Native, [OFF, ""])));
        let what = format!("TCP bulk works by path MTU discovery, {service}");
        cases.push(Case::new(what, move || discovered(service)));
        let what = format!("a ping that does not fit is told, {service}");
        cases.push(Case::new(what, move || told(service)));
    }
    cases
        .push(Case::new("TCP bulk of a host behind a bridge works by path MTU discovery", bridged));
    cases.push(Case::new("a tenant is told so often and no more", rate));
    cases
}

const OFF: &str = "--mss-clamp off";

/// Two hosts joined by a tunnel with these options, whose ports believe in 1500 bytes.
struct Wide {
    one: Host,
    two: Host,
    _daemons: [Daemon; 2],
}

impl Wide {
    fn new(service: Service, mode: Mode, options: [&str; 2]) -> Self {
        let (one, two) = two_hosts();
        let daemons = [&one, &two].map(|host| host.start(&format!("--iface eth0 --mode {mode}")));
        for (host, end, options) in [(&one, 1, options[0]), (&two, 2, options[1])] {
            let ends = format!("--local 192.0.2.{end} --remote 192.0.2.{}", 3 - end);
            host.xgre(&format!("tunnel add t {ends} {options}")).ok();
            add_tenant(host, "blue", &format!("--key 10 --service {service}"));
            inner_addresses(&host.ns, "blue0", end);
            for device in ["blue0", &port_device(&host.ns, "blue0")] {
                host.ns.ip(&format!("link set {device} mtu 1500"));
            }
        }
        Self { one, two, _daemons: daemons }
    }
}

/// The MSS of every SYN among the frames.
fn mss_values(frames: &[Frame], outgoing: bool) -> Vec<u64> {
    let frames = frames.iter().filter(|frame| frame.outgoing == outgoing);
    frames.filter_map(|frame| mss(&frame.bytes)).collect()
}

fn mss(frame: &[u8]) -> Option<u64> {
    let (protocol, tcp) = match frame.get(12..14)? {
        [8, 0] => (frame.get(23)?, frame.get(14 + usize::from(frame[14] & 15) * 4..)?),
        [0x86, 0xdd] => (frame.get(20)?, frame.get(54..)?),
        _ => return None,
    };
    let is_syn = *protocol == 6 && tcp.get(13)? & 2 != 0;
    // Linux sends it first.
    let options = tcp.get(20..24).filter(|_| is_syn)?;
    assert_eq!(options[..2], [2, 4], "the MSS option");
    Some(u64::from(options[2]) << 8 | u64::from(options[3]))
}

fn clamped(service: Service, mode: Mode, options: [&str; 2]) {
    let wide = Wide::new(service, mode, options);
    let fits = service.mtu(1500);
    for (address, headers) in ADDRESSES {
        let [near, far] = [&wide.one, &wide.two].map(|host| Capture::start(&host.ns, "blue0"));
        tcp(&wide.one.ns, (&wide.two.ns, any_port(address)), BULK);
        let [near, far] = [near, far].map(Capture::stop);
        assert_eq!(mss_values(&near, true), [1500 - headers], "as it was sent");
        assert_eq!(mss_values(&far, false), [fits - headers], "as it arrived");
        assert_eq!(mss_values(&far, true), [1500 - headers], "as it was answered");
        assert_eq!(mss_values(&near, false), [fits - headers], "as the answer arrived");
    }
    for host in [&wide.one, &wide.two] {
        let blue = host.tenant_stats("blue");
        assert_eq!(count(&blue, "/drops/packet_too_big"), 0, "{blue}");
    }
}

/// The MTU in each ICMP message about a packet that is too big, whose checksums are right.
fn told_mtus(frames: &[Frame]) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| !frame.outgoing)
        .filter_map(|frame| told_mtu(&frame.bytes))
        .collect()
}

fn told_mtu(frame: &[u8]) -> Option<u64> {
    let (icmp, pseudo) = match frame.get(12..14)? {
        [8, 0] if frame.get(23)? == &1 => {
            assert_eq!(internet_checksum(&frame[14..34]), 0, "the IP header");
            (&frame[34..], Vec::new())
        }
        [0x86, 0xdd] if frame.get(20)? == &58 => {
            let len = u32::from(u16::from_be_bytes([frame[18], frame[19]])).to_be_bytes();
            (&frame[54..], [&frame[22..54], &len, &[0, 0, 0, 58]].concat())
        }
        _ => return None,
    };
    let is_about = if pseudo.is_empty() { icmp[..2] == [3, 4] } else { icmp[0] == 2 };
    let mtu = u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]]);
    assert!(!is_about || internet_checksum(&[&pseudo, icmp].concat()) == 0, "the ICMP checksum");
    is_about.then_some(mtu.into())
}

/// What a host has learned of the way to an address.
#[track_caller]
fn assert_learned(ns: &Netns, address: &str, mtu: u64) {
    let route = ns.ip(&format!("route get {address}"));
    assert!(route.contains(&format!("mtu {mtu}")), "{route}");
}

fn discovered(service: Service) {
    let wide = Wide::new(service, Mode::Native, [OFF, OFF]);
    let fits = service.mtu(1500);
    for (address, headers) in ADDRESSES {
        let near = Capture::start(&wide.one.ns, "blue0");
        tcp(&wide.one.ns, (&wide.two.ns, any_port(address)), BULK);
        let near = near.stop();
        assert_eq!(mss_values(&near, false), [1500 - headers], "as it was answered");
        let told = told_mtus(&near);
        assert!(!told.is_empty() && told.iter().all(|mtu| *mtu == fits), "{told:?}");
        assert_learned(&wide.one.ns, address, fits);
    }
    let blue = wide.one.tenant_stats("blue");
    assert!(count(&blue, "/drops/packet_too_big") > 0, "{blue}");
}

fn told(service: Service) {
    let wide = Wide::new(service, Mode::Native, ["", ""]);
    let fits = service.mtu(1500);
    for (address, header_len) in [("10.9.0.2", 28), ("fd09::2", 48)] {
        let ping = Ping::to(address).dont_fragment();
        ping.all_answered(&wide.one.ns);
        let near = Capture::start(&wide.one.ns, "blue0");
        let too_big = ping.size(fits as usize - header_len + 1).times(1, 100);
        too_big.unanswered(&wide.one.ns);
        assert_eq!(told_mtus(&near.stop()), [fits]);
        assert_learned(&wide.one.ns, address, fits);
        ping.size(fits as usize - header_len).all_answered(&wide.one.ns);
    }
    let blue = wide.one.tenant_stats("blue");
    assert_eq!(count(&blue, "/drops/packet_too_big"), 2, "{blue}");
    // Who lets it be fragmented is not told.
    let near = Capture::start(&wide.two.ns, "blue0");
    Ping::to("10.9.0.1").size(1472).all_answered(&wide.two.ns);
    assert!(told_mtus(&near.stop()).is_empty());
}

/// The sender is in a namespace of its own, and the tenant's port in a bridge.
fn bridged() {
    let wide = Wide::new(Service::L2, Mode::Tc, [OFF, OFF]);
    let fits = Service::L2.mtu(1500);
    let guest = Netns::new();
    wide.one.ns.ip("addr flush dev blue0");
    veth((&wide.one.ns, "v0"), (&guest, "eth0"));
    bridge(&wide.one.ns, "br0", &["blue0", "v0"]);
    inner_addresses(&guest, "eth0", 1);
    for (address, _) in ADDRESSES {
        tcp(&guest, (&wide.two.ns, any_port(address)), BULK);
        assert_learned(&guest, address, fits);
    }
}

fn rate() {
    const FRAMES: usize = 3_000;
    let wide = Wide::new(Service::L3, Mode::Tc, ["", ""]);
    let frame = Udp::new("10.9.0.1", "10.9.0.2", &[0; 1472]).ethernet([2; 6], [4; 6]);
    let near = Capture::start(&wide.one.ns, "blue0");
    let start = Instant::now();
    send_frames(&wide.one.ns, "blue0", (0..FRAMES).map(|_| &frame[..]));
    let most = 11 + start.elapsed().as_millis() as usize / 10;
    let told = told_mtus(&near.stop()).len();
    assert!((10..=most).contains(&told), "{told} answers, {most} at most");
    let blue = wide.one.tenant_stats("blue");
    assert_eq!(count(&blue, "/drops/packet_too_big"), FRAMES as u64, "{blue}");
}
