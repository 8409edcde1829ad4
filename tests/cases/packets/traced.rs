//! Packets for which what programs have seen before, or several members of a network, decide. What becomes of each is
//! the namespaces' matter; here the programs and the traces of the packets have to say the same.

use testbed::{
    capture::hex,
    packet::{ETHERNET, Gre, IPV4, Udp, arp},
    suite::Case,
};

use crate::{
    programs::{Action, Hook, Programs, Ran},
    sending::eventually,
};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("traced: sequence numbers and checksums", numbered),
        Case::new("traced: a network with several tunnels and ports", bridged),
        Case::new("traced: stations on one side", same_side),
        Case::new("traced: over IPv6", over_ipv6),
        Case::new("traced: XDP behind the driver", generic),
    ]
}

const ONE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TWO: [u8; 6] = [2, 0, 0, 0, 0, 2];
const THREE: [u8; 6] = [2, 0, 0, 0, 0, 3];
const FOUR: [u8; 6] = [2, 0, 0, 0, 0, 4];
const SAID: [u8; 6] = [2, 0, 0, 0, 0, 9];
const MANY: [u8; 6] = [0xff; 6];

fn inner() -> Udp {
    Udp::new("10.9.0.2", "10.9.0.1", b"payload")
}

/// What the programs did, one packet after the other.
#[track_caller]
fn assert_actions(rows: &[(&str, Ran, Action)]) {
    for (what, ran, action) in rows {
        assert_eq!(ran.action, *action, "{what}: {}", hex(&ran.bytes));
    }
}

fn numbered() {
    use Action::{Dropped, Passed, Redirected};
    for (xdp, hook) in [(true, Hook::UplinkXdp), (false, Hook::UplinkTc)] {
        let programs = Programs::with(
            "",
            &[
                "tunnel add t --local 192.0.2.1 --remote 192.0.2.2 --seq --csum",
                "tenant add blue --key 10 --tunnel t",
                "port add blue blue0 --create",
            ],
        );
        let packet = || Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner().ip()).key(10);
        let receive = |packet: Gre| programs.receive(hook, &packet.build());
        let delivered = if xdp { Passed } else { Redirected };
        let frame = inner().ethernet(ONE, TWO);
        assert_actions(&[
            ("the first", receive(packet().sequence(5)), delivered),
            ("the same again", receive(packet().sequence(5)), Dropped),
            ("the next", receive(packet().sequence(6).checksum()), delivered),
            ("an older one", receive(packet().sequence(4)), Dropped),
            ("half a round ahead", receive(packet().sequence(0x8000_0006)), delivered),
            ("none", receive(packet()), Dropped),
            ("sent", programs.send("blue", &frame), Redirected),
            ("sent again", programs.send("blue", &frame), Redirected),
        ]);
    }
}

/// Three tunnels, two ports, and a station that someone said is behind `c`.
const NETWORK: &[&str] = &[
    "tunnel add b --local 192.0.2.1 --remote 192.0.2.2",
    "tunnel add c --local 192.0.2.1 --remote 192.0.2.3 --df clear",
    "tunnel add d --local 192.0.2.1 --remote 192.0.2.4 --mtu 68",
    "tenant add net --key 20 --service l2 --tunnel b c d",
    "port add net net0 --create",
    "port add net more0 --create",
    "fdb add net 02:00:00:00:00:09 --via c",
];

fn bridged() {
    use Action::{Dropped, Passed, Redirected};
    let mut programs = Programs::with("", NETWORK);
    programs.enable_port_xdp(true);
    let frame = |to, from| inner().ethernet(to, from);
    let by = |remote: &str, frame: Vec<u8>| {
        Gre::new(remote, "192.0.2.1", ETHERNET, frame).key(20).build()
    };
    let tc = |frame: &[u8]| programs.receive(Hook::UplinkTc, frame);
    let (b, c) = ("192.0.2.2", "192.0.2.3");
    let long = Udp::new("10.9.0.2", "10.9.0.1", &[0; 100]);
    let mut firm = long.ethernet(THREE, ONE);
    firm[20] = 0x40;
    assert_actions(&[
        ("to nobody known", programs.send("net", &frame(TWO, ONE)), Redirected),
        ("the same, in XDP", programs.send_xdp("net", &frame(TWO, ONE)), Passed),
        ("an answer", tc(&by(b, frame(ONE, TWO))), Redirected),
        ("XDP leaves it", programs.receive(Hook::UplinkXdp, &by(b, frame(ONE, TWO))), Passed),
        ("to a station known", programs.send("net", &frame(TWO, ONE)), Redirected),
        ("the same, in XDP", programs.send_xdp("net", &frame(TWO, ONE)), Redirected),
        ("to one that someone said", programs.send("net", &frame(SAID, ONE)), Redirected),
        ("from him, elsewhere", tc(&by(b, frame(ONE, SAID))), Redirected),
        ("to him, still there", programs.send("net", &frame(SAID, ONE)), Redirected),
        ("to the other port", programs.send("more", &frame(ONE, THREE)), Redirected),
        ("to all", programs.send("more", &arp(THREE)), Redirected),
        ("to all, from a tunnel", tc(&by(c, arp(SAID))), Redirected),
        ("from one tunnel to another", tc(&by(c, frame(TWO, SAID))), Dropped),
        ("to itself", tc(&by(c, frame(SAID, SAID))), Dropped),
        ("to itself, unheard of", tc(&by(c, frame(FOUR, FOUR))), Dropped),
        ("a station moves", tc(&by(c, frame(ONE, TWO))), Redirected),
        ("to where it is now", programs.send("net", &frame(TWO, ONE)), Redirected),
        ("from many", tc(&by(c, frame(ONE, MANY))), Redirected),
        ("it moves to a narrow tunnel", tc(&by("192.0.2.4", frame(ONE, THREE))), Redirected),
        ("what is too long there", programs.send("net", &long.ethernet(THREE, ONE)), Redirected),
        ("that in XDP", programs.send_xdp("net", &firm), Passed),
        ("cut", tc(&by(c, frame(ONE, TWO)[..13].to_vec())), Dropped),
    ]);
}

fn same_side() {
    use Action::{Dropped, Redirected};
    let programs = Programs::with("", NETWORK);
    let frame = |to, from| inner().ethernet(to, from);
    assert_actions(&[
        ("one station", programs.send("net", &frame(MANY, ONE)), Redirected),
        ("to it, from the same port", programs.send("net", &frame(ONE, TWO)), Dropped),
        ("to it, from the other one", programs.send("more", &frame(ONE, THREE)), Redirected),
    ]);
}

fn over_ipv6() {
    use Action::{Dropped, Redirected};
    let mut programs = Programs::with(
        "",
        &[
            "tunnel add t --local 2001:db8::1 --remote 2001:db8::2 --csum --tos inherit --ttl inherit",
            "tenant add blue --key 10 --tunnel t",
            "port add blue blue0 --create",
            "tenant add green --no-key --service l2 --tunnel t",
            "port add green green0 --create",
        ],
    );
    programs.enable_port_xdp(true);
    let frame = inner().tos(0xb9).ttl(9).ethernet(ONE, TWO);
    assert_actions(&[
        ("without route", programs.send("blue", &frame), Dropped),
        ("the same, in XDP", programs.send_xdp("green", &frame), Dropped),
    ]);
    programs.host.ns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    programs.host.ns.ip("neigh replace 2001:db8::2 lladdr 02:00:00:00:00:e6 dev eth0");
    eventually(|| {
        let tunnels = programs.host.json("tunnel list");
        (tunnels["tunnels"][0]["next_hop"]["state"] == "resolved").then_some(())
    });
    assert_actions(&[
        ("IP", programs.send("blue", &frame), Redirected),
        ("Ethernet", programs.send("green", &frame), Redirected),
        ("ARP", programs.send("green", &arp(ONE)), Redirected),
        ("in XDP", programs.send_xdp("green", &frame), Redirected),
    ]);
}

/// There XDP redirects, into any device that the frame fits.
fn generic() {
    use Action::{Passed, Redirected};
    let programs = Programs::with(
        "--mode generic",
        &[
            "tunnel add t --local 192.0.2.1 --remote 192.0.2.2",
            "tenant add blue --key 10 --tunnel t",
            "port add blue blue0 --create",
            "tenant add green --key 20 --service l2 --tunnel t",
            "port add green green0 --create",
        ],
    );
    for tenant in ["blue", "green"] {
        programs.host.ns.ip(&format!("link set {} mtu 600", programs.port_device(tenant)));
    }
    let receive = |key, payload_type, inner: Vec<u8>| {
        let packet = Gre::new("192.0.2.2", "192.0.2.1", payload_type, inner).key(key).build();
        programs.receive(Hook::UplinkXdp, &packet)
    };
    let long = |bytes: usize| Udp::new("10.9.0.2", "10.9.0.1", &vec![0; bytes - 28]);
    assert_actions(&[
        ("fits", receive(10, IPV4, long(600).ip()), Redirected),
        ("does not", receive(10, IPV4, long(601).ip()), Passed),
        ("fits, l2", receive(20, ETHERNET, long(600).ethernet(ONE, TWO)), Redirected),
        ("does not, l2", receive(20, ETHERNET, long(601).ethernet(ONE, TWO)), Passed),
        ("not ours", receive(30, IPV4, long(100).ip()), Passed),
    ]);
}
