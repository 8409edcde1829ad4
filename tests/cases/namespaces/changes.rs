//! `apply` of a changed file while traffic flows, and of files of chance.
//!
//! - [`chance`]: files of chance.

mod chance;

use std::fmt::Write as _;

use testbed::{Host, Ping, suite::Case, topology::sensor};

use crate::setup::{Mode, Pair, Service, Tunnel, count};

pub fn cases() -> Vec<Case> {
    let mut cases = chance::cases();
    cases.extend([
        Case::new("apply: settings of a tunnel change, and nothing is lost", settings),
        Case::new("apply: settings of a tunnel over IPv6 change, and nothing is lost", settings6),
        Case::new("apply: others come, change and go, and nothing is lost", others),
        Case::new("apply: a tunnel and a port are added, and nothing is lost", several),
        Case::new("apply: routes change, and nothing is lost", routes),
        Case::new("apply: sources and rates change, and nothing is lost", guards),
        Case::new("apply: keys change, and counters go on", keys),
        Case::new("apply: a tunnel's ends change, and counters go on", ends),
        Case::new("apply: two tenants exchange their keys", exchanged_keys),
        Case::new("apply: two tenants exchange their ports", exchanged_ports),
        Case::new("apply: a tenant of another service", service),
        Case::new("apply: tunnel and key at once", tunnel_and_key),
        Case::new("apply: what fails last changes nothing", fails_last),
        Case::new("apply: all tenants of a full state are others", full),
        Case::new("apply: thousands of tenants go in one step", thousands),
    ]);
    cases
}

/// Applies a text.
fn apply(host: &Host, text: &str) -> testbed::Outcome {
    let path = host.file("changes.toml", text);
    host.xgre(&format!("apply {}", path.display()))
}

#[track_caller]
fn applied(host: &Host, text: &str) {
    apply(host, text).ok();
    assert_eq!(host.xgre("export").ok(), text.trim(), "what was applied");
}

/// A tenant's packets, received and sent.
fn packets(host: &Host, tenant: &str) -> [u64; 2] {
    let stats = host.tenant_stats(tenant);
    ["/rx/packets", "/tx/packets"].map(|path| count(&stats, path))
}

/// Pings from end to end while `change` is at work.
#[track_caller]
fn nothing_lost(pair: &Pair, times: u16, change: impl FnOnce()) {
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
    let pings = Ping::to("10.9.0.2").times(times, 5).start(&pair.one.ns);
    change();
    let result = pings.wait();
    let told = || {
        let stats = [&pair.one, &pair.two].map(|host| host.json("stats"));
        format!("{}\n{}\n{}", result.log, stats[0], stats[1])
    };
    assert_eq!((result.sent, result.received), (times.into(), times.into()), "{}", told());
}

/// Sets of options, of which some change one word that programs read and others several.
const SETTINGS: [&str; 6] = [
    "ttl = 9",
    "mtu = 1300",
    "ttl = 7\ncsum = true\nmtu = 1200",
    "csum = true",
    "",
    "tos = 16\nmtu = 1400\nmss-clamp = false",
];

fn settings_over(tunnel: Tunnel) {
    for service in Service::ALL {
        let pair = Pair::blue_over(tunnel, service, Mode::Native);
        let device = pair.one.ns.ifindex("blue0");
        let [texts, others] = [&pair.one, &pair.two].map(|host| {
            let text = host.xgre("export").ok();
            SETTINGS.map(|set| text.replace("\n\n[[tenant]]", &format!("\n{set}\n\n[[tenant]]")))
        });
        let before = packets(&pair.one, "blue");
        nothing_lost(&pair, 400, || {
            for (text, other) in texts.iter().zip(&others) {
                apply(&pair.one, text).ok();
                apply(&pair.two, other).ok();
            }
        });
        assert_eq!(pair.one.ns.ifindex("blue0"), device);
        let after = packets(&pair.one, "blue");
        assert!(after[0] >= before[0] + 400 && after[1] >= before[1] + 400, "{before:?} {after:?}");
        let mtu = &pair.one.ns.json("link show blue0")[0]["mtu"];
        assert_eq!(mtu, 1400, "that of the last settings");
        assert_eq!(apply(&pair.one, &texts[5]).ok(), "nothing to change");
    }
}

fn settings() {
    settings_over(Tunnel::PLAIN);
}

fn settings6() {
    settings_over(Tunnel::v6("", 0));
}

/// So many other tenants on the tunnel, whose numbers begin at `first`.
fn crowd(first: u32, number: u32) -> String {
    let mut text = String::new();
    for tenant in first..first + number {
        let key = 1_000 + tenant;
        let _ =
            write!(text, "\n\n[[tenant]]\nname = \"x{tenant}\"\nkey = {key}\ntunnels = [\"t\"]");
    }
    text
}

fn others() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let text = pair.one.xgre("export").ok();
    let port = "\n\n[[port]]\ntenant = \"x0\"\nname = \"x0\"\ncreate = true";
    let with = |more: &str| text.replacen("\n\n[[port]]", &format!("{more}\n\n[[port]]"), 1);
    let tunnel = "\n\n[[tunnel]]\nname = \"u\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.77\"";
    nothing_lost(&pair, 600, || {
        apply(&pair.one, &with(&crowd(0, 200))).ok();
        apply(&pair.one, &format!("{}{port}", with(&crowd(0, 100)))).ok();
        apply(&pair.one, &format!("{}{port}{tunnel}", with(&crowd(0, 1)))).ok();
        let moved = with(&crowd(0, 1)).replace("1000", "77") + port;
        apply(&pair.one, &moved).ok();
        applied(&pair.one, &text);
    });
}

fn several() {
    let pair = Pair::blue(Service::L2, Mode::Tc);
    let text = pair.one.xgre("export").ok();
    let tunnel = "\n\n[[tunnel]]\nname = \"u\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.77\"";
    let port = "\n\n[[port]]\ntenant = \"blue\"\nname = \"blue1\"\ncreate = true";
    let two = text
        .replacen("\n\n[[tenant]]", &format!("{tunnel}\n\n[[tenant]]"), 1)
        .replace("[\"t\"]", "[\"t\", \"u\"]");
    let both = format!("{two}{port}");
    nothing_lost(&pair, 600, || {
        for text in [&two, &text, &both, &format!("{text}{port}"), &text] {
            applied(&pair.one, text);
        }
    });
    let stations = pair.one.json("fdb list blue").to_string();
    assert!(!stations.contains("\"u\"") && !stations.contains("blue1"), "{stations}");
}

fn routes() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let text = pair.one.xgre("export").ok();
    let tunnel = "\n\n[[tunnel]]\nname = \"u\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.77\"";
    let route = |prefix: &str, ways: &str| {
        format!("\n\n[[route]]\ntenant = \"blue\"\nprefix = \"{prefix}\"\n{ways}")
    };
    let (far, near) = ("tunnels = [\"t\"]", "ports = [\"blue0\"]");
    let wrong = "tunnels = [\"u\"]";
    // The ping's destination is always at the other end, by one prefix or another.
    let one = format!("{text}{}", route("0.0.0.0/0", far));
    let longer = format!("{text}{}{}", route("10.9.0.0/30", far), route("10.9.0.1/32", near));
    let shadowed = format!(
        "{}{}{}{}",
        text.replacen("\n\n[[tenant]]", &format!("{tunnel}\n\n[[tenant]]"), 1)
            .replace("[\"t\"]", "[\"t\", \"u\"]"),
        route("0.0.0.0/0", wrong),
        route("10.9.0.0/24", wrong),
        route("10.9.0.2/32", far),
    );
    // In another slot, with its routes.
    let other = shadowed.replacen(
        "remote = \"192.0.2.2\"",
        "remote = \"192.0.2.2\"\nttl = 9\nmtu = 1300",
        1,
    );
    nothing_lost(&pair, 600, || {
        for text in [&one, &longer, &shadowed, &other, &longer, &text, &other, &text] {
            applied(&pair.one, text);
        }
    });
}

fn guards() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let text = pair.one.xgre("export").ok();
    let with =
        |options: &str| text.replacen("\n\n[[port]]", &format!("\n{options}\n\n[[port]]"), 1);
    let within = with("allow-source = [\"10.9.0.0/16\"]\nrate = \"10mbit\"");
    let hosts = with("allow-source = [\"10.9.0.1/32\", \"10.9.0.2/32\"]\nrate = \"20mbit\"");
    nothing_lost(&pair, 600, || {
        for text in [&within, &hosts, &text, &hosts, &within, &text] {
            applied(&pair.one, text);
        }
    });
    applied(&pair.one, &with("allow-source = [\"10.9.0.1/32\"]"));
    let before = count(&pair.one.tenant_stats("blue"), "/drops/source");
    Ping::to("10.9.0.2").unanswered(&pair.one.ns);
    let after = count(&pair.one.tenant_stats("blue"), "/drops/source");
    assert_eq!(after, before + 3);
    applied(&pair.one, &text);
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
}

fn keys() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
    for key in ["key = 20", "no-key = true", "key = 30", "in-key = 5\nout-key = 5"] {
        let before = packets(&pair.one, "blue");
        for host in [&pair.one, &pair.two] {
            let text = host.xgre("export").ok();
            let own = text.lines().find(|line| line.contains("key")).expect("a key").to_owned();
            apply(host, &text.replace(&own, key)).ok();
        }
        Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        let after = packets(&pair.one, "blue");
        assert!(after[0] >= before[0] + 3 && after[1] >= before[1] + 3, "{before:?} {after:?}");
    }
    // Only what is received, and then only what is sent.
    let text = pair.one.xgre("export").ok();
    apply(&pair.one, &text.replace("key = 5", "in-key = 5\nout-key = 6")).ok();
    Ping::to("10.9.0.2").unanswered(&pair.one.ns);
    let text = pair.two.xgre("export").ok();
    apply(&pair.two, &text.replace("key = 5", "in-key = 6\nout-key = 5")).ok();
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
}

fn ends() {
    for (tunnel, first, second) in [
        (Tunnel::PLAIN, "192.0.2.2", "192.0.2.22"),
        (Tunnel::v6("", 0), "2001:db8::2", "2001:db8::22"),
    ] {
        let pair = Pair::blue_over(tunnel, Service::L3, Mode::Native);
        Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        let before = packets(&pair.one, "blue");
        let prefix = if second.contains(':') { "64 nodad" } else { "24" };
        pair.two.ns.ip(&format!("addr add {second}/{prefix} dev eth0"));
        for (from, to) in [(first, second), (second, first)] {
            for host in [&pair.one, &pair.two] {
                let text = host.xgre("export").ok();
                let printed =
                    apply(host, &text.replace(&format!("{from}\""), &format!("{to}\""))).ok();
                assert!(!printed.contains("anew"), "{printed}");
            }
            Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        }
        let after = packets(&pair.one, "blue");
        assert!(after[0] >= before[0] + 6 && after[1] >= before[1] + 6, "{before:?} {after:?}");
    }
}

/// Two tenants that have the same addresses, and answer at `.2` of the other host if they are the same there.
fn two_tenants() -> Pair {
    let pair = Pair::with_tenants(Mode::Native, &[("blue", "--key 10"), ("red", "--key 20")]);
    for (host, end) in [(&pair.one, 1), (&pair.two, 2)] {
        for (tenant, net) in [("blue", 9), ("red", 8)] {
            host.ns.ip(&format!("addr add 10.{net}.0.{end}/24 dev {tenant}0"));
        }
    }
    for host in [&pair.one, &pair.two] {
        // Either answers for either.
        host.ns.sysctl("ipv4/conf/all/rp_filter", "0");
    }
    pair
}

fn exchanged_keys() {
    let pair = two_tenants();
    let both = |answers: bool| {
        for address in ["10.9.0.2", "10.8.0.2"] {
            let ping = Ping::to(address);
            if answers { ping.all_answered(&pair.one.ns) } else { ping.unanswered(&pair.one.ns) }
        }
    };
    both(true);
    let before = ["blue", "red"].map(|tenant| packets(&pair.one, tenant)[0]);
    for host in [&pair.one, &pair.two] {
        let text = host.xgre("export").ok();
        let text = text.replace("key = 10", "key = 11").replace("key = 20", "key = 10");
        applied(host, &text.replace("key = 11", "key = 20"));
    }
    both(true);
    let after = ["blue", "red"].map(|tenant| packets(&pair.one, tenant)[0]);
    assert!(after[0] >= before[0] + 3 && after[1] >= before[1] + 3, "{before:?} {after:?}");
}

fn exchanged_ports() {
    let pair = two_tenants();
    let blue = "tenant = \"blue\"\nname = \"blue0\"";
    let red = "tenant = \"red\"\nname = \"red0\"";
    for host in [&pair.one, &pair.two] {
        let text = host.xgre("export").ok();
        let text = text.replace(blue, "tenant = \"red\"\nname = \"blue0\"");
        applied(host, &text.replace(red, "tenant = \"blue\"\nname = \"red0\""));
    }
    let before = packets(&pair.one, "red")[0];
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
    assert!(packets(&pair.one, "red")[0] >= before + 3);
    Ping::to("10.8.0.2").all_answered(&pair.one.ns);
}

fn service() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let device = pair.one.ns.ifindex("blue0");
    for wanted in ["l2", "l3"] {
        for host in [&pair.one, &pair.two] {
            let text = host.xgre("export").ok().replace("\nservice = \"l2\"", "");
            let text = text.replace(
                "tunnels = [\"t\"]",
                &format!("tunnels = [\"t\"]\nservice = \"{wanted}\""),
            );
            let printed = apply(host, &text).ok();
            assert!(printed.contains("~ port blue0: made anew with what it needs"), "{printed}");
        }
        Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        assert_eq!(pair.one.ns.ifindex("blue0"), device);
    }
}

fn tunnel_and_key() {
    for service in Service::ALL {
        let pair = Pair::blue(service, Mode::Native);
        Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        for (host, local, remote) in [(&pair.one, "1", "2"), (&pair.two, "2", "1")] {
            let text = host.xgre("export").ok();
            let tunnel = format!(
                "[[tunnel]]\nname = \"u\"\nlocal = \"2001:db8::{local}\"\nremote = \"2001:db8::{remote}\""
            );
            let text = text.replacen("[[tenant]]", &format!("{tunnel}\n\n[[tenant]]"), 1);
            applied(
                host,
                &text.replace("key = 10\ntunnels = [\"t\"]", "key = 11\ntunnels = [\"u\"]"),
            );
        }
        Ping::to("10.9.0.2").all_answered(&pair.one.ns);
        assert!(packets(&pair.one, "blue")[0] >= 6);
    }
}

/// Everything is done when a station has no place, and all of it is undone.
fn fails_last() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let text = pair.one.xgre("export").ok();
    let before = (text.clone(), pair.one.configuration(), pair.one.ns.ip("-br addr"));
    let tenant = "[[tenant]]\nname = \"red\"\nkey = 10\ntunnels = [\"t\"]\nservice = \"l2\"";
    let late = "\n\n[[tunnel]]\nname = \"v\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.9\"\n\
        [[fdb]]\ntenant = \"red\"\nmac = \"02:00:00:00:00:01\"\ntunnel = \"v\"";
    let changed = text
        .replace("key = 10", "key = 99")
        .replace("[[tenant]]", &format!("{tenant}\n\n[[tenant]]"))
        .replacen("\n\n[[tenant]]", "\nttl = 9\nmtu = 1300\n\n[[tenant]]", 1);
    let counted = packets(&pair.one, "blue");
    nothing_lost(&pair, 100, || {
        let without_key = changed.replace("key = 99", "key = 10").replace(tenant, "");
        let message = apply(&pair.one, &(without_key + &late.replace("red", "blue"))).err();
        assert!(message.ends_with("nothing has changed"), "{message}");
    });
    let message = apply(&pair.one, &format!("{changed}{late}")).err();
    assert!(message.contains("no tunnel or port v"), "{message}");
    assert!(message.ends_with("nothing has changed"), "{message}");
    let after =
        (pair.one.xgre("export").ok(), pair.one.configuration(), pair.one.ns.ip("-br addr"));
    assert_eq!(after, before);
    let counts = packets(&pair.one, "blue");
    assert!(counts[0] >= counted[0] + 100 && counts[1] >= counted[1] + 100);
    Ping::to("10.9.0.2").all_answered(&pair.one.ns);
    Ping::to("fd09::2").all_answered(&pair.one.ns);
}

fn full() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 3");
    let tunnel = "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"";
    let port =
        |tenant| format!("\n\n[[port]]\ntenant = \"x{tenant}\"\nname = \"p0\"\ncreate = true");
    applied(&host, &format!("{tunnel}{}{}", crowd(0, 3), port(0)));
    let device = host.ns.ifindex("p0");
    applied(&host, &format!("{tunnel}{}{}", crowd(4, 3), port(5)));
    assert_eq!(host.ns.ifindex("p0"), device);
    let before = host.xgre("export").ok();
    let message = apply(&host, &format!("{tunnel}{}", crowd(5, 4))).err();
    assert!(message.contains("full") && message.ends_with("nothing has changed"), "{message}");
    assert_eq!(host.xgre("export").ok(), before);
}

fn thousands() {
    let pair = Pair::blue(Service::L3, Mode::Native);
    let text = pair.one.xgre("export").ok();
    let many = text.replacen("\n\n[[port]]", &format!("{}\n\n[[port]]", crowd(0, 10_000)), 1);
    apply(&pair.one, &many).ok();
    nothing_lost(&pair, 400, || {
        let begin = std::time::Instant::now();
        applied(&pair.one, &text);
        let took = begin.elapsed().as_secs();
        assert!(took < 10, "{took} seconds");
    });
}
