//! The program for packets in transit, packet by packet: action, bytes, and the one counter that goes up.

use std::thread;

use testbed::{
    capture::hex,
    ipv6::{FRAGMENT, with_extension},
    packet::{Gre, IPV4, Udp, arp},
    suite::Case,
};

use crate::programs::{Action, Counters, Programs, difference};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("in transit: every rule", every_rule),
        Case::new("in transit: cut at every byte", truncated),
        Case::new("in transit: counted exactly on several CPUs", several_cpus),
        Case::new("in transit: the interface to redirect to is gone", target_gone),
    ]
}

/// Interface, key and action of each rule; its number in this list is its name below.
const RULES: &[&str] = &[
    "--key 10 --count",
    "--key 10 --remote 198.51.100.9 --drop",
    "--key 10 --local 203.0.113.9 --redirect spare0",
    "--key 10 --local 203.0.113.9 --remote 198.51.100.9 --count",
    "--key 0 --drop",
    "--no-key --redirect spare0",
    "--key 0xffffffff --local 2001:db8::9 --drop",
];

fn programs() -> Programs {
    let programs = Programs::with("", &[]);
    programs.host.ns.ip("link add spare0 type veth peer name spare1");
    programs.host.ns.ip("link set spare0 up");
    for rule in RULES {
        programs.host.xgre(&format!("transit add --iface eth0 {rule}")).ok();
    }
    programs
}

/// What becomes of a packet.
enum Fate {
    /// It meets the rule of this number, and leaves the program so.
    Met(usize, Action),
    /// It goes on, for this reason.
    Passed(&'static str),
}

fn passing() -> Gre {
    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip();
    Gre::new("198.51.100.2", "203.0.113.1", IPV4, inner).key(10)
}

/// The same over IPv6, to the address that a rule names.
fn over_ipv6(packet: Gre) -> Gre {
    packet.from("2001:db8::1").to("2001:db8::9")
}

#[rustfmt::skip]
fn rows() -> Vec<(&'static str, Vec<u8>, Fate)> {
    use Action::{Dropped, Passed, Redirected};
    use Fate::Met;
    const ROUTING: u8 = 43;
    let all_ones = || passing().key(u32::MAX);
    let other_key = Gre::new("198.51.100.2", "203.0.113.1", IPV4, vec![]).key(99);
    let v6 = || over_ipv6(all_ones());
    let extended = |kind, header: &[u8]| with_extension(v6().build(), kind, header);
    let fragment6 = |offset: u8| extended(FRAGMENT, &[0, 0, 0, offset << 3 | 1, 0, 0, 0, 1]);
    let passed = |reason| Fate::Passed(reason);
    vec![
        ("any addresses", passing().build(), Met(0, Passed)),
        ("from an address", passing().from("198.51.100.9").build(), Met(1, Dropped)),
        ("to an address", passing().to("203.0.113.9").build(), Met(2, Redirected)),
        ("both addresses", passing().from("198.51.100.9").to("203.0.113.9").build(), Met(3, Passed)),
        ("key 0", passing().key(0).build(), Met(4, Dropped)),
        ("no key", Gre::new("198.51.100.2", "203.0.113.1", IPV4, vec![0; 40]).build(), Met(5, Redirected)),
        ("over IPv6", v6().build(), Met(6, Dropped)),
        ("over IPv6, any addresses", over_ipv6(passing()).build(), Met(0, Passed)),
        ("over IPv6, to another address", v6().to("2001:db8::8").build(), passed("no_rule")),
        ("checksum and sequence number", passing().key(0).checksum().sequence(1).build(), Met(4, Dropped)),
        ("one VLAN tag", passing().key(0).vlan(0x8100, 5).build(), Met(4, Dropped)),
        ("two VLAN tags", passing().key(0).vlan(0x88a8, 5).vlan(0x8100, 6).build(), Met(4, Dropped)),
        ("IPv4 options", passing().key(0).options(10).build(), Met(4, Dropped)),
        ("Ethernet padding", passing().key(0).pad_to(200).build(), Met(4, Dropped)),
        ("bits 6 to 12", passing().key(0).flags(0x03f8).build(), Met(4, Dropped)),
        ("first fragment", passing().key(0).fragment(0x2000).build(), Met(4, Dropped)),
        ("later fragment", passing().key(0).fragment(0x0010).build(), passed("fragment")),
        ("first fragment over IPv6", fragment6(0), Met(6, Dropped)),
        ("later fragment over IPv6", fragment6(9), passed("fragment")),
        ("another key", other_key.build(), passed("no_rule")),
        ("wrong header checksum", passing().key(0).bad_ip_checksum().build(), passed("malformed")),
        ("longer than the frame", passing().key(0).total_len(1000).build(), passed("malformed")),
        ("routing bit", passing().key(0).flags(0x4000).build(), passed("malformed")),
        ("version 2", passing().key(0).flags(2).build(), passed("malformed")),
        ("PPTP", passing().key(0).flags(1).build(), passed("pptp")),
        ("routing header", extended(ROUTING, &[0; 8]), passed("extension_headers")),
        ("not GRE", passing().ip_protocol(17).build(), passed("not_gre")),
        ("not IP", arp([2; 6]), passed("not_ip")),
    ]
}

/// What the rules met, by their number, and what the hook passed.
fn counters(programs: &Programs) -> Counters {
    let mut counters = programs.counters();
    counters.retain(|path, _| path.starts_with("/transit"));
    let list = programs.host.json("transit list");
    for (number, rule) in RULES.iter().enumerate() {
        let words = |name: &str| rule.split(' ').skip_while(move |word| *word != name).nth(1);
        let key = words("--key").map(|text| {
            let hex = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
            hex.unwrap_or_else(|| text.parse()).expect("a key")
        });
        let found = list["rules"].as_array().expect("rules").iter().find(|row| {
            (row["key"].as_u64(), row["local"].as_str(), row["remote"].as_str())
                == (key, words("--local"), words("--remote"))
        });
        for what in ["packets", "bytes"] {
            let count = found.unwrap_or_else(|| panic!("{rule}: {list}"))[what].as_u64();
            counters.insert(format!("{number}/{what}"), count.expect("a count"));
        }
    }
    counters
}

fn every_rule() {
    let programs = programs();
    let mut wrong = Vec::new();
    let mut before = counters(&programs);
    for (what, frame, fate) in rows() {
        let ran = programs.pass_by(&frame);
        let after = counters(&programs);
        let counted = difference(&before, &after);
        before = after;
        let (action, expected) = match fate {
            Fate::Met(rule, action) => {
                let of = |what| format!("{rule}/{what}");
                (action, vec![(of("packets"), 1), (of("bytes"), frame.len() as u64)])
            }
            Fate::Passed(reason) => {
                (Action::Passed, vec![(format!("/transit/eth0/passed/{reason}"), 1)])
            }
        };
        let expected: Counters = expected.into_iter().collect();
        if ran.action != action || ran.bytes != frame || counted != expected {
            wrong.push(format!(
                "{what}: {:?}, expected {action:?}\ncounted {counted:?}, expected {expected:?}\n   in {}\n  out {}",
                ran.action,
                hex(&frame),
                hex(&ran.bytes)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A frame that is cut, or whose length lies, is passed as it is, once.
fn truncated() {
    // A test run refuses frames without a whole network header.
    const SHORTEST: [usize; 2] = [34, 54];
    let programs = programs();
    let v4 = passing().key(0).options(2);
    let v6 = over_ipv6(passing().key(u32::MAX));
    let mut frames = Vec::new();
    for (whole, shortest) in [v4, v6].map(|packet| packet.build()).into_iter().zip(SHORTEST) {
        frames.extend((shortest..whole.len()).map(|len| whole[..len].to_vec()));
    }
    let before = counters(&programs);
    for frame in &frames {
        let ran = programs.pass_by(frame);
        assert_eq!((ran.action, &ran.bytes), (Action::Passed, frame), "{}", hex(frame));
    }
    let counted = difference(&before, &counters(&programs));
    let passed = counted.iter().filter(|(path, _)| path.starts_with("/transit/eth0/passed"));
    assert_eq!(passed.map(|(_, n)| n).sum::<u64>(), frames.len() as u64, "{counted:?}");
    assert_eq!(counted.len(), 1, "nothing but malformed: {counted:?}");
}

fn several_cpus() {
    const EACH: u32 = 500_000;
    let programs = programs();
    let frame = passing().build();
    let cpus = thread::available_parallelism().expect("a number of CPUs").get();
    let before = counters(&programs);
    thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| programs.pass_by_often(&frame, EACH));
        }
    });
    let packets = cpus as u64 * u64::from(EACH);
    let bytes = packets * frame.len() as u64;
    let expected = [("0/packets".to_owned(), packets), ("0/bytes".to_owned(), bytes)];
    assert_eq!(difference(&before, &counters(&programs)), expected.into_iter().collect());
}

fn target_gone() {
    let programs = programs();
    let frame = passing().to("203.0.113.9").build();
    programs.host.ns.ip("link del spare0");
    let before = counters(&programs);
    assert_eq!(programs.pass_by(&frame).action, Action::Dropped);
    let counted = difference(&before, &counters(&programs));
    let expected = [("/transit/eth0/drops/redirect_failed".to_owned(), 1)];
    assert_eq!(counted, expected.into_iter().collect());
}
