//! Daemons come and go, the traffic stays.

use std::{thread, time::Duration};

use aya::programs::{SchedClassifier, TcAttachType};
use testbed::{Host, Ping, suite::Case, two_hosts};

use crate::setup::{Mode, Pair, Service, add_tenant, inner_addresses, tunnel};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        let name = format!("kill -9 and the next run lose nothing, {mode}");
        cases.push(Case::new(name, move || nothing_is_lost(mode)));
    }
    cases.push(Case::new("configured while no daemon runs", without_daemon));
    cases.push(Case::new("a clean end detaches", clean_end));
    cases.push(Case::new("--keep leaves the datapath", keep));
    cases.push(Case::new("detach removes everything", detach));
    cases
}

/// Whether an interface has a program of any kind on its way in.
pub fn has_program(host: &Host, device: &str) -> bool {
    let xdp = host.ns.json(&format!("link show {device}"))[0].get("xdp").is_some();
    // Linux before 6.6 knows no TCX, and refuses the question.
    let tcx = host
        .ns
        .run_in(|| SchedClassifier::query_tcx(device, TcAttachType::Ingress))
        .map_or_else(|_| Vec::new(), |(_, programs)| programs);
    let filters = host.ns.exec(&format!("tc filter show dev {device} ingress")).stdout;
    xdp || !tcx.is_empty() || !filters.is_empty()
}

fn nothing_is_lost(mode: Mode) {
    let Pair { one, daemons: [first, _second], two } = Pair::blue(Service::L3, mode);
    let before = one.configuration();
    let pings = [
        Ping::to("10.9.0.2").times(150, 10).start(&one.ns),
        Ping::to("10.9.0.1").times(150, 10).start(&two.ns),
    ];
    thread::sleep(Duration::from_millis(300));
    first.kill();
    assert_eq!(one.configuration(), before, "without a daemon");
    let adopter = one.start(&format!("--iface eth0 --mode {mode}"));
    assert_eq!(one.configuration(), before, "adopted");
    for result in pings.map(testbed::ping::Pinging::wait) {
        assert_eq!((result.sent, result.received), (150, 150), "{}", result.log);
    }
    Ping::to("10.9.0.2").all_answered(&one.ns);
    adopter.stop();
}

fn without_daemon() {
    let (one, two) = two_hosts();
    for (host, local, remote, end) in
        [(&one, "192.0.2.1", "192.0.2.2", 1), (&two, "192.0.2.2", "192.0.2.1", 2)]
    {
        host.start("--iface eth0").stop();
        tunnel(host, local, remote);
        add_tenant(host, "blue", "--key 10");
        inner_addresses(&host.ns, "blue0", end);
    }
    let _daemons = [&one, &two].map(|host| host.start("--iface eth0"));
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn clean_end() {
    let Pair { one, two: _two, daemons: [daemon, _other] } = Pair::blue(Service::L3, Mode::Native);
    let before = one.configuration();
    assert!(has_program(&one, "eth0"));
    daemon.stop();
    assert!(!has_program(&one, "eth0"));
    Ping::to("10.9.0.2").unanswered(&one.ns);
    assert_eq!(one.configuration(), before, "kept for the next run");
    let _daemon = one.start("--iface eth0");
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn keep() {
    let Pair { one, two: _two, daemons: [daemon, _other] } = Pair::blue(Service::L3, Mode::Native);
    daemon.stop();
    let kept = one.start("--iface eth0 --keep");
    Ping::to("10.9.0.2").all_answered(&one.ns);
    kept.stop();
    assert!(has_program(&one, "eth0"));
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn detach() {
    let Pair { one, two: _two, daemons: [daemon, _other] } = Pair::blue(Service::L2, Mode::Native);
    daemon.kill();
    assert!(one.state().exists() && has_program(&one, "eth0"));
    one.xgre("detach").ok();
    assert!(!one.state().exists(), "the state is gone");
    assert!(!has_program(&one, "eth0"));
    let links = one.ns.ip("-br link");
    let ours = links.lines().filter(|link| link.starts_with("blue") || link.starts_with("xgre"));
    assert_eq!(ours.count(), 0, "{links}");
}
