//! Every frame of the captures, through both programs of an uplink.

use std::{fs::File, path::Path};

use pcap_file::pcap::PcapReader;
use testbed::{capture::hex, suite::Case};

use crate::programs::{Action, Hook, Programs, difference};

/// A capture, and the tenant of either end whose packets it holds.
type Capture = (&'static str, Addresses, &'static str, &'static str);
type Addresses = [&'static str; 2];

const LINUX: Addresses = ["192.0.2.1", "192.0.2.2"];
const LINUX6: Addresses = ["2001:db8::1", "2001:db8::2"];
const OVS: Addresses = ["192.168.5.23", "192.168.5.238"];

const CAPTURES: &[Capture] = &[
    ("gre", LINUX, "--no-key", "--no-key"),
    ("gre-key0", LINUX, "--key 0", "--key 0"),
    ("gre-key10", LINUX, "--key 10", "--key 10"),
    ("gre-ikey7-okey8", LINUX, "--in-key 7 --out-key 8", "--in-key 8 --out-key 7"),
    ("gre-csum", LINUX, "--no-key", "--no-key"),
    ("gre-csum-seq-key10", LINUX, "--key 10", "--key 10"),
    ("gre-ttl64-tosinherit-key10", LINUX, "--key 10", "--key 10"),
    ("gretap", LINUX, "--no-key --service l2", "--no-key --service l2"),
    ("gretap-key10", LINUX, "--key 10 --service l2", "--key 10 --service l2"),
    ("gretap-csum-seq-key10", LINUX, "--key 10 --service l2", "--key 10 --service l2"),
    ("ovs-in_key-flow-key10", OVS, "--key 10 --service l2", "--key 10 --service l2"),
    ("ip6gre-key10", LINUX6, "--key 10", "--key 10"),
    ("ip6gre-key10-encaplimit-none", LINUX6, "--key 10", "--key 10"),
    ("ip6gretap-key10", LINUX6, "--key 10 --service l2", "--key 10 --service l2"),
    ("ip6gretap-csum-seq-key10", LINUX6, "--key 10 --service l2", "--key 10 --service l2"),
];

pub fn cases() -> Vec<Case> {
    let case = |&(name, ends, one, two): &Capture| {
        Case::new(format!("capture {name}"), move || replay(name, ends, one, two))
    };
    CAPTURES.iter().map(case).collect()
}

fn frames(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("captures/{name}.pcap"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = PcapReader::new(file).expect("a capture");
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.expect("a whole packet").data.into_owned());
    }
    frames
}

/// What the frame holds for a tenant, or the reason to pass it.
fn expected(frame: &[u8]) -> Result<Vec<u8>, &'static str> {
    let gre = match frame[12..14] {
        [0x08, 0x00] if frame[23] == 47 => 34,
        // Next header, or the one behind destination options.
        [0x86, 0xdd] if frame[20] == 47 => 54,
        [0x86, 0xdd] if frame[20] == 60 && frame[54] == 47 => 62,
        [0x08, 0x00] | [0x86, 0xdd] => return Err("not_gre"),
        _ => return Err("not_ip"),
    };
    // Checksum, key, sequence number.
    let fields = (frame[gre] & 0xb0).count_ones() as usize;
    Ok(frame[gre + 4 + fields * 4..].to_vec())
}

fn replay(name: &str, [one, two]: Addresses, first: &str, second: &str) {
    let commands = [
        format!("tunnel add a --local {one} --remote {two} --mss-clamp off"),
        format!("tunnel add b --local {two} --remote {one} --mss-clamp off"),
        format!("tenant add a {first} --tunnel a"),
        format!("tenant add b {second} --tunnel b"),
        "port add a a0 --create".to_owned(),
        "port add b b0 --create".to_owned(),
    ];
    let programs = Programs::with("", &commands.each_ref().map(String::as_str));
    let frames = frames(name);
    assert!(frames.len() > 10, "{} frames", frames.len());
    for hook in Hook::ALL {
        let mut passed = std::collections::BTreeMap::new();
        let mut delivered = 0;
        let before = programs.counters();
        for frame in &frames {
            let ran = programs.receive(hook, frame);
            match expected(frame) {
                Ok(inner) => {
                    delivered += 1;
                    assert_ne!(ran.action, Action::Dropped, "{hook}: {}", hex(frame));
                    assert!(
                        ran.bytes.ends_with(&inner),
                        "{hook}: {} became {}",
                        hex(frame),
                        hex(&ran.bytes)
                    );
                }
                Err(reason) => {
                    *passed.entry(reason).or_insert(0) += 1;
                    assert_eq!((ran.action, &ran.bytes), (Action::Passed, frame), "{hook}");
                }
            }
        }
        let counted = difference(&before, &programs.counters());
        let of = |path: String| counted.get(&path).copied().unwrap_or(0);
        let received = of("/tenants/a/rx/packets".into()) + of("/tenants/b/rx/packets".into());
        assert_eq!(received, delivered, "{hook}: {counted:?}");
        for (reason, n) in passed {
            assert_eq!(of(format!("/uplinks/eth0/hooks/{hook}/passed/{reason}")), n, "{reason}");
        }
    }
}
