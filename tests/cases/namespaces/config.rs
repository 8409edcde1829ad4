//! The configuration as a file.

use serde_json::json;
use testbed::{Host, Ping, suite::Case, topology::sensor, two_hosts};

use crate::setup::{Mode, Pair, Service, add_tenant, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = REFUSED
        .iter()
        .map(|&(what, text, message)| {
            Case::new(format!("config: refused: {what}"), move || refused(text, message))
        })
        .collect();
    cases.extend([
        Case::new("config: refused: a file that is not there", no_file),
        Case::new("config: export", export),
        Case::new("config: what is exported can be applied", applied_again),
        Case::new("config: a state that is empty again", wiped),
        Case::new("config: what would change", dry_run),
        Case::new("config: tunnels change while traffic flows", in_place),
        Case::new("config: created ports keep their addresses", anew),
        Case::new("config: a created port of another tenant", another_tenant),
        Case::new("config: a key changed again and again", again_and_again),
        Case::new("config: what fails changes nothing", failing),
        Case::new("config: what fails late changes nothing", failing_late),
        Case::new("config: a transit rule on a created port", rule_on_created),
        Case::new("config: run with a file", at_start),
        Case::new("config: two hosts that run with a file", both_at_start),
        Case::new("config: run with a file that is wrong", at_start_wrong),
    ]);
    cases
}

/// Case, file, message.
type Refused = (&'static str, &'static str, &'static str);

const REFUSED: &[Refused] = &[
    (
        "syntax",
        "[[tunnel]]\nname = \"t\nlocal = 1",
        "FILE:2:10: invalid basic string, expected `\"`",
    ),
    (
        "an unknown table",
        "[[tunel]]\n",
        "FILE:1:3: unknown field `tunel`; a file has [[tunnel]], [[tenant]], [[port]], [[route]], [[fdb]], [[neigh]], [[transit]], [fleet]",
    ),
    (
        "one table where there is a list",
        "\n[port]\nname = \"a\"",
        "FILE:2:2: port is a list of tables; write [[port]], once for each",
    ),
    (
        "an unknown field",
        "port = [\n  { tenant = \"blue\", name = \"blue0\", colour = 7 },\n]",
        "FILE:2:38: port blue0: unknown field `colour`, expected one of `tenant`, `name`, `create`, `vlan`, `mac`, `mode`",
    ),
    (
        "a field that is missing",
        "[[port]]\nname = \"a\"\n",
        "FILE:1:1: port a: missing field `tenant`",
    ),
    (
        "values that cannot be, and both told",
        "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\nttl = 0\n\n\
         [[tenant]]\nname = \"blue\"\nkey = 4294967296\ntunnels = [\"t\"]\n",
        "FILE has 2 errors\n\
         FILE:5:7: tunnel t: invalid value \"0\": expected 1 to 255, or inherit\n\
         FILE:9:7: tenant blue: invalid value \"4294967296\": a GRE key has 32 bits: 0 to 4294967295",
    ),
    (
        "ends of different versions",
        "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"2001:db8::1\"\n",
        "FILE:1:1: tunnel t: local 192.0.2.1 and remote 2001:db8::1 are of different versions; give both ends of a \
         tunnel IPv4 addresses, or both IPv6 addresses",
    ),
    (
        "a key and none",
        "tunnel = [{ name = \"t\", local = \"192.0.2.1\", remote = \"192.0.2.2\" }]\n\n\
         [[tenant]]\nname = \"blue\"\nkey = 10\nno-key = true\ntunnels = [\"t\"]\n",
        "FILE:3:1: tenant blue: key, in-key with out-key, and no-key exclude each other; keep one of them",
    ),
    (
        "a tunnel that is not there",
        "[[tenant]]\nname = \"blue\"\nkey = 10\ntunnels = [\"t\"]\n",
        "FILE:1:1: tenant blue: there is no tunnel t in this file; add a [[tunnel]] of this name, or name another",
    ),
    (
        "a station for whom an l3 tenant has no use, bits behind a prefix, and a rate of no unit",
        "tunnel = [{ name = \"t\", local = \"192.0.2.1\", remote = \"192.0.2.2\" }]\n\
         tenant = [\n  { name = \"blue\", key = 10, tunnels = [\"t\"], allow-source = [\"02:00:00:00:00:01\"] },\n\
         { name = \"red\", key = 11, tunnels = [\"t\"], allow-source = [\"10.0.0.1/8\"] },\n\
         { name = \"green\", key = 12, tunnels = [\"t\"], rate = \"fast\" },\n]\n",
        "FILE has 3 errors\n\
         FILE:3:3: tenant blue: an l3 tenant's packets have no MAC address of their own; give prefixes in place of \
         02:00:00:00:00:01, or make it l2\n\
         FILE:4:60: tenant red: invalid value \"10.0.0.1/8\": it has bits behind its length; give 10.0.0.0/8, or a MAC \
         address, as in 02:00:00:00:00:01\n\
         FILE:5:53: tenant green: invalid value \"fast\": expected bits per second, from 8bit to 8000gbit, as in 100mbit",
    ),
    (
        "routes that lead nowhere",
        "tunnel = [{ name = \"t\", local = \"192.0.2.1\", remote = \"192.0.2.2\" }]\n\
         tenant = [{ name = \"blue\", key = 10, tunnels = [\"t\"] }]\n\
         route = [\n{ tenant = \"blue\", prefix = \"10.0.0.0/8\" },\n\
         { tenant = \"blue\", prefix = \"10.1.0.0/16\", tunnels = [\"u\"] },\n]\n",
        "FILE has 2 errors\n\
         FILE:4:1: route to 10.0.0.0/8 of tenant blue: a route has 1 to 8 ways, this one has 0; give tunnels or ports\n\
         FILE:5:1: route to 10.1.0.0/16 of tenant blue: there is no tunnel u in this file; add a [[tunnel]] of this name, \
         or name another",
    ),
    (
        "a tunnel named twice",
        "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\n\n\
         [[tenant]]\nname = \"blue\"\nkey = 10\nservice = \"l2\"\ntunnels = [\"t\", \"t\"]\n",
        "FILE:6:1: tenant blue: tunnel t is named twice; name each tunnel of a tenant once",
    ),
    (
        "names, ends and bindings that are taken",
        "tunnel = [\n  { name = \"t\", local = \"192.0.2.1\", remote = \"192.0.2.2\" },\n\
         { name = \"u\", local = \"192.0.2.1\", remote = \"192.0.2.2\" },\n]\n\
         tenant = [\n  { name = \"blue\", key = 10, tunnels = [\"t\"] },\n\
         { name = \"red\", key = 10, tunnels = [\"t\"] },\n\
         { name = \"red\", key = 11, tunnels = [\"t\"] },\n]\n\
         port = [\n  { tenant = \"blue\", name = \"a\", create = true },\n\
         { tenant = \"blue\", name = \"b\", create = true },\n]\n",
        "FILE has 3 errors\n\
         FILE:3:1: tunnel u: tunnel t already goes from 192.0.2.1 to 192.0.2.2, in line 2; use that one, or give another \
         address\n\
         FILE:7:1: tenant red: tenant blue already receives key 10 on tunnel t, in line 6; choose another key, or \
         another tunnel\n\
         FILE:8:1: tenant red is there already, in line 7; delete one of them, or give it another name",
    ),
    (
        "options that exclude each other",
        "[[transit]]\niface = \"eth0\"\nkey = 7\ndrop = true\ncount = true\n",
        "FILE:1:1: a rule does one thing; give count = true, drop = true, or redirect and an interface",
    ),
    (
        "a packet that goes back",
        "[[transit]]\niface = \"eth0\"\nkey = 7\nredirect = \"eth0\"\n",
        "FILE:1:1: transit rule for key 7 from any to any on eth0: redirect eth0 is the interface that the packets come \
         in by; they would go back to their sender: give another one",
    ),
];

/// Applies a text.
fn apply(host: &Host, text: &str, options: &str) -> testbed::Outcome {
    let path = host.file("config.toml", text);
    host.xgre(&format!("apply {} {options}", path.display()))
}

/// What must not change where nothing is to.
fn everything(host: &Host) -> (String, impl PartialEq + std::fmt::Debug + use<>) {
    let configuration = (host.configuration(), host.json("transit list"));
    (host.xgre("export").ok(), (configuration, host.ns.ip("-br addr")))
}

/// A host with all kinds of things.
fn furnished(host: &Host) {
    let options = "--ttl inherit --tos 16 --df copy --mtu 1400 --ecn compatibility";
    host.xgre(&format!("tunnel add u --local 192.0.2.1 --remote 198.51.100.2 {options}")).ok();
    let options = "--csum --seq --mss-clamp off --pmtudisc off --keepalive 60,3";
    host.xgre(&format!("tunnel add v --local 2001:db8::1 --remote 2001:db8::2 {options}")).ok();
    tunnel(host, "192.0.2.1", "192.0.2.2");
    add_tenant(host, "blue", "--key 0xa");
    add_tenant(host, "red", "--no-key --service l2");
    host.xgre("tenant add green --in-key 7 --out-key 8 --tunnel v").ok();
    host.xgre("tenant add black --key 9 --tunnel v").ok();
    host.ns.ip("link add pair0 type veth peer name pair1");
    host.ns.ip("tuntap add tap0 mode tap");
    host.xgre("port add green pair0 --mode tc").ok();
    host.xgre("port add black tap0 --mac 02:00:00:00:00:01").ok();
    host.xgre("transit add --iface pair1 --key 30 --local 192.0.2.7 --redirect eth0").ok();
    host.xgre("transit add --iface pair1 --no-key --drop").ok();
}

const FURNISHED: &str = r#"[[tunnel]]
name = "t"
local = "192.0.2.1"
remote = "192.0.2.2"

[[tunnel]]
name = "u"
local = "192.0.2.1"
remote = "198.51.100.2"
ttl = "inherit"
tos = 16
ecn = "compatibility"
df = "copy"
mtu = 1400

[[tunnel]]
name = "v"
local = "2001:db8::1"
remote = "2001:db8::2"
csum = true
seq = true
mss-clamp = false
pmtudisc = false
keepalive = "60,3"

[[tenant]]
name = "black"
key = 9
tunnels = ["v"]

[[tenant]]
name = "blue"
key = 10
tunnels = ["t"]

[[tenant]]
name = "green"
in-key = 7
out-key = 8
tunnels = ["v"]

[[tenant]]
name = "red"
no-key = true
tunnels = ["t"]
service = "l2"

[[port]]
tenant = "blue"
name = "blue0"
create = true

[[port]]
tenant = "green"
name = "pair0"

[[port]]
tenant = "red"
name = "red0"
create = true

[[port]]
tenant = "black"
name = "tap0"
mac = "02:00:00:00:00:01"

[[transit]]
iface = "pair1"
key = 30
local = "192.0.2.7"
redirect = "eth0"

[[transit]]
iface = "pair1"
no-key = true
drop = true"#;

fn export() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    assert_eq!(host.xgre("export").ok(), "");
    furnished(&host);
    assert_eq!(host.xgre("export").ok(), FURNISHED);
    let found = host.json("export");
    assert_eq!(found["version"], 1);
    let blue = json!({"tenant": "blue", "name": "blue0", "create": true});
    assert_eq!(found["port"][0], blue);
    let keys: Vec<_> = found.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["fdb", "neigh", "port", "route", "tenant", "transit", "tunnel", "version"]);
}

fn applied_again() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    furnished(&host);
    let before = everything(&host);
    for options in ["", "--dry-run"] {
        assert_eq!(apply(&host, FURNISHED, options).ok(), "nothing to change");
    }
    let mode = FURNISHED.replace("name = \"pair0\"", "name = \"pair0\"\nmode = \"tc\"");
    assert_eq!(apply(&host, &mode, "").ok(), "nothing to change", "that is what auto is there");
    let found = apply(&host, FURNISHED, "--json").ok();
    assert_eq!(found, r#"{"version":1,"applied":true,"changes":[]}"#);
    assert_eq!(everything(&host), before);
}

fn wiped() {
    let (host, _wire) = sensor();
    let daemon = host.start("--iface eth0 --mode tc");
    let links = host.ns.ip("-br link");
    furnished(&host);
    let text = host.xgre("export").ok();
    let printed = apply(&host, "", "").ok();
    assert!(printed.ends_with("\napplied 13 changes"), "{printed}");
    assert_eq!(host.xgre("export").ok(), "");
    for device in ["pair0", "tap0"] {
        host.ns.ip(&format!("link show {device}"));
    }
    let left = host.ns.ip("-br link");
    assert_eq!(left.lines().count(), links.lines().count() + 3, "{left}");
    daemon.stop();
    let printed = apply(&host, &text, "").ok();
    assert!(printed.ends_with("\napplied 13 changes"), "{printed}");
    assert_eq!(host.xgre("export").ok(), text);

    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    let text = one.xgre("export").ok();
    apply(&one, "", "").ok();
    Ping::to("10.9.0.2").unanswered(&one.ns);
    apply(&one, &text, "").ok();
    inner_addresses(&one.ns, "blue0", 1);
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn dry_run() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    furnished(&host);
    let before = everything(&host);
    let text = FURNISHED
        .replace("ttl = \"inherit\"", "ttl = 32")
        .replace("key = 9", "key = 99")
        .replace("drop = true", "count = true")
        .replace("[[port]]\ntenant = \"blue\"\nname = \"blue0\"\ncreate = true\n", "");
    let text = format!("{text}\n[[tunnel]]\nname='w'\nlocal='192.0.2.1'\nremote='192.0.2.9'\n");
    let lines = [
        "- port blue0",
        "~ tunnel u: ttl inherit -> 32",
        "~ tenant black: key 9 -> 99",
        "~ transit rule for packets without key from any to any on pair1: drop true -> none, count none -> true",
        "+ tunnel w: local 192.0.2.1, remote 192.0.2.9",
    ];
    let printed = apply(&host, &text, "--dry-run").ok();
    assert_eq!(printed, format!("{}\n5 changes to apply", lines.join("\n")));
    assert_eq!(everything(&host), before);
    let found: serde_json::Value =
        serde_json::from_str(&apply(&host, &text, "--dry-run --json").ok()).expect("JSON");
    assert_eq!((&found["version"], &found["applied"]), (&json!(1), &json!(false)));
    let tunnel = json!({"name": "u", "local": "192.0.2.1", "remote": "198.51.100.2",
        "ttl": "inherit", "tos": 16, "ecn": "compatibility", "df": "copy", "mtu": 1400});
    let mut after = tunnel.clone();
    after["ttl"] = json!(32);
    let change = json!({"change": "change", "kind": "tunnel", "name": "u", "anew": false,
        "before": tunnel, "after": after});
    assert_eq!(found["changes"][1], change);
    assert_eq!(everything(&host), before);
    let printed = apply(&host, &text, "").ok();
    assert_eq!(printed, format!("{}\napplied 5 changes", lines.join("\n")));
    assert_eq!(apply(&host, &text, "").ok(), "nothing to change");
}

fn in_place() {
    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    let device = one.ns.ifindex("blue0");
    let text = one.xgre("export").ok();
    let options = "ttl = 3\ntos = 4\ndf = \"clear\"\nkeepalive = \"60,3\"\nmss-clamp = false";
    let changed = text.replace("\n\n[[tenant]]", &format!("\n{options}\n\n[[tenant]]"));
    let pings = Ping::to("10.9.0.2").times(100, 10).start(&one.ns);
    for text in [&changed, &text, &changed] {
        apply(&one, text, "").ok();
    }
    let result = pings.wait();
    assert_eq!((result.sent, result.received), (100, 100), "{}", result.log);
    assert_eq!(one.ns.ifindex("blue0"), device);
    let found = &one.json("tunnel list")["tunnels"][0];
    assert_eq!((&found["ttl"], &found["mss_clamp"]), (&json!(3), &json!(false)));
    assert_eq!(found["keepalive"], json!({"period": 60, "retries": 3}));
}

fn anew() {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    let (device, address) = (one.ns.ifindex("blue0"), one.ns.ip("-br addr show blue0"));
    for host in [&one, &two] {
        let text = host.xgre("export").ok().replace("key = 10", "key = 20");
        let text = text.replace("\n\n[[tenant]]", "\ncsum = true\nmtu = 1300\n\n[[tenant]]");
        let printed = apply(host, &text, "").ok();
        let expected = "~ tunnel t: csum false -> true, mtu none -> 1300\n\
            ~ tenant blue: key 10 -> 20\n\
            applied 2 changes";
        assert_eq!(printed, expected);
    }
    assert_eq!(one.ns.ifindex("blue0"), device);
    assert_eq!(one.ns.ip("-br addr show blue0"), address);
    assert_eq!(one.ns.json("link show blue0")[0]["mtu"], 1300);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    Ping::to("fd09::2").all_answered(&one.ns);
}

/// A tenant of another name, in the old one's slot.
fn another_tenant() {
    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    let text = one.xgre("export").ok();
    let links = one.ns.ip("-br link").lines().count();
    apply(&one, &text.replace("blue0", "new0").replace("blue", "new"), "").ok();
    assert_eq!(one.ns.ip("-br link").lines().count(), links);
    inner_addresses(&one.ns, "new0", 1);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    apply(
        &one,
        &text
            .replace("tenant = \"blue\"", "tenant = \"new\"")
            .replace("name = \"blue\"", "name = \"new\""),
        "",
    )
    .ok();
    assert_eq!(one.ns.ip("-br link").lines().count(), links);
}

fn failing() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    furnished(&host);
    let before = everything(&host);
    let no_port = FURNISHED.replace("\"tap0\"", "\"nope0\"");
    let dry = apply(&host, &no_port, "--dry-run").err();
    let message = apply(&host, &no_port, "").err();
    assert_eq!(message, dry);
    assert_eq!(
        message,
        "xgre: cannot add port nope0: there is no interface nope0; `ip link` shows those there are"
    );
    assert_eq!(everything(&host), before);
    let message = apply(&host, &FURNISHED.replace("\"eth0\"", "\"nope0\""), "").err();
    assert!(message.contains("cannot change transit rule for key 30"), "{message}");
    assert_eq!(everything(&host), before);
}

/// Places that an apply leaves are there for the next one.
fn again_and_again() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    furnished(&host);
    for key in (100..120).chain([9]) {
        let text = FURNISHED.replace("key = 9", &format!("key = {key}"));
        let printed = apply(&host, &text, "").ok();
        assert!(printed.ends_with("\napplied 1 change"), "{printed}");
    }
    assert_eq!(host.xgre("export").ok(), FURNISHED);
}

/// Everything changes, and the last step fails.
fn failing_late() {
    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    let before = everything(&one);
    let device = one.ns.ifindex("blue0");
    let text = one.xgre("export").ok().replace("key = 10", "key = 20");
    let text = text.replace("192.0.2.2", "192.0.2.3").replace("blue\"", "blau\"");
    let text = text.replace("\n\n[[tenant]]", "\nseq = true\nmtu = 1300\n\n[[tenant]]");
    let late = "[[tenant]]\nname = \"red\"\nkey = 7\ntunnels = [\"t\"]\n\
        [[port]]\ntenant = \"red\"\nname = \"eth0\"\ncreate = true\n";
    let message = apply(&one, &format!("{text}\n{late}"), "").err();
    let expected = "cannot add port eth0: interface eth0 exists already; choose another name, or remove it with \
        `ip link del eth0`; nothing has changed";
    assert!(message.ends_with(expected), "{message}");
    assert_eq!(everything(&one), before);
    assert_eq!(one.ns.ifindex("blue0"), device);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    Ping::to("fd09::2").all_answered(&one.ns);
}

fn refused(text: &str, expected: &str) {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    let before = everything(&host);
    let path = host.file("config.toml", text).display().to_string();
    let expected = format!("xgre: {}", expected.replace("FILE", &path));
    for verb in ["check", "apply"] {
        assert_eq!(host.xgre(&format!("{verb} {path}")).err(), expected, "{verb}");
    }
    assert_eq!(everything(&host), before);
}

fn no_file() {
    let host = Host::new();
    for verb in ["check", "apply", "run --iface eth0 --config"] {
        let message = host.xgre(&format!("{verb} /nope.toml")).err();
        let expected = "xgre: cannot read /nope.toml; name a file of TOML: No such file or directory (os error 2)";
        assert_eq!(message, expected, "{verb}");
    }
}

const BLUE: &str = r#"
[[tunnel]]
name = "t"
local = "192.0.2.1"
remote = "192.0.2.2"

[[tenant]]
name = "blue"
key = 10
tunnels = ["t"]

[[port]]
tenant = "blue"
name = "blue0"
create = true
"#;

fn at_start() {
    let (host, _wire) = sensor();
    let path = host.file("config.toml", BLUE);
    let daemon = host.start(&format!("--iface eth0 --mode tc --config {}", path.display()));
    assert_eq!(host.xgre("export").ok(), BLUE.trim());
    assert!(daemon.greeting.iter().any(|line| line == "+ tenant blue: key 10, tunnels t"));
    let device = host.ns.ifindex("blue0");
    daemon.stop();
    let _daemon = host.start(&format!("--iface eth0 --mode tc --config {}", path.display()));
    assert_eq!(host.ns.ifindex("blue0"), device);
}

/// A rule for an interface that the same file makes.
fn rule_on_created() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc");
    let text = format!("{BLUE}\n[[transit]]\niface = \"blue0\"\nkey = 7\nredirect = \"eth0\"");
    apply(&host, &text, "").ok();
    assert_eq!(host.xgre("export").ok(), text.trim());
    apply(&host, "", "").ok();
    assert_eq!(host.xgre("export").ok(), "");
}

fn both_at_start() {
    let (one, two) = two_hosts();
    let exchanged =
        BLUE.replace("local", "x").replace("remote", "local").replace("x =", "remote =");
    let [_first, _second] = [(&one, BLUE, 1), (&two, &exchanged, 2)].map(|(host, text, end)| {
        let path = host.file("config.toml", text);
        let daemon = host.start(&format!("--iface eth0 --config {}", path.display()));
        inner_addresses(&host.ns, "blue0", end);
        daemon
    });
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn at_start_wrong() {
    let (host, _wire) = sensor();
    let links = host.ns.ip("-br link");
    let run = |text: &str| {
        let path = host.file("config.toml", text);
        host.xgre(&format!("run --iface eth0 --config {}", path.display())).err()
    };
    let message = run(&BLUE.replace("key = 10", "kay = 10"));
    assert!(message.contains("config.toml:9:1: "), "{message}");
    assert!(!host.state().exists());
    let message = run(&BLUE.replace("create = true", "mode = \"tc\""));
    assert!(message.contains("cannot add port blue0"), "{message}");
    assert!(!host.state().exists(), "what was not there is not left behind");
    assert_eq!(host.ns.ip("-br link"), links);

    host.start("--iface eth0 --keep").stop();
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    let before = host.xgre("export").ok();
    let links = host.ns.ip("-br link");
    run(&BLUE.replace("create = true", "mode = \"tc\""));
    assert_eq!((host.xgre("export").ok(), host.ns.ip("-br link")), (before, links), "kept");
}
