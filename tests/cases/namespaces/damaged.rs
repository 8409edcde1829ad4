//! Pinned maps in which somebody else has written: every command comes to its end, in order or with an error.

use std::{fs, path::Path};

use serde_json::Value;
use testbed::{
    Host, Outcome, Random,
    host::xgre_binary,
    suite::{Case, Need},
    topology::sensor,
};

/// One of each kind, and tenants with one tunnel and with several.
const CONFIGURATION: &str = r#"
[[tunnel]]
name = "t"
local = "192.0.2.1"
remote = "192.0.2.2"
keepalive = "10,3"

[[tunnel]]
name = "u"
local = "192.0.2.1"
remote = "192.0.2.3"

[[tunnel]]
name = "v"
local = "2001:db8::1"
remote = "2001:db8::2"

[[tenant]]
name = "blue"
key = 10
second-in-key = 11
tunnels = ["t"]
allow-source = ["10.0.0.0/8"]
rate = "100mbit"

[[tenant]]
name = "green"
key = 20
tunnels = ["t", "v"]
service = "l2"

[[tenant]]
name = "red"
key = 30
tunnels = ["t", "u"]

[[port]]
tenant = "blue"
name = "blue0"
create = true

[[port]]
tenant = "green"
name = "green0"
create = true

[[port]]
tenant = "red"
name = "red0"
create = true

[[route]]
tenant = "red"
prefix = "10.0.0.0/8"
tunnels = ["t", "u"]

[[fdb]]
tenant = "green"
mac = "02:00:00:00:00:07"
tunnel = "v"

[[neigh]]
tenant = "green"
ip = "10.9.0.7"
mac = "02:00:00:00:00:07"

[[transit]]
iface = "eth0"
key = 40
drop = true
"#;

/// Of another version nothing is looked at, and in rings there is nothing to change.
const LEFT_ALONE: [&str; 2] = ["META", "AYA_LOGS"];

const READ: [&str; 12] = [
    "tunnel list",
    "tenant list",
    "tenant show blue",
    "tenant show green",
    "tenant show red",
    "port list",
    "route list",
    "fdb list green",
    "neigh list",
    "transit list",
    "stats",
    "doctor",
];

const CHANGE: [&str; 8] = [
    "tunnel add w --local 192.0.2.1 --remote 192.0.2.4",
    "tenant add white --key 50 --tunnel t u --service l2",
    "port add white white0 --create",
    "tenant set blue --key 12",
    "port del red red0",
    "tenant del green",
    "tunnel del v",
    "export",
];

pub fn cases() -> Vec<Case> {
    let case = |(name, seed)| {
        Case::new(format!("damaged maps: {name}"), move || damaged(seed))
            .needs(Need::Program("bpftool"))
    };
    [("a few values", (1, 1)), ("many values", (2, 8)), ("nearly all", (3, 40))].map(case).into()
}

fn damaged((seed, values): (u32, usize)) {
    let mut random = Random(seed);
    for _ in 0..2 {
        let (host, _wire) = sensor();
        host.ns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
        let path = host.file("toml", CONFIGURATION);
        let daemon = host.start(&format!(
            "--iface eth0 --max-tenants 8 --max-fdb 16 --max-routes 16 --max-neigh 16 --config {}",
            path.display()
        ));
        daemon.kill();
        for map in fs::read_dir(host.state().join("maps")).expect("pins") {
            let map = map.expect("a pin").path();
            if !LEFT_ALONE.iter().any(|name| map.ends_with(name)) {
                damage(&host, &map, values, &mut random);
            }
        }
        for command in READ.iter().chain(&CHANGE).chain(&READ) {
            comes_to_its_end(&host.xgre(command));
        }
        comes_to_its_end(&host.xgre(&format!("apply {}", path.display())));
        let state = host.state();
        let (xgre, state) = (xgre_binary(), state.display());
        let run = format!("{} --state {state} run --iface eth0", xgre.display());
        comes_to_its_end(&host.ns.exec(&format!("timeout --preserve-status --signal INT 2 {run}")));
        host.xgre("detach").ok();
    }
}

#[track_caller]
fn comes_to_its_end(outcome: &Outcome) {
    assert!(matches!(outcome.status.code(), Some(0..=2)), "{outcome}");
}

/// Writes something else into so many values of a map. Where the kernel does not take it, nothing is written.
fn damage(host: &Host, map: &Path, values: usize, random: &mut Random) {
    let bpftool = |args: &str| host.ns.exec(&format!("bpftool --json map {args}"));
    let map = map.display();
    let dump = bpftool(&format!("dump pinned {map}"));
    let Ok(Value::Array(entries)) = serde_json::from_str(&dump.stdout) else { return };
    let (used, free): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| is_used(&entry["value"]));
    for _ in 0..values {
        let among =
            if free.is_empty() || !used.is_empty() && !random.one_in(4) { &used } else { &free };
        if among.is_empty() {
            return;
        }
        let entry = &among[random.below(among.len() as u32) as usize];
        let (key, mut value) = (bytes(&entry["key"]), bytes(&entry["value"]));
        for word in value.chunks_mut(4) {
            if random.one_in(3) {
                word.copy_from_slice(&another(random)[..word.len()]);
            }
        }
        let [key, value] = [key, value].map(|bytes| in_hex(&bytes));
        bpftool(&format!("update pinned {map} key hex {key} value hex {value}"));
    }
}

fn another(random: &mut Random) -> [u8; 4] {
    let small = random.below(20);
    let any = random.below(1 << 16) << 16 | random.below(1 << 16);
    random.among(&[0, 1, small, small << 24, any, u32::MAX]).to_ne_bytes()
}

fn is_used(value: &Value) -> bool {
    bytes(value).iter().any(|byte| *byte != 0)
}

/// "0x0a" for each.
fn bytes(list: &Value) -> Vec<u8> {
    let byte = |it: &Value| u8::from_str_radix(it.as_str()?.trim_start_matches("0x"), 16).ok();
    list.as_array().map(|list| list.iter().filter_map(byte).collect()).unwrap_or_default()
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
