//! Files of chance: what was applied is what is there, and what fails leaves nothing behind.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::Value;
use testbed::{Host, Random, suite::Case, topology::sensor};

use super::apply;

pub fn cases() -> Vec<Case> {
    (0..4)
        .map(|seed| Case::new(format!("apply: files of chance, seed {seed}"), move || run(seed)))
        .collect()
}

const FILES: u32 = 8;
/// Interfaces that are there for ports.
const DEVICES: [&str; 4] = ["p0", "p1", "p2", "p3"];

/// A tenant of a file.
struct Tenant {
    name: String,
    l2: bool,
    tunnels: Vec<String>,
    ports: Vec<&'static str>,
}

/// A file in which nothing contradicts.
fn file(random: &mut Random) -> String {
    let mut text = String::new();
    let tunnels = tunnels(random, &mut text);
    let mut tenants = tenants(random, &tunnels, &mut text);
    ports(random, &mut tenants, &mut text);
    for tenant in &tenants {
        destinations(random, tenant, &mut text);
    }
    if random.one_in(2) {
        let action = random.among(&["drop = true", "count = true"]);
        let _ = writeln!(text, "[[transit]]\niface = \"p0\"\nkey = 7\n{action}");
    }
    text
}

fn tunnels(random: &mut Random, text: &mut String) -> Vec<String> {
    let mut names = Vec::new();
    let mut taken = BTreeSet::new();
    for name in ["t", "u", "v", "w"] {
        let (remote, v6) = (2 + random.below(6), random.one_in(3));
        if !taken.insert((remote, v6)) || random.one_in(5) {
            continue;
        }
        let prefix = if v6 { "2001:db8::" } else { "192.0.2." };
        let _ = writeln!(
            text,
            "[[tunnel]]\nname = \"{name}\"\nlocal = \"{prefix}1\"\nremote = \"{prefix}{remote}\""
        );
        for option in ["ttl = 9", "tos = 16", "csum = true", "mtu = 1300", "mss-clamp = false"] {
            if random.one_in(3) {
                let _ = writeln!(text, "{option}");
            }
        }
        names.push(name.to_owned());
    }
    names
}

fn tenants(random: &mut Random, tunnels: &[String], text: &mut String) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    let mut taken = BTreeSet::new();
    for name in ["blue", "green", "red", "white"] {
        let (l2, in_key, out_key) = (random.one_in(2), random.below(5), random.below(5));
        let wanted = 1 + random.below(3) as usize;
        let first = random.below(4) as usize;
        let own: Vec<_> =
            tunnels.iter().cycle().skip(first).take(wanted.min(tunnels.len())).collect();
        let free = own.iter().all(|tunnel| !taken.contains(&((*tunnel).clone(), in_key)));
        if own.is_empty() || !free || random.one_in(6) {
            continue;
        }
        taken.extend(own.iter().map(|tunnel| ((*tunnel).clone(), in_key)));
        let second = 5 + random.below(3);
        let free = own.iter().all(|tunnel| !taken.contains(&((*tunnel).clone(), second)));
        let has_second = free && random.one_in(3);
        if has_second {
            taken.extend(own.iter().map(|tunnel| ((*tunnel).clone(), second)));
        }
        let keys = match in_key {
            0 => "no-key = true".to_owned(),
            _ if out_key > 0 => format!("in-key = {in_key}\nout-key = {out_key}"),
            _ => format!("key = {in_key}"),
        };
        let service = if l2 { "l2" } else { "l3" };
        let _ = writeln!(
            text,
            "[[tenant]]\nname = \"{name}\"\n{keys}\ntunnels = {own:?}\nservice = \"{service}\""
        );
        if has_second {
            let _ = writeln!(text, "second-in-key = {second}");
        }
        let mut sources = vec!["10.0.0.0/8", "fd09::/64", "02:00:00:00:00:07"];
        sources.retain(|source| (l2 || source.contains('/')) && random.one_in(3));
        if !sources.is_empty() {
            let _ = writeln!(text, "allow-source = {sources:?}");
        }
        if random.one_in(3) {
            let _ = writeln!(text, "rate = \"{}mbit\"", 1 + random.below(2));
        }
        let tunnels = own.into_iter().cloned().collect();
        tenants.push(Tenant { name: name.to_owned(), l2, tunnels, ports: Vec::new() });
    }
    tenants
}

fn ports(random: &mut Random, tenants: &mut [Tenant], text: &mut String) {
    let created = ["c0", "c1"].map(|name| (name, true));
    for (name, create) in DEVICES.map(|name| (name, false)).into_iter().chain(created) {
        if tenants.is_empty() || random.one_in(3) {
            continue;
        }
        let at = random.below(tenants.len() as u32) as usize;
        let tenant = &mut tenants[at];
        tenant.ports.push(name);
        let option = match (create, random.below(3)) {
            (true, _) => "create = true",
            (false, 0) => "mac = \"02:00:00:00:00:09\"",
            (false, 1) => "mode = \"native\"",
            (false, _) => "mode = \"tc\"",
        };
        let tenant = &tenant.name;
        let _ = writeln!(text, "[[port]]\ntenant = \"{tenant}\"\nname = \"{name}\"\n{option}");
    }
}

/// Where a tenant's destinations are, and who is answered for.
fn destinations(random: &mut Random, tenant: &Tenant, text: &mut String) {
    let Tenant { name, l2, tunnels, ports } = tenant;
    if *l2 {
        if random.one_in(2) {
            let tunnel = &tunnels[0];
            let _ = writeln!(
                text,
                "[[fdb]]\ntenant = \"{name}\"\nmac = \"02:00:00:00:00:07\"\ntunnel = \"{tunnel}\""
            );
        }
    } else {
        for prefix in ["0.0.0.0/0", "10.0.0.0/8", "10.9.0.0/16", "::/0", "fd09::/64"] {
            let mut ways: [Vec<&str>; 2] =
                [tunnels.iter().map(String::as_str).collect(), ports.clone()];
            for ways in &mut ways {
                ways.retain(|_| random.one_in(2));
            }
            let [tunnels, ports] = ways;
            if random.one_in(2) || tunnels.len() + ports.len() == 0 {
                continue;
            }
            let _ = writeln!(
                text,
                "[[route]]\ntenant = \"{name}\"\nprefix = \"{prefix}\"\ntunnels = {tunnels:?}\nports = {ports:?}"
            );
        }
    }
    for ip in ["10.9.0.7", "fd09::7"] {
        if random.one_in(3) {
            let mac = 7 + random.below(2);
            let _ = writeln!(
                text,
                "[[neigh]]\ntenant = \"{name}\"\nip = \"{ip}\"\nmac = \"02:00:00:00:00:0{mac}\""
            );
        }
    }
}

/// All that must not change where nothing is to, but for what is counted at hooks.
fn everything(host: &Host) -> (String, [Value; 3], Value) {
    let tenants = host.json("stats")["tenants"].clone();
    (host.xgre("export").ok(), host.configuration(), tenants)
}

fn run(seed: u32) {
    let (host, _wire) = sensor();
    // Nothing is sent that would be counted.
    host.ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
    for device in DEVICES {
        host.ns.ip(&format!("link add {device} type veth peer name {device}x"));
    }
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 16");
    let mut random = Random(seed);
    let links = host.ns.ip("-br link").lines().count();
    for _ in 0..FILES {
        let text = file(&mut random);
        apply(&host, &text).ok();
        assert_eq!(apply(&host, &text).ok(), "nothing to change", "{text}");
        let exported = host.xgre("export").ok();
        assert_eq!(apply(&host, &exported).ok(), "nothing to change", "{exported}");

        let before = everything(&host);
        let other = file(&mut random);
        let late = "[[tunnel]]\nname = \"x\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.99\"\n\
            [[tenant]]\nname = \"x\"\nkey = 99\ntunnels = [\"x\"]\nservice = \"l2\"\n\
            [[tunnel]]\nname = \"y\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.98\"\n\
            [[fdb]]\ntenant = \"x\"\nmac = \"02:00:00:00:00:01\"\ntunnel = \"y\"\n";
        let early = "[[tunnel]]\nname = \"x\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.99\"\n\
            [[tenant]]\nname = \"x\"\nkey = 99\ntunnels = [\"x\"]\n\
            [[port]]\ntenant = \"x\"\nname = \"eth0\"\n";
        for fails in [late, early] {
            let message = apply(&host, &format!("{other}{fails}")).err();
            assert!(message.ends_with("nothing has changed"), "{message}");
            assert_eq!(everything(&host), before, "{text}\nto\n{other}\n{message}");
        }
    }
    apply(&host, "").ok();
    assert_eq!(host.xgre("export").ok(), "");
    let flood = if host.ns.ip("-br link").contains("xgre-flood") { 2 } else { 0 };
    assert_eq!(host.ns.ip("-br link").lines().count(), links + flood);
}
