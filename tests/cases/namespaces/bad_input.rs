//! What cannot be is refused, with a message, and nothing has changed.

use std::fmt::Write as _;

use aya::maps::{Array, Map, MapData};
use gre_common::tables::Meta;
use testbed::{
    Host, Netns,
    suite::{Case, Need},
    topology::sensor,
};

use crate::setup::{add_tenant, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = REFUSED
        .iter()
        .map(|&(what, command, words)| {
            Case::new(format!("refused: {what}"), move || refused(command, words))
        })
        .collect();
    cases.extend([
        Case::new("refused: an interface with another XDP program", foreign_xdp),
        Case::new("refused: one tenant too many", map_full),
        Case::new("refused: one too many of each kind", each_map_full),
        Case::new("refused: other sizes than those that are there", other_sizes),
        Case::new("refused: without privilege", no_privilege).needs(Need::Program("setpriv")),
        Case::new("refused: another map schema", other_schema),
    ]);
    cases
}

/// Case, command, words of the message.
type Refused = (&'static str, &'static str, &'static [&'static str]);

const REFUSED: &[Refused] = &[
    ("unknown interface as uplink", "run --iface nope0", &["nope0"]),
    ("unknown interface as port", "port add green nope0", &["nope0"]),
    ("a name that is taken, for a created port", "port add green eth0 --create", &["eth0"]),
    ("a binding that exists", "tenant add red --key 10 --tunnel t", &["10", "blue"]),
    ("a tenant that exists", "tenant add blue --key 77 --tunnel t", &["tenant blue"]),
    ("a tunnel that exists", "tunnel add t --local 192.0.2.1 --remote 192.0.2.7", &["tunnel t"]),
    (
        "a tunnel with the addresses of another",
        "tunnel add u --local 192.0.2.1 --remote 192.0.2.2",
        &["t"],
    ),
    ("a key above 32 bits", "tenant add red --key 4294967296 --tunnel t", &["4294967296"]),
    ("no key given", "tenant add red --tunnel t", &["key"]),
    (
        "IPv4 local with IPv6 remote",
        "tunnel add u --local 192.0.2.1 --remote 2001:db8::1",
        &["192.0.2.1", "2001:db8::1", "IPv4"],
    ),
    (
        "a link-local address as local",
        "tunnel add u --local fe80::1 --remote 2001:db8::2",
        &["--local", "fe80::1", "link-local", "fd00::/8"],
    ),
    (
        "a link-local address as remote",
        "tunnel add u --local 2001:db8::1 --remote fe80::2",
        &["--remote", "fe80::2", "link-local"],
    ),
    (
        "IPv4 in the form of IPv6",
        "tunnel add u --local ::ffff:192.0.2.1 --remote ::ffff:192.0.2.7",
        &["--local", "give 192.0.2.1"],
    ),
    (
        "an IPv6 multicast address",
        "tunnel add u --local 2001:db8::1 --remote ff0e::1",
        &["--remote", "ff0e::1", "unicast"],
    ),
    (
        "the same IPv6 address at both ends",
        "tunnel add u --local 2001:db8::1 --remote 2001:db8::1",
        &["--local", "--remote", "same"],
    ),
    (
        "a tunnel with the IPv6 addresses of another",
        "tunnel add u --local 2001:db8::1 --remote 2001:db8::2",
        &["six", "2001:db8::1", "2001:db8::2"],
    ),
    (
        "--df over IPv6",
        "tunnel add u --local 2001:db8::1 --remote 2001:db8::3 --df clear",
        &["--df", "IPv6"],
    ),
    (
        "a keepalive without count",
        "tunnel add u --local 192.0.2.1 --remote 192.0.2.7 --keepalive 10",
        &["--keepalive", "10,3"],
    ),
    (
        "a keepalive that never asks",
        "tunnel add u --local 192.0.2.1 --remote 192.0.2.7 --keepalive 0,3",
        &["--keepalive", "10,3"],
    ),
    (
        "an unknown ECN mode",
        "tunnel add u --local 192.0.2.1 --remote 192.0.2.7 --ecn full",
        &["normal", "compatibility"],
    ),
    ("a tenant without tunnel", "tenant add red --key 77", &["--tunnel"]),
    ("a tenant on a tunnel that is not there", "tenant add red --key 77 --tunnel u", &["tunnel u"]),
    ("deletion of a tunnel in use", "tunnel del t", &["tunnel t", "in use"]),
    ("deletion of a tunnel that is not there", "tunnel del u", &["tunnel u"]),
    ("deletion of a tenant that is not there", "tenant del red", &["tenant red"]),
    ("a port that is one", "port add blue blue0 --create", &["blue0", "exists already"]),
    ("a route for nobody", "route add red 10.0.0.0/8 --via t", &["tenant red"]),
    ("a route to nowhere", "route add blue 10.0.0.0/8 --via u", &["no tunnel or port u"]),
    ("bits behind a prefix", "route add blue 10.0.0.1/8 --via t", &["10.0.0.0/8"]),
    ("a route that is not there", "route del blue 10.0.0.0/8", &["10.0.0.0/8", "route list"]),
    ("a neighbour of nobody", "neigh add red 10.0.0.1", &["tenant red"]),
    ("a neighbour who is many", "neigh add blue 224.0.0.1", &["unicast"]),
    ("a rate of no unit", "tenant add red --key 11 --tunnel t --rate fast", &["100mbit"]),
    (
        "a station as source of an l3 tenant",
        "tenant add red --key 11 --tunnel t --allow-source 02:00:00:00:00:01",
        &["02:00:00:00:00:01", "l2"],
    ),
    ("a VLAN of no number", "port add blue eth9 --vlan 4095", &["4095"]),
    ("a port for nobody", "port add red red0 --create", &["tenant red"]),
    (
        "a transit rule that exists",
        "transit add --iface eth0 --key 30 --local 192.0.2.7 --count",
        &["key 30", "192.0.2.7", "eth0", "drop them", "transit del"],
    ),
    ("a transit rule without action", "transit add --iface eth0 --key 31", &["--drop"]),
    (
        "a transit rule of two actions",
        "transit add --iface eth0 --key 31 --drop --count",
        &["--drop"],
    ),
    ("a transit rule without key", "transit add --iface eth0 --drop", &["--key"]),
    (
        "a transit rule with key and without",
        "transit add --iface eth0 --key 31 --no-key --drop",
        &["--key", "--no-key"],
    ),
    (
        "a transit rule on an unknown interface",
        "transit add --iface nope0 --key 31 --drop",
        &["nope0"],
    ),
    ("a transit rule on lo", "transit add --iface lo --key 31 --drop", &["lo", "Ethernet"]),
    (
        "redirection to an unknown interface",
        "transit add --iface eth0 --key 31 --redirect nope0",
        &["nope0"],
    ),
    (
        "redirection to where packets come from",
        "transit add --iface eth0 --key 31 --redirect eth0",
        &["eth0", "another"],
    ),
    (
        "a transit rule for two IP versions",
        "transit add --iface eth0 --key 31 --local 192.0.2.7 --remote 2001:db8::7 --drop",
        &["192.0.2.7", "2001:db8::7", "versions"],
    ),
    (
        "a transit rule for no address",
        "transit add --iface eth0 --key 31 --local :: --drop",
        &["--local ::", "leave"],
    ),
    (
        "deletion of a transit rule that is not there",
        "transit del --iface eth0 --key 30",
        &["key 30", "any", "eth0", "transit list"],
    ),
    (
        "a trace on an interface without program",
        "trace --iface lo --hex 00",
        &["lo", "eth0 (transit", "blue0 (port"],
    ),
    ("a trace of no bytes", "trace --iface eth0 --hex 0x", &["no bytes", "tcpdump -xx"]),
    ("a trace of half a byte", "trace --iface eth0 --hex 012", &["3 digits"]),
    ("a trace of words", "trace --iface eth0 --hex 00zz", &["00zz", "hexadecimal"]),
    ("a trace of no packet", "trace --iface eth0", &["--pcap", "--hex"]),
    ("a trace of two kinds", "trace --iface eth0 --hex 00 --pcap f", &["--pcap", "--hex"]),
    ("a trace of a missing file", "trace --iface eth0 --pcap /nope", &["/nope", "No such file"]),
    ("a trace of what is no capture", "trace --iface eth0 --pcap /proc/version", &["magic"]),
];

/// A host with the tenants `blue` (with a port) and `green` (without) on the tunnel `t`, the tunnel `six` and a
/// transit rule for key 30.
fn configured() -> (Host, Netns) {
    let (host, wire) = sensor();
    let daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    host.xgre("tunnel add six --local 2001:db8::1 --remote 2001:db8::2").ok();
    add_tenant(&host, "blue", "--key 10");
    host.xgre("tenant add green --key 20 --tunnel t").ok();
    host.xgre("transit add --iface eth0 --key 30 --local 192.0.2.7 --drop").ok();
    daemon.stop();
    (host, wire)
}

/// What a refused command must not change.
fn everything(host: &Host) -> (impl PartialEq + std::fmt::Debug + use<>, String) {
    ((host.configuration(), host.json("transit list")), host.ns.ip("-br link"))
}

#[track_caller]
fn fails(host: &Host, command: &str, words: &[&str]) {
    let message = host.xgre(command).err();
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in {message:?}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

fn refused(command: &str, words: &[&str]) {
    let (host, _wire) = configured();
    let before = everything(&host);
    fails(&host, command, words);
    assert_eq!(everything(&host), before);
}

/// The other program is that of a second xgre with a state of its own.
fn foreign_xdp() {
    let (host, _wire) = configured();
    let _daemon = host.start("--iface eth0");
    let before = (everything(&host), host.uplink_stats("eth0"));
    let other = host.state().with_file_name("other");
    fails(&host, &format!("--state {} run --iface eth0", other.display()), &["eth0", "XDP"]);
    assert_eq!((everything(&host), host.uplink_stats("eth0")), before);
}

fn map_full() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --max-tenants 2");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    for key in [10, 20] {
        host.xgre(&format!("tenant add t{key} --key {key} --tunnel t")).ok();
    }
    let before = everything(&host);
    fails(&host, "tenant add t30 --key 30 --tunnel t", &["full", "--max-tenants"]);
    assert_eq!(everything(&host), before);
    host.xgre("tenant del t10").ok();
    host.xgre("tenant add t30 --key 30 --tunnel t").ok();
}

/// Each thing that there is no room for names the option that makes room, by command and by file.
fn each_map_full() {
    let (host, _wire) = sensor();
    let sizes = "--max-tunnels 2 --max-bindings 8192 --max-fdb 2 --max-routes 2 --max-neigh 2";
    let _daemon = host.start(&format!("--iface eth0 --max-tenants 5000 {sizes}"));
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    for command in [
        "tunnel add u --local 192.0.2.1 --remote 192.0.2.3",
        "tenant add l3 --key 1 --tunnel t u --allow-source 10.0.0.0/8 10.9.0.0/16",
        "tenant add l2 --key 2 --service l2 --tunnel t u",
        "route add l3 10.0.0.0/8 --via t",
        "route add l3 10.9.0.0/16 --via u",
        "fdb add l2 02:00:00:00:00:01 --via t",
        "fdb add l2 02:00:00:00:00:02 --via u",
        "neigh add l3 10.0.0.1 02:00:00:00:00:01",
        "neigh add l3 10.0.0.2 02:00:00:00:00:02",
    ] {
        host.xgre(command).ok();
    }
    // The smallest table of bindings has room for 8,192; the two tenants have four.
    let mut file = host.xgre("export").ok();
    for key in 10..10 + 4094 {
        let _ =
            write!(file, "\n[[tenant]]\nname = \"x{key}\"\nkey = {key}\ntunnels = [\"t\", \"u\"]");
    }
    host.xgre(&format!("apply {}", host.file("full.toml", &file).display())).ok();
    let before = everything(&host);
    let table = |text: &str| format!("{file}\n{}\n", text.replace(", ", "\n").replace(": ", "\n"));
    for (command, item, option) in [
        (
            "tunnel add v --local 192.0.2.1 --remote 192.0.2.4",
            "[[tunnel]]: name = \"v\", local = \"192.0.2.1\", remote = \"192.0.2.4\"",
            "--max-tunnels",
        ),
        (
            "tenant add more --key 3 --tunnel t",
            "[[tenant]]: name = \"more\", key = 3, tunnels = [\"t\"]",
            "--max-bindings",
        ),
        (
            "fdb add l2 02:00:00:00:00:03 --via t",
            "[[fdb]]: tenant = \"l2\", mac = \"02:00:00:00:00:03\", tunnel = \"t\"",
            "--max-fdb",
        ),
        (
            "route add l3 10.8.0.0/16 --via t",
            "[[route]]: tenant = \"l3\", prefix = \"10.8.0.0/16\", tunnels = [\"t\"]",
            "--max-routes",
        ),
        (
            "neigh add l3 10.0.0.3 02:00:00:00:00:03",
            "[[neigh]]: tenant = \"l3\", ip = \"10.0.0.3\", mac = \"02:00:00:00:00:03\"",
            "--max-neigh",
        ),
    ] {
        fails(&host, command, &["full", option]);
        let path = host.file("full.toml", &table(item));
        fails(
            &host,
            &format!("apply {}", path.display()),
            &["full", option, "nothing has changed"],
        );
        assert_eq!(everything(&host), before, "{command}");
    }
    host.xgre("route del l3 10.0.0.0/8").ok();
    host.xgre("route add l3 10.8.0.0/16 --via t").ok();
    host.xgre("tenant del l2").ok();
    let sources = "--allow-source 10.0.0.0/8";
    fails(
        &host,
        &format!("tenant add more --key 3 --tunnel t {sources}"),
        &["full", "--max-routes"],
    );
    host.xgre("tenant add more --key 3 --tunnel t").ok();
}

fn other_sizes() {
    let (host, _wire) = sensor();
    drop(host.start("--iface eth0 --keep --max-tenants 16 --max-fdb 100"));
    let before = everything(&host);
    for (option, found) in [
        ("--max-tenants 17", "16 tenants"),
        ("--max-tunnels 17", "16 tunnels"),
        ("--max-bindings 20000", "8192 bindings"),
        ("--max-fdb 17", "100 stations"),
        ("--max-routes 17", "64 routes"),
        ("--max-neigh 17", "64 neighbours"),
    ] {
        let name = option.split(' ').next().expect("an option");
        let number = option.split(' ').next_back().expect("a number");
        fails(&host, &format!("run --iface eth0 {option}"), &[found, number, name, "detach"]);
    }
    assert_eq!(everything(&host), before);
    drop(host.start("--iface eth0 --max-tenants 16 --max-bindings 15 --max-fdb 100"));
}

fn no_privilege() {
    let (host, _wire) = configured();
    let before = everything(&host);
    let binary = testbed::host::xgre_binary();
    for command in
        ["run --iface eth0", "tunnel add u --local 192.0.2.1 --remote 192.0.2.7", "stats"]
    {
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let state = host.state();
        let line = format!("{nobody} {} --state {} {command}", binary.display(), state.display());
        let message = host.ns.exec(&line).err();
        assert!(message.starts_with("xgre: ") && message.contains("root"), "{command}: {message}");
    }
    assert_eq!(everything(&host), before);
}

fn other_schema() {
    let (host, _wire) = configured();
    let before = host.configuration();
    let meta = MapData::from_pin(host.state().join("maps/META")).expect("the map META");
    let mut meta: Array<_, Meta> = Map::Array(meta).try_into().expect("an array");
    let ours = meta.get(&0, 0).expect("its only entry");
    let other = Meta { schema: ours.schema + 1, ..ours };
    meta.set(0, other, 0).expect("a writable map");
    let version = other.schema.to_string();
    for command in
        ["tunnel list", "tenant add red --key 77 --tunnel t", "stats", "run --iface eth0"]
    {
        fails(&host, command, &["schema", &version, "detach"]);
    }
    meta.set(0, ours, 0).expect("a writable map");
    assert_eq!(host.configuration(), before, "nothing has changed");
}
