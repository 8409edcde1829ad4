//! The daemon, and what it has pinned.

use std::{fs, os::unix::fs::symlink};

use testbed::suite::{Case, Need};

use super::{Good, findings, ids, judged};
use crate::setup::{eventually, port_device};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("doctor: the daemon was killed", killed),
        Case::new("doctor: the daemon has ended", ended),
        Case::new("doctor: a port's device is gone, and no daemon", port_gone),
        Case::new("doctor: programs of another build", other_build),
        Case::new("doctor: a program was taken off", taken_off).needs(Need::Linux(6, 6)),
        Case::new("doctor: a state that cannot be read", unreadable),
        Case::new("doctor: a state without a BPF file system", no_bpffs),
        Case::new("doctor: without privilege", unprivileged).needs(Need::Program("setpriv")),
    ]
}

fn killed() {
    let Good { host, wire: _wire, daemon } = Good::new();
    daemon.kill();
    let found = findings(&host, "");
    assert_eq!(ids(&found), ["daemon"]);
    assert_eq!(found[0].remedy, "xgre run --iface eth0");
    let _again = host.start("--iface eth0 --mode tc");
    assert_eq!(findings(&host, ""), []);
}

fn ended() {
    let Good { host, wire: _wire, daemon } = Good::new();
    daemon.stop();
    let found = findings(&host, "--iface eth0");
    assert!(ids(&found).contains(&"daemon"), "{found:?}");
    let cause = &found[0].cause;
    assert!(cause.contains("no program is attached"), "{cause}");
}

fn port_gone() {
    let Good { host, wire: _wire, daemon } = Good::new();
    daemon.kill();
    host.ns.ip(&format!("link del {}", port_device(&host.ns, "blue0")));
    let found = findings(&host, "");
    let pinned = found.iter().any(|it| it.id == "stale_link");
    let expected: &[_] = if pinned {
        &["daemon", "stale_link", "port_missing"]
    } else {
        &["daemon", "port_missing"]
    };
    assert_eq!(ids(&found), expected);
    let _again = host.start("--iface eth0 --mode tc");
    assert_eq!(ids(&findings(&host, "")), ["no_port"], "the daemon has tidied up");
}

fn other_build() {
    let good = Good::new();
    let build = good.host.state().join("build");
    let ours = fs::read_link(&build).expect("a build");
    fs::remove_file(&build).expect("a link");
    assert_eq!(ids(&findings(&good.host, "")), ["other_build"], "it does not say");
    symlink("0.0.9-0123", &build).expect("a link");
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["other_build"]);
    assert!(found[0].cause.contains("0.0.9-0123"), "{found:?}");
    drop(good.daemon);
    let _again = good.host.start("--iface eth0 --mode tc");
    assert_eq!(findings(&good.host, ""), []);
    assert_eq!(fs::read_link(&build).expect("a build"), ours);
}

/// A link whose last pin goes is none any more.
fn taken_off() {
    let good = Good::new();
    let name = format!("links/uplink_tc-{}", good.host.ns.ifindex("eth0"));
    fs::remove_file(good.host.state().join(name)).expect("a pin");
    eventually("a link that is gone", || ids(&findings(&good.host, "")) == ["program_missing"]);
    drop(good.daemon);
    let _again = good.host.start("--iface eth0 --mode tc");
    assert_eq!(findings(&good.host, ""), []);
}

fn unreadable() {
    let good = Good::new();
    let other = good.host.state().with_file_name("empty");
    fs::create_dir_all(other.join("maps")).expect("a folder");
    let found = findings(&good.host, &format!("--state {}", other.display()));
    assert_eq!(ids(&found), ["state", "no_uplink"]);
    assert_eq!(found[0].severity, "error");
}

fn no_bpffs() {
    let good = Good::new();
    let found = findings(&good.host, "--state /proc/xgre --iface eth0");
    assert!(ids(&found).contains(&"bpf_file_system"), "{found:?}");
}

fn unprivileged() {
    let good = Good::new();
    let xgre = testbed::host::xgre_binary();
    let state = good.host.state();
    let command = format!(
        "setpriv --bounding-set=-net_admin {} --state {} doctor --json",
        xgre.display(),
        state.display()
    );
    let found = judged(&good.host.ns.exec(&command));
    assert_eq!(ids(&found), ["privilege"]);
    assert!(found[0].cause.contains("CAP_NET_ADMIN"), "{found:?}");
}
