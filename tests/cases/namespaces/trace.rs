//! `xgre trace`: what it says, whole, and that nothing changes by it.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use testbed::{
    Daemon, Host, Netns,
    capture::hex,
    host::xgre_binary,
    packet::{ETHERNET, Gre, IPV4, PEER_MAC, Udp, arp},
    send_frame,
    suite::Case,
    topology::sensor,
};

use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("trace: what becomes of a packet, in words", words),
        Case::new("trace: JSON of packets received", received_as_json),
        Case::new("trace: JSON of packets sent", sent_as_json),
        Case::new("trace: nothing changes by it", unchanged),
        Case::new("trace: captures and dumps", captures),
        Case::new("trace: without a daemon", without_daemon),
        Case::new("trace: a VLAN tag, as TC gets it", vlan),
    ]
}

const ONE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TWO: [u8; 6] = [2, 0, 0, 0, 0, 2];
const UNKNOWN: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// A host with an l3 tenant, and an l2 tenant with two tunnels and two ports. Station `TWO` is known to be behind `b`.
struct Traced {
    host: Host,
    wire: Netns,
    daemon: Daemon,
}

impl Traced {
    fn new() -> Self {
        let (host, wire) = sensor();
        host.ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
        for remote in ["192.0.2.2", "192.0.2.3"] {
            host.ns.ip(&format!("neigh add {remote} lladdr 02:00:00:00:00:ee dev eth0"));
        }
        let daemon = host.start("--iface eth0 --mode tc");
        for line in [
            "tunnel add b --local 192.0.2.1 --remote 192.0.2.2",
            "tunnel add c --local 192.0.2.1 --remote 192.0.2.3",
            "tenant add blue --key 10 --tunnel b",
            "port add blue blue0 --create",
            "tenant add net --key 20 --service l2 --tunnel b c",
            "port add net net0 --create",
            "port add net more0 --create",
            "transit add --iface eth0 --key 30 --drop",
        ] {
            host.xgre(line).ok();
        }
        let known = packet(20).carrying(ETHERNET, inner().ethernet(UNKNOWN, TWO));
        send_frame(&wire, "eth0", &known.to_mac(host.ns.mac("eth0")).build());
        let stations = || host.json("fdb list net")["fdb"].as_array().expect("rows").len();
        eventually("a station is learned", || stations() == 1);
        Self { host, wire, daemon }
    }

    fn words(&self, iface: &str, frame: &[u8]) -> String {
        self.host.xgre(&format!("trace --iface {iface} --hex {}", hex(frame))).ok()
    }

    #[track_caller]
    fn assert_words(&self, iface: &str, frame: &[u8], expected: &str) {
        assert_eq!(self.words(iface, frame).trim_end(), expected);
    }

    /// The whole document of one packet.
    #[track_caller]
    fn assert_document(&self, iface: &str, frame: &[u8], packet: &Value) {
        let (found, expected) =
            (self.document(iface, frame), json!({"version": 1, "packets": [packet]}));
        let pretty = |value| serde_json::to_string_pretty(value).expect("JSON");
        assert!(found == expected, "found {}\nexpected {}", pretty(&found), pretty(&expected));
    }

    fn document(&self, iface: &str, frame: &[u8]) -> Value {
        self.host.json(&format!("trace --iface {iface} --hex {}", hex(frame)))
    }

    /// All that a packet might change; stations without their age.
    fn everything(&self) -> [Value; 5] {
        let mut stations = self.host.json("fdb list");
        for station in stations["fdb"].as_array_mut().expect("rows") {
            station["age"] = Value::Null;
        }
        let [tunnels, tenants, ports] = self.host.configuration();
        let counters = json!([self.host.json("stats"), self.host.json("transit list")]);
        [tunnels, tenants, ports, stations, counters]
    }
}

fn inner() -> Udp {
    Udp::new("10.9.0.2", "10.9.0.1", b"payload")
}

/// From the other end of the tunnel `b`.
fn packet(key: u32) -> Gre {
    Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner().ip()).key(key)
}

fn words() {
    let it = Traced::new();
    it.assert_words(
        "eth0",
        &packet(10).build(),
        "\
eth0 (uplink, tc): 77 bytes
  outer    IPv4 192.0.2.2 -> 192.0.2.1, GRE key 10, payload 0x0800
  binding  192.0.2.1 192.0.2.2 key 10: tenant blue, tunnel b
  inner    IPv4 10.9.0.2 -> 10.9.0.1, UDP, 35 bytes
  => delivered to blue0, 49 bytes",
    );
    it.assert_words(
        "eth0",
        &packet(10).from("192.0.2.9").build(),
        "\
eth0 (uplink, tc): 77 bytes
  outer    IPv4 192.0.2.9 -> 192.0.2.1, GRE key 10, payload 0x0800
  binding  192.0.2.1 192.0.2.9 key 10: none
  local    192.0.2.1: a tunnel ends there
  key      key 10: tenant blue's here, from another remote address
  => dropped, wrong_remote (tenant blue): The key is bound, but to another remote address.",
    );
    it.assert_words(
        "eth0",
        &packet(10).to("192.0.2.77").build(),
        "\
eth0 (uplink, tc): 77 bytes
  uplink_tc: passed on, not_local
  outer    IPv4 192.0.2.2 -> 192.0.2.77, GRE key 10, payload 0x0800
  rule     key 10 from 192.0.2.2 to 192.0.2.77 on eth0: none
  rule     key 10 from any to 192.0.2.77 on eth0: none
  rule     key 10 from 192.0.2.2 to any on eth0: none
  rule     key 10 from any to any on eth0: none
  => passed on, no_rule: No transit rule is for this key and these addresses.",
    );
    it.assert_words(
        "eth0",
        &arp(ONE),
        "\
eth0 (uplink, tc): 42 bytes
  outer    type 0x0806
  => passed on, not_ip: The frame carries neither IPv4 nor IPv6.",
    );
    it.assert_words(
        "net0",
        &inner().ethernet(TWO, ONE),
        "\
net0 (port, tc): 49 bytes
  inner    02:00:00:00:00:01 -> 02:00:00:00:00:02, IPv4 10.9.0.2 -> 10.9.0.1, UDP, 49 bytes
  port     net0: tenant net, l2
  station  02:00:00:00:00:02: behind tunnel b
  learn    02:00:00:00:00:01 is learned at port net0
  tunnel   b, 192.0.2.1 -> 192.0.2.2, next hop 02:00:00:00:00:ee by eth0
  size     35 bytes behind the Ethernet header, 1458 fit
  => sent through tunnel b, key 20, to 192.0.2.2 by eth0, 91 bytes",
    );
    it.assert_words(
        "net0",
        &inner().ethernet(UNKNOWN, ONE),
        "\
net0 (port, tc): 49 bytes
  inner    02:00:00:00:00:01 -> 02:00:00:00:00:07, IPv4 10.9.0.2 -> 10.9.0.1, UDP, 49 bytes
  port     net0: tenant net, l2
  station  02:00:00:00:00:07: not known
  learn    02:00:00:00:00:01 is learned at port net0
  => flooded
     sent through tunnel b, key 20, to 192.0.2.2 by eth0, 91 bytes
     sent through tunnel c, key 20, to 192.0.2.3 by eth0, 91 bytes
     delivered to more0, 49 bytes",
    );
    // The device that carries the program, too, is its name.
    let device = it.host.ns.json("link show blue0")[0]["link"].as_str().expect("a peer").to_owned();
    let long = Udp::new("10.9.0.1", "10.9.0.2", &[0; 1445]).ethernet(ONE, TWO);
    it.assert_words(
        &device,
        &long,
        "\
blue0 (port, tc): 1487 bytes
  inner    02:00:00:00:00:02 -> 02:00:00:00:00:01, IPv4 10.9.0.1 -> 10.9.0.2, UDP, 1487 bytes
  port     blue0: tenant blue, l3
  tunnel   b, 192.0.2.1 -> 192.0.2.2, next hop 02:00:00:00:00:ee by eth0
  size     1473 bytes behind the Ethernet header, 1472 fit
  answer   its sender is told by ICMP that 1472 bytes fit
  => dropped, packet_too_big (tenant blue): The inner packet does not fit the tunnel.",
    );
}

/// Steps of a program: kind, whether it was found, words.
fn steps(hook: &str, steps: &[(&str, Option<bool>, &str)]) -> Value {
    let step = |(step, found, detail): &(&str, Option<bool>, &str)| match found {
        Some(found) => json!({"hook": hook, "step": step, "found": found, "detail": detail}),
        None => json!({"hook": hook, "step": step, "detail": detail}),
    };
    steps.iter().map(step).collect()
}

/// A frame that leaves by an interface.
fn output(to: &str, name: &str, iface: &Value, key: Option<u32>, frame: &[u8]) -> Value {
    let remote = key.map(|_| if name == "b" { "192.0.2.2" } else { "192.0.2.3" });
    json!({
        "verdict": "forward", "reason": null, "to": to, "name": name, "iface": iface, "key": key,
        "remote": remote, "length": frame.len(), "frame": hex(frame),
    })
}

fn received_as_json() {
    const OUTER: &str = "IPv4 192.0.2.2 -> 192.0.2.1, GRE key 10, payload 0x0800";
    let it = Traced::new();
    let device = |port: &str| it.host.ns.json(&format!("link show {port}"))[0]["link"].clone();
    let own = it.host.ns.mac(device("blue0").as_str().expect("a peer"));
    let delivered = [&it.host.ns.mac("blue0")[..], &own, &[8, 0], &inner().ip()].concat();
    it.assert_document(
        "eth0",
        &packet(10).build(),
        &json!({
            "packet": 1, "iface": "eth0", "role": "uplink", "mode": "tc", "length": 77,
            "captured": 77, "hook": "uplink_tc", "verdict": "forward", "reason": null,
            "description": null, "tenant": "blue", "notices": [],
            "steps": steps("uplink_tc", &[
                ("outer", None, OUTER),
                ("binding", Some(true), "192.0.2.1 192.0.2.2 key 10: tenant blue, tunnel b"),
                ("inner", None, "IPv4 10.9.0.2 -> 10.9.0.1, UDP, 35 bytes"),
            ]),
            "outputs": [output("port", "blue0", &device("blue0"), None, &delivered)],
        }),
    );
    it.assert_document(
        "eth0",
        &packet(10).from("192.0.2.9").build(),
        &json!({
            "packet": 1, "iface": "eth0", "role": "uplink", "mode": "tc", "length": 77,
            "captured": 77, "hook": "uplink_tc", "verdict": "drop", "reason": "wrong_remote",
            "description": "The key is bound, but to another remote address.", "tenant": "blue",
            "notices": [],
            "steps": steps("uplink_tc", &[
                ("outer", None, &OUTER.replace("192.0.2.2", "192.0.2.9")),
                ("binding", Some(false), "192.0.2.1 192.0.2.9 key 10: none"),
                ("local", Some(true), "192.0.2.1: a tunnel ends there"),
                ("key", Some(true), "key 10: tenant blue's here, from another remote address"),
            ]),
            "outputs": [],
        }),
    );
    let shown = it.document("eth0", &packet(30).to("192.0.2.77").build())["packets"][0].clone();
    assert_eq!(
        shown["steps"],
        [
            steps(
                "uplink_tc",
                &[
                    ("outer", None, "IPv4 192.0.2.2 -> 192.0.2.77, GRE key 30, payload 0x0800"),
                    ("binding", Some(false), "192.0.2.77 192.0.2.2 key 30: none"),
                    ("local", Some(false), "192.0.2.77: no tunnel ends there"),
                ]
            ),
            steps(
                "transit_tc",
                &[
                    ("outer", None, "IPv4 192.0.2.2 -> 192.0.2.77, GRE key 30, payload 0x0800"),
                    ("rule", Some(false), "key 30 from 192.0.2.2 to 192.0.2.77 on eth0: none"),
                    ("rule", Some(false), "key 30 from any to 192.0.2.77 on eth0: none"),
                    ("rule", Some(false), "key 30 from 192.0.2.2 to any on eth0: none"),
                    ("rule", Some(true), "key 30 from any to any on eth0: drop them"),
                ]
            ),
        ]
        .iter()
        .flat_map(|steps| steps.as_array().expect("steps").clone())
        .collect::<Value>()
    );
    let facts = ["hook", "verdict", "reason", "description", "tenant", "outputs"];
    assert_eq!(
        json!(facts.map(|fact| shown[fact].clone())),
        json!(["transit_tc", "drop", "rule", "A transit rule drops it.", null, []])
    );
}

fn sent_as_json() {
    let it = Traced::new();
    let eth0 = json!("eth0");
    let device = |port: &str| it.host.ns.json(&format!("link show {port}"))[0]["link"].clone();
    let through = |remote: &str, frame: &[u8]| {
        let sent = Gre::new("192.0.2.1", remote, ETHERNET, frame.to_vec()).key(20).build();
        [&PEER_MAC[..], &it.host.ns.mac("eth0"), &sent[12..]].concat()
    };
    let sent_by = |notices: Value, steps: Value, outputs: &[Value]| {
        json!({
            "packet": 1, "iface": "net0", "role": "port", "mode": "tc", "length": 49,
            "captured": 49, "hook": "port_tc", "verdict": "forward", "reason": null,
            "description": null, "tenant": "net", "notices": notices, "steps": steps,
            "outputs": outputs,
        })
    };
    let words =
        |mac: &str| format!("02:00:00:00:00:01 -> {mac}, IPv4 10.9.0.2 -> 10.9.0.1, UDP, 49 bytes");
    let known = inner().ethernet(TWO, ONE);
    let taken = steps(
        "port_tc",
        &[
            ("inner", None, &words("02:00:00:00:00:02")),
            ("port", Some(true), "net0: tenant net, l2"),
            ("station", Some(true), "02:00:00:00:00:02: behind tunnel b"),
            ("learn", None, "02:00:00:00:00:01 is learned at port net0"),
            ("tunnel", Some(true), "b, 192.0.2.1 -> 192.0.2.2, next hop 02:00:00:00:00:ee by eth0"),
            ("size", None, "35 bytes behind the Ethernet header, 1458 fit"),
        ],
    );
    let sent = output("tunnel", "b", &eth0, Some(20), &through("192.0.2.2", &known));
    it.assert_document("net0", &known, &sent_by(json!([]), taken, &[sent]));

    let unknown = inner().ethernet(UNKNOWN, ONE);
    let taken = steps(
        "port_tc",
        &[
            ("inner", None, &words("02:00:00:00:00:07")),
            ("port", Some(true), "net0: tenant net, l2"),
            ("station", Some(false), "02:00:00:00:00:07: not known"),
            ("learn", None, "02:00:00:00:00:01 is learned at port net0"),
        ],
    );
    let copies = [
        output("tunnel", "b", &eth0, Some(20), &through("192.0.2.2", &unknown)),
        output("tunnel", "c", &eth0, Some(20), &through("192.0.2.3", &unknown)),
        output("port", "more0", &device("more0"), None, &unknown),
    ];
    it.assert_document("net0", &unknown, &sent_by(json!(["flooded"]), taken, &copies));
}

fn unchanged() {
    let it = Traced::new();
    let before = it.everything();
    for frame in [packet(10), packet(99), packet(10).from("192.0.2.9"), packet(10).flags(2)] {
        it.words("eth0", &frame.build());
    }
    it.words("eth0", &packet(20).carrying(ETHERNET, inner().ethernet(ONE, UNKNOWN)).build());
    for frame in [inner().ethernet(TWO, ONE), inner().ethernet(UNKNOWN, ONE), arp(ONE)] {
        it.words("net0", &frame);
    }
    assert_eq!(it.everything(), before);
}

/// A capture in a file: link type, and each packet's bytes and length.
fn pcap(host: &Host, link_type: u32, packets: &[(&[u8], usize)]) -> PathBuf {
    let header = [0xa1b2_c3d4, 2 << 16 | 4, 0, 0, 96, link_type];
    let mut file = header.map(u32::to_be_bytes).concat();
    for (bytes, len) in packets {
        let header = [1, 2, bytes.len() as u32, *len as u32].map(u32::to_be_bytes).concat();
        file.extend([&header, *bytes].concat());
    }
    let path = host.file("pcap", "");
    fs::write(&path, file).expect("a file");
    path
}

fn captures() {
    const LINUX_COOKED: u32 = 113;
    let it = Traced::new();
    let fails = |options: &str, words: &[&str]| {
        let message = it.host.xgre(&format!("trace --iface eth0 {options}")).err();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let long = packet(10).payload(Udp::new("10.9.0.2", "10.9.0.1", &[7; 400]).ip()).build();
    let whole = packet(99).build();
    let path = pcap(&it.host, 1, &[(&long[..96], long.len()), (&whole, whole.len())]);
    let shown = it.host.xgre(&format!("trace --iface eth0 --pcap {}", path.display())).ok();
    let first = "eth0 (uplink, tc): 470 bytes, the first 96 of them captured";
    assert_eq!(shown.lines().next(), Some(first), "{shown}");
    assert!(
        shown.contains("\n  => delivered to blue0, 442 bytes\neth0 (uplink, tc): 77 bytes\n"),
        "{shown}"
    );
    let shown = it.host.json(&format!("trace --iface eth0 --pcap {}", path.display()));
    let facts = |packet: &Value| {
        ["packet", "length", "captured", "verdict"].map(|name| packet[name].clone())
    };
    let packets: Vec<_> = shown["packets"].as_array().expect("packets").iter().map(facts).collect();
    assert_eq!(json!(packets), json!([[1, 470, 96, "forward"], [2, 77, 77, "pass"]]));
    assert_eq!(shown["packets"][0]["outputs"][0]["frame"], Value::Null, "bytes are missing");

    let cut = fs::read(&path).expect("the capture");
    fs::write(&path, &cut[..cut.len() - 5]).expect("a file");
    fails(&format!("--pcap {}", path.display()), &["behind packet 1", "too soon"]);
    let path = pcap(&it.host, LINUX_COOKED, &[(&whole, whole.len())]);
    fails(&format!("--pcap {}", path.display()), &["LINUX_SLL", "not Ethernet"]);
    fails("--pcap /dev/null", &["/dev/null", "too soon", "tcpdump -w"]);

    // As `xxd` prints it.
    let lines = whole.chunks(16).enumerate().map(|(line, bytes)| {
        let words: Vec<_> = bytes.chunks(2).map(hex).collect();
        format!("{:08x}: {:39}  ABCDEF\n", line * 16, words.join(" "))
    });
    let dump = it.host.file("dump", &lines.collect::<String>());
    let (xgre, state) = (xgre_binary(), it.host.state());
    let line = "trace --iface eth0 --hex -";
    let line =
        format!("{} --state {} {line} < {}", xgre.display(), state.display(), dump.display());
    let script = it.host.file("sh", &line);
    let told = it.host.ns.exec(&format!("sh {}", script.display())).ok();
    assert_eq!(told, it.words("eth0", &whole));
}

/// What is attached goes on without one, and the next one may have other options; after a clean end nothing is attached, and the
/// tables are still there.
fn without_daemon() {
    let Traced { host, wire: _wire, daemon } = Traced::new();
    let trace = |iface: &str, frame: &[u8]| {
        let told = host.xgre(&format!("trace --iface {iface} --hex {}", hex(frame)));
        (told.stderr.clone(), told.ok())
    };
    let (received, sent) = (packet(10).build(), inner().ethernet(ONE, TWO));
    let before = [trace("eth0", &received), trace("blue0", &sent)];
    daemon.kill();
    assert_eq!([trace("eth0", &received), trace("blue0", &sent)], before);
    let nobody = packet(99).build();
    assert!(trace("eth0", &nobody).1.contains("uplink_tc: passed on, no_binding"));
    let daemon = host.start("--iface eth0 --strict");
    assert!(trace("eth0", &nobody).1.contains("=> dropped, no_binding"));
    daemon.stop();
    let (warning, told) = trace("blue0", &sent);
    assert!(warning.contains("nothing is attached") && warning.contains("xgre run"), "{warning}");
    assert_eq!(told, before[1].1);
}

/// The kernel takes a frame's first tag out before TC sees it.
fn vlan() {
    let it = Traced::new();
    let tagged = |tags: &[u16]| tags.iter().fold(packet(10), |it, id| it.vlan(0x8100, *id)).build();
    let delivered = "=> delivered to blue0, 49 bytes";
    for (tags, line) in [(&[5][..], "VLAN 5"), (&[5, 6], "VLAN 5 6"), (&[5, 6, 7], "VLAN 5 6 7")] {
        let told = it.words("eth0", &tagged(tags));
        assert!(
            told.contains(&format!("  vlan     {line}\n")) && told.ends_with(delivered),
            "{told}"
        );
    }
    let mut inside = inner().ethernet(TWO, ONE);
    inside.splice(12..12, [0x81, 0, 0, 9]);
    let told = it.document("net0", &inside)["packets"][0]["outputs"][0].clone();
    let frame = told["frame"].as_str().expect("bytes");
    assert!(frame.ends_with(&hex(&inside)), "{told}");
    assert_eq!(told["length"], 95, "{told}");
}
