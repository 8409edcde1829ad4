//! Packets that do not fit their tunnel, and may be fragmented.

use std::time::Instant;

use testbed::{
    Capture, Daemon, Flood, Frame, Host, Ping,
    capture::send_frames,
    fragment::{cut, piece},
    packet::Udp,
    suite::Case,
    topology::sensor,
    traffic::udp_echo,
};

use crate::setup::{
    Mode, Pair, Service, Tunnel, add_tenant, any_port, count, eventually, inner_addresses,
    port_device, tunnel,
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        for (over, tunnel) in [
            ("IPv4", Tunnel::PLAIN),
            ("IPv6", Tunnel::v6("", 0)),
            ("IPv4 with all fields", Tunnel::v4("--csum --seq", 8)),
        ] {
            let what = format!("what does not fit is fragmented, {service} over {over}");
            cases.push(Case::new(what, move || fragmented(service, tunnel)));
        }
    }
    cases.extend([
        Case::new("fragments that do not fit are fragmented", again),
        Case::new("fragments stay in their VLAN", tagged),
        Case::new("fragments wait for the next hop", unresolved),
        Case::new("what does not fit is dropped where no daemon runs", alone),
        Case::new("rate: fragments that are made are charged for", charged),
        Case::new("a flood of what does not fit does not stop others", flood),
    ]);
    cases
}

/// Two hosts with the tenant `blue`, whose ports believe in this MTU and whose senders do not look for the path's.
struct Wide {
    one: Host,
    two: Host,
    daemons: [Daemon; 2],
}

impl Wide {
    fn new(tunnel: Tunnel, service: Service, mtu: usize) -> Self {
        let Pair { one, two, daemons } = Pair::blue_over(tunnel, service, Mode::Native);
        for (host, other, end) in [(&one, &two, 2), (&two, &one, 1)] {
            // Every packet is counted: nobody is to look for neighbours.
            host.ns.sysctl("ipv6/conf/blue0/disable_ipv6", "1");
            if service == Service::L2 {
                let mac = other.ns.mac("blue0").map(|byte| format!("{byte:02x}")).join(":");
                host.ns.ip(&format!("neigh replace 10.9.0.{end} lladdr {mac} dev blue0"));
            }
            host.ns.sysctl("ipv4/ip_no_pmtu_disc", "1");
            for device in ["blue0", &port_device(&host.ns, "blue0")] {
                host.ns.ip(&format!("link set {device} mtu {mtu}"));
            }
        }
        Self { one, two, daemons }
    }

    fn stats(&self) -> [Sums; 2] {
        [&self.one, &self.two].map(Sums::of)
    }
}

/// What a tenant has sent and received, in packets and bytes, and what was dropped because it was too big.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    sent: [u64; 2],
    received: [u64; 2],
    too_big: u64,
}

impl Sums {
    fn of(host: &Host) -> Self {
        let blue = host.tenant_stats("blue");
        let both = |way| ["packets", "bytes"].map(|what| count(&blue, &format!("/{way}/{what}")));
        let too_big = count(&blue, "/drops/packet_too_big");
        let other = blue["drops"].as_object().expect("drops").len() - usize::from(too_big > 0);
        assert_eq!(other, 0, "{blue}");
        Self { sent: both("tx"), received: both("rx"), too_big }
    }
}

/// The payload of each fragment of an IPv4 packet: how much fits, and the rest.
fn fragment_payloads(payload: u64, mtu: u64) -> Vec<u64> {
    let most = (mtu - 20) / 8 * 8;
    let mut payloads = vec![most; (payload / most) as usize];
    payloads.extend(Some(payload % most).filter(|rest| *rest > 0));
    payloads
}

fn fragmented(service: Service, tunnel: Tunnel) {
    const PINGS: u64 = 5;
    let wide = Wide::new(tunnel, service, 9000);
    let mtu = service.mtu(1500) - tunnel.more;
    for address in ["10.9.0.1", "10.9.0.2"] {
        let host = if address.ends_with('1') { &wide.two } else { &wide.one };
        Ping::to(address).all_answered(&host.ns);
    }
    let link_len = if service == Service::L2 { 14 } else { 0 };
    for size in [mtu - 27, 3000, 8972] {
        let before = wide.stats();
        let underlay = Capture::start(&wide.two.ns, "eth0");
        let pings = Ping::to("10.9.0.2").size(size as usize).times(PINGS as u16, 200);
        pings.all_answered(&wide.one.ns);
        let longest = underlay.stop().iter().map(|frame| frame.bytes.len()).max();
        assert!(longest <= Some(1514), "{longest:?}");
        let after = wide.stats();
        let payloads = fragment_payloads(size + 8, mtu);
        let packets = PINGS * payloads.len() as u64;
        let bytes = PINGS * payloads.iter().map(|payload| link_len + 20 + payload).sum::<u64>();
        for (host, before, after) in [("one", before[0], after[0]), ("two", before[1], after[1])] {
            let grown = |of: fn(Sums) -> [u64; 2]| [0, 1].map(|i| of(after)[i] - of(before)[i]);
            assert_eq!(grown(|it| it.sent), [packets, bytes], "{host}, {size} bytes");
            assert_eq!(grown(|it| it.received), [packets, bytes], "{host}, {size} bytes");
            assert_eq!(after.too_big, 0, "{host}, {size} bytes");
        }
    }
    // The sender has left the checksum to a device.
    let payload: Vec<u8> = (0..8000_u32).map(|number| ((number * number) >> 7) as u8).collect();
    for _ in 0..3 {
        udp_echo(&wide.one.ns, (&wide.two.ns, any_port("10.9.0.2")), &payload);
    }
    // To all: that is IP too.
    let near = Capture::start(&wide.two.ns, "blue0");
    wide.one.ns.exec("ping -c 1 -W 1 -b -M dont -s 2000 10.9.0.255");
    let seen = near.stop();
    let is_to_all = |frame: &Frame| frame.bytes.get(30..34) == Some(&[10, 9, 0, 255]);
    assert_eq!(seen.iter().filter(|frame| is_to_all(frame)).count(), 2, "{seen:?}");
}

/// The senders' own stacks fragment, for larger packets than fit.
fn again() {
    for service in Service::ALL {
        let wide = Wide::new(Tunnel::PLAIN, service, 1500);
        Ping::to("10.9.0.2").size(5000).times(3, 200).all_answered(&wide.one.ns);
        let [one, two] = wide.stats();
        assert_eq!((one.sent, one.received), (two.received, two.sent));
        assert_eq!([one.too_big, two.too_big], [0, 0]);
        // Three of 1480 bytes, each cut in two, and one that fits.
        assert!(one.sent[0] >= 3 * 7, "{one:?}");
    }
}

/// A frame of the payload given, which may be fragmented, to a host's `blue0`.
fn loose(payload: &[u8]) -> Vec<u8> {
    let frame = Udp::new("10.9.0.1", "10.9.0.2", payload).ethernet([2; 6], [4; 6]);
    piece(&frame, 0, payload.len() + 8, false, 7)
}

fn tagged() {
    const TAGS: [u8; 8] = [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6];
    let wide = Wide::new(Tunnel::PLAIN, Service::L2, 9000);
    let payload = [7; 3000];
    let frame = loose(&payload);
    for (tags, mtu) in [(&TAGS[4..], 1454), (&TAGS[..], 1450)] {
        let near = Capture::start(&wide.two.ns, "blue0");
        let sent = [&frame[..12], tags, &frame[12..]].concat();
        send_frames(&wide.one.ns, "blue0", [&sent[..]]);
        let seen = near.stop();
        // The outermost tag is beside the captured frame.
        let inner = &tags[4..];
        let expected: Vec<Vec<u8>> = cut(&frame, (mtu - 20) / 8 * 8, 7)
            .iter()
            .map(|frame| [&frame[..12], inner, &frame[12..]].concat())
            .collect();
        let seen: Vec<Vec<u8>> = seen
            .into_iter()
            .filter(|frame| !frame.outgoing && frame.contains(&payload[..50]))
            .map(|frame| frame.bytes)
            .collect();
        assert_eq!(seen, expected, "{tags:x?}");
    }
    let [one, two] = wide.stats();
    assert_eq!((one.sent, one.too_big), (two.received, 0));
}

/// Nobody has answered for the next hop yet, or does any more.
fn unresolved() {
    let (host, wire) = sensor();
    let _daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    inner_addresses(&host.ns, "blue0", 1);
    host.ns.ip(&format!("link set {} mtu 9000", port_device(&host.ns, "blue0")));
    host.ns.ip("link set blue0 mtu 9000");
    let frame = loose(&[7; 3000]);
    let seen = Capture::start(&wire, "eth0");
    send_frames(&host.ns, "blue0", [&frame[..]]);
    eventually("three fragments counted", || count(&host.tenant_stats("blue"), "/tx/packets") == 3);
    wire.ip("link set eth0 arp on");
    wire.ip("addr add 192.0.2.2/24 dev eth0");
    eventually("a next hop", || host.ns.ip("neigh show 192.0.2.2").contains("REACHABLE"));
    let frames = seen.stop();
    let gre: Vec<_> = frames.iter().filter_map(Frame::gre).collect();
    let inner: Vec<u8> = gre.iter().flat_map(|gre| &gre[8 + 20..]).copied().collect();
    assert_eq!(inner, frame[34..], "{frames:?}");
}

fn alone() {
    let wide = Wide::new(Tunnel::PLAIN, Service::L3, 9000);
    Ping::to("10.9.0.2").size(3000).all_answered(&wide.one.ns);
    let [before, _] = wide.stats();
    let [first, _second] = wide.daemons;
    first.kill();
    let wait = Ping::to("10.9.0.2").size(3000).times(3, 20);
    wait.unanswered(&wide.one.ns);
    Ping::to("10.9.0.2").all_answered(&wide.one.ns);
    let after = Sums::of(&wide.one);
    assert_eq!((after.too_big, after.sent[0]), (3, before.sent[0] + 3));
    // The next one takes over.
    let _next = wide.one.start("--iface eth0");
    Ping::to("10.9.0.2").size(3000).all_answered(&wide.one.ns);
    assert_eq!(Sums::of(&wide.one).too_big, 3);
}

/// At a byte a second nothing comes on top of what may be sent at once: 131,072 bytes.
fn charged() {
    let Wide { one, daemons: _daemons, .. } = &Wide::new(Tunnel::PLAIN, Service::L3, 9000);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let text = one.xgre("export").ok();
    let limited = text.replacen("\n\n[[port]]", "\nrate = \"8bit\"\n\n[[port]]", 1);
    let before = Sums::of(one).sent[1];
    one.xgre(&format!("apply {}", one.file("rate.toml", &limited).display())).ok();
    let answered = Ping::to("10.9.0.2").size(3000).times(60, 5).run(&one.ns).received;
    let blue = one.tenant_stats("blue");
    let sent = count(&blue, "/tx/bytes") - before;
    assert!((130_000..=131_072).contains(&sent), "{sent}: {blue}");
    assert!(answered < 60 && count(&blue, "/drops/rate_limit") > 10, "{answered}: {blue}");
}

/// So much of it that most must be dropped: of each packet is known what became of it.
fn flood() {
    /// A tenant's packets, and fragments of all tenants, that are sent in a second.
    const RATES: [u64; 2] = [5_000, 20_000];
    /// How many more at once.
    const BURSTS: [u64; 2] = [250, 2_000];
    const PINGS: u64 = 20;
    let wide = Wide::new(Tunnel::PLAIN, Service::L3, 9000);
    let Wide { one, two, .. } = &wide;
    Ping::to("10.9.0.2").all_answered(&one.ns);
    for (payload, pieces) in [(3000, 3), (8900, 7)] {
        let before = Sums::of(one);
        let start = Instant::now();
        let flood = Flood::start(&one.ns, "blue0", vec![loose(&vec![7; payload])]);
        Ping::to("10.9.0.2").times(PINGS as u16, 100).all_answered(&one.ns);
        let sent = flood.stop();
        let mut after = Sums::of(one);
        eventually("nothing is under way", || {
            let last = std::mem::replace(&mut after, Sums::of(one));
            last == after
        });
        let time = start.elapsed().as_millis() as u64;
        let fragments = after.sent[0] - before.sent[0] - PINGS;
        let handed_up = fragments / pieces;
        let dropped = after.too_big - before.too_big;
        let [packets_most, fragments_most] = [0, 1].map(|i| BURSTS[i] + RATES[i] * time / 1000);
        let what = format!("{fragments} fragments of {sent} packets in {time} ms: {after:?}");
        assert!(sent > 5_000, "no flood: {what}");
        assert_eq!((handed_up * pieces, handed_up + dropped), (fragments, sent), "{what}");
        assert!(handed_up <= packets_most && fragments <= fragments_most, "{what}");
        assert!(handed_up > 500, "{what}");
        // The other end tells now and then that nobody wants them.
        eventually("all fragments have arrived", || Sums::of(two).received == after.sent);
    }
    Ping::to("10.9.0.2").size(3000).all_answered(&one.ns);
}
