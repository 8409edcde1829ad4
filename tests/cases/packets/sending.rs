//! What `port_tc` and `port_xdp` make of a tenant's packets.

use std::{iter, thread, time::Duration};

use etherparse::{PacketBuilder, TcpOptionElement};
use testbed::{
    capture::hex,
    packet::{ETHERNET, Gre, IPV4, IPV6, PEER_MAC, Udp, arp, internet_checksum},
    suite::Case,
};

use crate::programs::{Action, Counters, Programs, Ran, difference};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("on sending", on_sending),
        Case::new("on sending, what is not sent", not_sent),
        Case::new("on sending, what does not fit", too_big),
        Case::new("the MSS of a SYN", mss),
        Case::new("on sending, what XDP leaves to TC", left_to_tc),
        Case::new("sent packets are received", round_trip),
    ]
}

const TENANTS: &[&str] = &[
    "tunnel add t --local 192.0.2.1 --remote 192.0.2.2",
    "tunnel add inherits --local 192.0.2.1 --remote 192.0.2.3 --ttl inherit --tos inherit --df copy",
    "tunnel add fixed --local 192.0.2.1 --remote 192.0.2.4 --ttl 7 --tos 40 --df clear --mtu 1000",
    "tenant add blue --key 10 --tunnel t",
    "port add blue blue0 --create",
    "tenant add zero --key 0 --tunnel t",
    "port add zero zero0 --create",
    "tenant add plain --no-key --tunnel t",
    "port add plain plain0 --create",
    "tenant add green --key 20 --service l2 --tunnel t",
    "port add green green0 --create",
    "tenant add crossed --in-key 7 --out-key 8 --tunnel t",
    "port add crossed crossed0 --create",
    "tenant add heir --key 10 --tunnel inherits",
    "port add heir heir0 --create",
    "tenant add heir2 --key 20 --service l2 --tunnel inherits",
    "port add heir2 heir20 --create",
    "tenant add rigid --key 10 --tunnel fixed",
    "port add rigid rigid0 --create",
];

type Send = fn(&Programs, &str, &[u8]) -> Ran;
const HOOKS: [(&str, Send); 2] = [("port_tc", Programs::send), ("port_xdp", Programs::send_xdp)];

const DONT_FRAGMENT: u16 = 0x4000;

fn udp4() -> Udp {
    Udp::new("10.9.0.1", "10.9.0.2", b"payload")
}

fn udp6() -> Udp {
    Udp::new("fd09::1", "fd09::2", b"payload")
}

/// An IP packet as a port receives it.
fn framed(udp: &Udp) -> Vec<u8> {
    udp.ethernet([2; 6], [4; 6])
}

fn may_fragment(mut frame: Vec<u8>, ip: usize, bits: u16) -> Vec<u8> {
    frame[ip + 6..ip + 8].copy_from_slice(&bits.to_be_bytes());
    frame[ip + 10..ip + 12].fill(0);
    let sum = internet_checksum(&frame[ip..ip + 20]);
    frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The outer packet of the tunnel to `remote`.
fn outer(remote: &str, payload_type: u16, frame: &[u8]) -> Gre {
    let payload = if payload_type == ETHERNET { frame } else { &frame[14..] };
    Gre::new("192.0.2.1", remote, payload_type, payload.to_vec()).fragment(DONT_FRAGMENT)
}

#[rustfmt::skip]
fn on_sending() {
    let (t, inherits, fixed) = ("192.0.2.2", "192.0.2.3", "192.0.2.4");
    let four = framed(&udp4());
    let six = framed(&udp6());
    let marked = framed(&udp4().tos(0xb9).ttl(17));
    let marked6 = framed(&udp6().tos(0xba).ttl(18));
    let firm = may_fragment(four.clone(), 14, DONT_FRAGMENT);
    let loose = may_fragment(four.clone(), 14, 0);
    let padded = [four.clone(), vec![0; 30]].concat();
    let rows = [
        ("IPv4", "blue", four.clone(), outer(t, IPV4, &four).key(10)),
        ("IPv6", "blue", six.clone(), outer(t, IPV6, &six).key(10)),
        ("padding is left out", "blue", padded, outer(t, IPV4, &four).key(10)),
        ("key 0", "zero", four.clone(), outer(t, IPV4, &four).key(0)),
        ("no key", "plain", four.clone(), outer(t, IPV4, &four)),
        ("out key", "crossed", four.clone(), outer(t, IPV4, &four).key(8)),
        ("Ethernet with IPv4", "green", four.clone(), outer(t, ETHERNET, &four).key(20)),
        ("Ethernet with IPv6", "green", six.clone(), outer(t, ETHERNET, &six).key(20)),
        ("Ethernet with ARP", "green", arp([2; 6]), outer(t, ETHERNET, &arp([2; 6])).key(20)),
        ("ECN is copied, DSCP is not", "blue", marked.clone(), outer(t, IPV4, &marked).key(10).tos(1)),
        ("ECN is copied, l2", "green", marked.clone(), outer(t, ETHERNET, &marked).key(20).tos(1)),
        ("TOS and TTL inherited", "heir", marked.clone(), outer(inherits, IPV4, &marked).key(10).tos(0xb9).ttl(17)),
        ("TOS and TTL inherited, IPv6", "heir", marked6.clone(), outer(inherits, IPV6, &marked6).key(10).tos(0xba).ttl(18)),
        ("TOS and TTL inherited, l2", "heir2", marked.clone(), outer(inherits, ETHERNET, &marked).key(20).tos(0xb9).ttl(17)),
        ("TTL not to be inherited", "heir2", arp([2; 6]), outer(inherits, ETHERNET, &arp([2; 6])).key(20)),
        ("DF copied, set", "heir", firm.clone(), outer(inherits, IPV4, &firm).key(10)),
        ("DF copied, clear", "heir", loose.clone(), outer(inherits, IPV4, &loose).key(10).fragment(0)),
        ("fixed TTL and TOS, no DF", "rigid", marked.clone(), outer(fixed, IPV4, &marked).key(10).tos(41).ttl(7).fragment(0)),
    ];
    let mut programs = Programs::with("", TENANTS);
    programs.enable_port_xdp(true);
    for (what, tenant, frame, expected) in rows {
        let own = programs.host.ns.mac("eth0");
        let expected = [&PEER_MAC[..], &own, &expected.build()[12..]].concat();
        for (hook, send) in HOOKS {
            let before = programs.counters();
            let ran = send(&programs, tenant, &frame);
            let counted = difference(&before, &programs.counters());
            assert_eq!(ran.action, Action::Redirected, "{what}, {hook}");
            assert_eq!(hex(&without_id(ran.bytes)), hex(&without_id(expected.clone())), "{what}, {hook}");
            assert_eq!(counted.get(&format!("/tenants/{tenant}/tx/packets")), Some(&1), "{what}, {hook}: {counted:?}");
            assert_eq!(counted.len(), 2, "{what}, {hook}: {counted:?}");
        }
    }
}

/// A packet that may be fragmented has some identification, which its checksum covers. Without: none, and
/// the checksum is right.
fn without_id(mut frame: Vec<u8>) -> Vec<u8> {
    let ip = &mut frame[14..34];
    assert_eq!(internet_checksum(ip), 0, "outer header checksum of {}", hex(ip));
    let may_be_fragmented = ip[6] & 0x40 == 0;
    assert!(may_be_fragmented || ip[4..6] == [0, 0], "identification with DF");
    ip[4..6].fill(0);
    ip[10..12].fill(0);
    frame
}

fn not_sent() {
    let mut programs = Programs::with("", TENANTS);
    programs.enable_port_xdp(true);
    let dropped = |tenant: &str, reason: &str| format!("/tenants/{tenant}/drops/{reason}");
    let mut wrong_version = framed(&udp4());
    wrong_version[14] = 0x65;
    let mut too_long = framed(&udp4());
    too_long[16] = 1;
    let rows = [
        ("ARP on an l3 port", "blue", arp([2; 6]), "/passed/not_ip".to_owned()),
        ("expired", "blue", framed(&udp4().ttl(0)), "/passed/ttl_expired".to_owned()),
        ("wrong version", "blue", wrong_version, dropped("blue", "inner_version")),
        ("longer than its frame", "blue", too_long, dropped("blue", "inner_length")),
    ];
    for (what, tenant, frame, counter) in rows {
        for (hook, send) in HOOKS {
            let before = programs.counters();
            let ran = send(&programs, tenant, &frame);
            let counted = difference(&before, &programs.counters());
            assert_only(what, &counted, &counter);
            let unchanged = ran == Ran { action: Action::Passed, bytes: frame.clone() };
            assert_eq!(unchanged, counter.starts_with("/passed"), "{what}, {hook}: {ran:?}");
            assert!(unchanged || ran.action == Action::Dropped, "{what}, {hook}: {ran:?}");
        }
    }
}

/// One byte less fits. TC answers, in place of the packet, or hands it up where it may be fragmented; XDP leaves that to TC.
fn too_big() {
    let mut programs = Programs::with("", TENANTS);
    programs.enable_port_xdp(true);
    let long4 = |payload: usize| Udp::new("10.9.0.1", "10.9.0.2", &vec![0; payload]);
    let long6 = |payload: usize| Udp::new("fd09::1", "fd09::2", &vec![0; payload]);
    for (tenant, fits) in [("blue", 1472), ("green", 1458), ("rigid", 1000)] {
        let counter = format!("/tenants/{tenant}/drops/packet_too_big");
        for (payload, udp) in [(fits - 28, long4(fits - 27)), (fits - 48, long6(fits - 47))] {
            let frame = framed(&udp);
            let is_v4 = frame[12..14] == IPV4.to_be_bytes();
            let fitting = if is_v4 { long4(payload) } else { long6(payload) };
            for (hook, send) in HOOKS {
                let ran = send(&programs, tenant, &framed(&fitting));
                assert_eq!(ran.action, Action::Redirected, "{payload} bytes from {tenant}, {hook}");
            }
            let before = programs.counters();
            let ran = programs.send_xdp(tenant, &frame);
            assert_eq!(ran, Ran { action: Action::Passed, bytes: frame.clone() }, "{tenant}");
            assert_only(tenant, &difference(&before, &programs.counters()), "/passed/left_to_tc");

            let before = programs.counters();
            let ran = programs.send(tenant, &frame);
            assert_only(tenant, &difference(&before, &programs.counters()), &counter);
            assert_eq!(ran.action, Action::Redirected, "{tenant}");
            let expected = if is_v4 { answer4(&frame, fits) } else { answer6(&frame, fits) };
            assert_eq!(hex(&ran.bytes), hex(&expected), "{tenant}");
        }
        let loose = may_fragment(framed(&long4(fits - 27)), 14, 0);
        let before = programs.counters();
        assert_eq!(programs.send(tenant, &loose).action, Action::Dropped, "{tenant}");
        // The daemon sends it.
        let sent = format!("/tenants/{tenant}/tx/packets");
        let grown = eventually(|| {
            let grown = difference(&before, &programs.counters());
            (grown.get(&sent) == Some(&2)).then_some(grown)
        });
        assert_eq!(grown.get(&counter), None, "{tenant}");
    }
}

/// Waits, not long, until there is something.
#[track_caller]
pub fn eventually<T>(look: impl FnMut() -> Option<T>) -> T {
    let looks = iter::repeat_with(look).inspect(|_| thread::sleep(Duration::from_millis(20)));
    looks.take(250).flatten().next().expect("within five seconds")
}

/// ICMP "fragmentation needed" about a frame.
fn answer4(frame: &[u8], mtu: usize) -> Vec<u8> {
    let quoted = &frame[14..(14 + 548).min(frame.len())];
    let len = ((28 + quoted.len()) as u16).to_be_bytes();
    let addresses = [&frame[30..34], &frame[26..30]].concat();
    let mut ip =
        [&[0x45, 0xc0, len[0], len[1], 0, 0, 0x40, 0, 64, 1, 0, 0], &addresses[..]].concat();
    let sum = internet_checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut icmp = [&[3, 4, 0, 0], &(mtu as u32).to_be_bytes()[..], quoted].concat();
    let sum = internet_checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    [&frame[6..12], &frame[..6], &frame[12..14], &ip, &icmp].concat()
}

/// ICMP for IPv6 "packet too big" about a frame.
fn answer6(frame: &[u8], mtu: usize) -> Vec<u8> {
    let quoted = &frame[14..(14 + 1232).min(frame.len())];
    let len = ((8 + quoted.len()) as u16).to_be_bytes();
    let addresses = [&frame[38..54], &frame[22..38]].concat();
    let ip = [&[0x60, 0, 0, 0, len[0], len[1], 58, 64], &addresses[..]].concat();
    let mtu = (mtu.max(1280) as u32).to_be_bytes();
    let mut icmp = [&[2, 0, 0, 0], &mtu[..], quoted].concat();
    let pseudo = [&addresses[..], &[0, 0], &len, &[0, 0, 0, 58]].concat();
    let sum = internet_checksum(&[&pseudo[..], &icmp].concat());
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    [&frame[6..12], &frame[..6], &frame[12..14], &ip, &icmp].concat()
}

/// A SYN in an Ethernet frame, with this MSS behind an option of one byte.
fn syn(v6: bool, mss: u16) -> Vec<u8> {
    use TcpOptionElement::{MaximumSegmentSize, Noop};
    let builder = PacketBuilder::ethernet2([4; 6], [2; 6]);
    let builder = if v6 {
        builder.ipv6([0xfd; 16], [0xfc; 16], 64)
    } else {
        builder.ipv4([10, 9, 0, 1], [10, 9, 0, 2], 64)
    };
    let options = [Noop, MaximumSegmentSize(mss), Noop, Noop, Noop];
    let tcp = builder.tcp(5000, 80, 1, 65535).syn().options(&options).expect("room");
    let mut frame = Vec::new();
    tcp.write(&mut frame, &[]).expect("a length that fits");
    frame
}

/// TC lowers it both ways, and XDP leaves it to TC.
fn mss() {
    use crate::programs::Hook;
    let mut programs = Programs::with("", TENANTS);
    programs.enable_port_xdp(true);
    for (tenant, key, fits) in [("blue", 10, 1472), ("green", 20, 1458)] {
        for (v6, headers) in [(false, 40), (true, 60)] {
            for (from, to) in [(9000, fits - headers), (fits - headers, fits - headers), (500, 500)]
            {
                let (before, after) = (syn(v6, from), syn(v6, to));
                let inner = if tenant == "blue" { 14.. } else { 0.. };
                let ran = programs.send(tenant, &before);
                assert!(
                    ran.bytes.ends_with(&after[inner.clone()]),
                    "{tenant}: {}",
                    hex(&ran.bytes)
                );
                let ran = programs.send_xdp(tenant, &before);
                assert_eq!(ran, Ran { action: Action::Passed, bytes: before.clone() }, "{tenant}");

                let inner_type = match (tenant, v6) {
                    ("green", _) => ETHERNET,
                    (_, false) => IPV4,
                    (_, true) => IPV6,
                };
                let outer =
                    Gre::new("192.0.2.2", "192.0.2.1", inner_type, before[inner.clone()].to_vec());
                let outer = outer.key(key).build();
                let ran = programs.receive(Hook::UplinkTc, &outer);
                assert!(ran.bytes.ends_with(&after[inner]), "{tenant}: {}", hex(&ran.bytes));
                let ran = programs.receive(Hook::UplinkXdp, &outer);
                assert_eq!(ran, Ran { action: Action::Passed, bytes: outer.clone() }, "{tenant}");
            }
        }
    }
}

#[track_caller]
fn assert_only(what: &str, counted: &Counters, expected: &str) {
    let paths: Vec<_> = counted.iter().collect();
    let only = matches!(paths[..], [(path, 1)] if path.ends_with(expected));
    assert!(only, "{what}: {counted:?}");
}

/// XDP cannot send what must wait for the kernel, or to a device that transmits nothing for XDP.
fn left_to_tc() {
    const WAITING: &[&str] = &[
        "tunnel add silent --local 192.0.2.1 --remote 192.0.2.9",
        "tenant add waiting --key 10 --tunnel silent",
        "port add waiting waiting0 --create",
    ];
    let frame = framed(&udp4());
    for (tenant, uplink_transmits) in [("waiting", true), ("blue", false)] {
        let mut programs = Programs::with("", &[TENANTS, WAITING].concat());
        programs.enable_port_xdp(uplink_transmits);
        let before = programs.counters();
        let ran = programs.send_xdp(tenant, &frame);
        assert_eq!(ran, Ran { action: Action::Passed, bytes: frame.clone() }, "{tenant}");
        assert_only(tenant, &difference(&before, &programs.counters()), "/passed/left_to_tc");
    }
}

/// What `port_tc` sends, `decap` of a peer takes: the header fields agree.
fn round_trip() {
    use crate::programs::Hook;
    let near = Programs::with("", TENANTS);
    let far = Programs::with(
        "",
        &[
            "tunnel add t --local 192.0.2.2 --remote 192.0.2.1",
            "tenant add blue --key 10 --tunnel t",
            "port add blue blue0 --create",
        ],
    );
    let sent = near.send("blue", &framed(&udp4()));
    for hook in Hook::ALL {
        let received = far.receive(hook, &sent.bytes);
        assert_ne!(received.action, Action::Dropped, "{hook}");
        assert!(received.bytes.ends_with(&udp4().ip()), "{hook}: {received:?}");
    }
}
