//! What it looks like.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use testbed::suite::{Case, Need};

use super::{Good, findings};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("doctor: a good host is silent", silent),
        Case::new("doctor: what it prints", printed),
        Case::new("doctor: colours are for terminals", colours).needs(Need::Program("script")),
    ]
}

fn silent() {
    let good = Good::new();
    assert_eq!(findings(&good.host, ""), []);
    let verbose = good.host.xgre("doctor --verbose").ok();
    for (subject, id) in [("eth0", "gro"), ("t", "no_route"), ("blue0", "port_mtu")] {
        let is_it = |line: &str| {
            line.starts_with(&format!("  ok        {subject}: "))
                && line.ends_with(&format!("[{id}]"))
        };
        assert!(verbose.lines().any(is_it), "{subject} [{id}] in {verbose}");
    }
}

fn printed() {
    let good = Good::new();
    good.types("ip link set blue0 mtu 1500");
    good.types("ethtool -K eth0 gro off");
    good.types("xgre tunnel add u --local 192.0.2.1 --remote 198.51.100.2");
    let outcome = good.host.xgre("doctor");
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let text = outcome.stdout;
    let from = text.find("uplinks\n").expect("a family");
    let (told, sum) = text[from..].rsplit_once("\n\n").expect("a sum");
    let expected = "\
uplinks
  note      eth0: GRO is off: tenants' TCP segments stay single, and each costs as much as a merged 64 KiB packet [gro]
            ethtool -K eth0 gro on

tunnels
  error     u: the kernel has no route from 192.0.2.1 to 198.51.100.2: nothing is sent [no_route]
            ip route add 198.51.100.2 via GATEWAY dev eth0

ports
  warning   blue0: MTU 1500, and the tunnels carry 1472: 1500 + 28 bytes of headers need an underlay of 1528 [port_mtu]
            ip link set blue0 mtu 1472  # or raise the underlay's to 1528";
    assert_eq!(told, expected);
    assert!(sum.starts_with("1 error, 1 warning, "), "{sum}");
}

fn colours() {
    let good = Good::new();
    good.types("ip link set blue0 mtu 1500");
    let xgre = testbed::host::xgre_binary();
    let file = good.host.file("typescript", "");
    let coloured = |setting: &str| {
        let (xgre, state) = (xgre.display(), good.host.state());
        let state = state.display();
        let command = format!("#!/bin/sh\n{setting} {xgre} --state {state} doctor\n");
        let script = good.host.file("script", &command);
        fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("a file of ours");
        let line = format!("script --quiet --command {} {}", script.display(), file.display());
        good.host.ns.exec(&line).ok();
        let text = fs::read_to_string(&file).expect("a typescript");
        assert!(text.contains("[port_mtu]"), "{text}");
        text.contains('\x1b')
    };
    assert!(coloured("TERM=xterm"));
    assert!(!coloured("TERM=xterm NO_COLOR=1"));
    assert!(!good.host.xgre("doctor").stdout.contains('\x1b'));
}
