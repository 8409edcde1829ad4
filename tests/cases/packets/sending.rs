//! What `port_tc` and `port_xdp` make of a tenant's packets.

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
    let long = |payload: usize| Udp::new("10.9.0.1", "10.9.0.2", &vec![0; payload]);
    let mut wrong_version = framed(&udp4());
    wrong_version[14] = 0x65;
    let mut too_long = framed(&udp4());
    too_long[16] = 1;
    let rows = [
        ("ARP on an l3 port", "blue", arp([2; 6]), "/passed/not_ip".to_owned()),
        ("expired", "blue", framed(&udp4().ttl(0)), "/passed/ttl_expired".to_owned()),
        ("wrong version", "blue", wrong_version, dropped("blue", "inner_version")),
        ("longer than its frame", "blue", too_long, dropped("blue", "inner_length")),
        ("larger than the path", "blue", framed(&long(1445)), dropped("blue", "packet_too_big")),
        (
            "larger than the path, l2",
            "green",
            framed(&long(1431)),
            dropped("green", "packet_too_big"),
        ),
        ("larger than the tunnel", "rigid", framed(&long(973)), dropped("rigid", "packet_too_big")),
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
    for (tenant, payload) in [("blue", 1444), ("green", 1430), ("rigid", 972)] {
        for (hook, send) in HOOKS {
            let ran = send(&programs, tenant, &framed(&long(payload)));
            let what = format!("{payload} bytes from {tenant} just fit, {hook}");
            assert_eq!(ran.action, Action::Redirected, "{what}");
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
