//! xgre to xgre: every service with every way to take packets off the uplink.

use serde_json::Value;
use testbed::{
    Capture, Ping,
    packet::Udp,
    send_frame,
    suite::Case,
    traffic::{tcp, udp_echo},
};

use crate::setup::{Mode, Pair, Service, Tunnel, any_port, count, total};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        let name = format!("an l2 tenant's VLAN tags stay, {mode}");
        cases.push(Case::new(name, move || vlan_tags_stay(mode)));
    }
    for service in Service::ALL {
        for mode in Mode::ALL {
            let name = format!("xgre to xgre: {service}, {mode}");
            cases.push(Case::new(name, move || everything_crosses(Tunnel::PLAIN, service, mode)));
            // Generic XDP leaves little to see: its packets take the same way as at TC.
            for tunnel in TUNNELS.into_iter().filter(|_| mode != Mode::Generic) {
                let over = if tunnel.ends[0].contains(':') { "IPv6" } else { "IPv4" };
                let name =
                    format!("xgre to xgre over {over} {}: {service}, {mode}", tunnel.options);
                cases.push(Case::new(name, move || everything_crosses(tunnel, service, mode)));
            }
        }
        let name = format!("GSO packets stay whole: {service}");
        cases.push(Case::new(name, move || gso_stays_whole(service)));
    }
    cases
}

const TUNNELS: [Tunnel; 3] = [
    Tunnel::v6("", 0),
    Tunnel::v4("--csum --seq --ecn compatibility", 8),
    Tunnel::v6("--csum --seq", 8),
];

fn everything_crosses(tunnel: Tunnel, service: Service, mode: Mode) {
    let Pair { one, two, daemons } = Pair::blue_over(tunnel, service, mode);
    assert_eq!(one.uplink_stats("eth0")["mode"], mode.to_string());

    let [before_one, before_two] = [&one, &two].map(|host| host.tenant_stats("blue"));
    let mtu = count(&one.ns.json("link show blue0")[0], "/mtu");
    assert_eq!(mtu, service.mtu(1500 - tunnel.more), "MTU of the port");
    for (address, ip_and_icmp) in [("10.9.0.2", 28), ("fd09::2", 48)] {
        for size in [0, 1400 - ip_and_icmp, mtu as usize - ip_and_icmp] {
            Ping::to(address).size(size).dont_fragment().all_answered(&one.ns);
        }
    }
    Ping::to("10.9.0.2").size(4000).all_answered(&one.ns);

    let large = if tunnel.options.is_empty() { 64 * MIB } else { 8 * MIB };
    tcp(&one.ns, (&two.ns, any_port("10.9.0.2")), large);
    tcp(&two.ns, (&one.ns, any_port("10.9.0.1")), large);
    tcp(&one.ns, (&two.ns, any_port("fd09::2")), large / 8);
    for len in [1, 1400, 4000] {
        udp_echo(&one.ns, (&two.ns, any_port("10.9.0.2")), &vec![0x5a; len]);
        udp_echo(&two.ns, (&one.ns, any_port("fd09::1")), &vec![0xa5; len]);
    }

    for (host, before) in [(&one, before_one), (&two, before_two)] {
        let blue = host.tenant_stats("blue");
        assert!(count(&blue, "/rx/bytes") > large as u64, "{blue}");
        assert!(count(&blue, "/tx/bytes") > large as u64, "{blue}");
        // Packets of one direction come from several CPUs and may overtake each other.
        let overtaken = count(&blue, "/drops/out_of_sequence");
        let others =
            |stats: &Value| total(&stats["drops"]) - count(stats, "/drops/out_of_sequence");
        assert_eq!(others(&blue), others(&before), "{blue}");
        assert!(overtaken == 0 || tunnel.options.contains("--seq"), "{blue}");
    }
    daemons.into_iter().for_each(testbed::Daemon::stop);
}

fn gso_stays_whole(service: Service) {
    let Pair { one, two, daemons: _daemons } = Pair::blue(service, Mode::Tc);
    let wire = Capture::start(&one.ns, "eth0");
    tcp(&one.ns, (&two.ns, any_port("10.9.0.2")), 4 * MIB);
    let frames = wire.stop();
    let largest =
        frames.iter().filter(|f| f.outgoing && f.gre().is_some()).map(|f| f.bytes.len()).max();
    assert!(largest > Some(16_000), "the largest frame on the wire has {largest:?} bytes");
}

fn vlan_tags_stay(mode: Mode) {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L2, mode);
    let untagged =
        Udp::new("10.9.0.1", "10.9.0.2", b"tagged").ethernet(two.ns.mac("blue0"), [2; 6]);
    for tags in [&[0x81, 0, 0, 5][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]] {
        let wire = Capture::start(&one.ns, "eth0");
        let port = Capture::start(&two.ns, "blue0");
        let mut frame = untagged.clone();
        frame.splice(12..12, tags.iter().copied());
        send_frame(&one.ns, "blue0", &frame);
        let frames = wire.stop();
        let sent = frames.iter().filter(|sent| sent.outgoing && sent.contains(&frame));
        assert_eq!(sent.count(), 1, "whole frames on the wire: {frames:?}");
        // There a packet socket sees the frame without its first tag.
        frame.drain(12..16);
        let frames = port.stop();
        let received = frames.iter().filter(|received| received.bytes == frame).count();
        assert_eq!(received, 1, "frames at the far port: {frames:?}");
    }
}
