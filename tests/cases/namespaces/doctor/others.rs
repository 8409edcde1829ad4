//! Programs and endpoints of somebody else on the same host.

use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode, tc::TcAttachOptions};
use aya_obj::programs::XdpAttachType;
use testbed::{
    Daemon, OpenVswitch, host,
    suite::{Case, Need},
    veth,
};

use super::{Good, findings, ids, judged};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("doctor: another's XDP program on a new uplink", foreign_xdp),
        Case::new("doctor: another's programs come first", foreign_first).needs(Need::Linux(6, 6)),
        Case::new("doctor: another's filter has our place", foreign_filter)
            .needs(Need::Program("tc"))
            .needs(Need::That(!has_tcx(), "needs a kernel without TCX")),
        Case::new("doctor: a port of Open vSwitch has the same key", open_vswitch)
            .needs(Need::OpenVswitch),
    ];
    for (kind, service) in [("gre", "l3"), ("gretap", "l2")] {
        let case = Case::new(format!("doctor: a {kind} device has the same key"), move || {
            kernel_gre(kind, service);
        });
        cases.push(case.needs(Need::Device(kind)));
    }
    cases
}

fn has_tcx() -> bool {
    Need::Linux(6, 6).is_met()
}

/// Somebody else is a second xgre with a state of its own.
fn somebody_else(good: &Good, args: &str) -> Daemon {
    let state = good.host.state().with_file_name("other");
    good.host.start(&format!("--state {} {args}", state.display()))
}

fn foreign_xdp() {
    let good = Good::new();
    veth((&good.host.ns, "eth1"), (&good.wire, "eth1"));
    good.host.ns.offload("eth1", "gro on");
    good.host.ns.exec("ethtool --set-channels eth1 rx 2");
    let _other = somebody_else(&good, "--iface eth1 --mode native");
    let found = findings(&good.host, "--iface eth1");
    assert_eq!(ids(&found), ["veth_native", "foreign_xdp"]);
    assert_eq!((&*found[1].subject, &*found[1].severity), ("eth1", "error"));
    assert!(found[1].cause.contains("uplink_xdp"), "{found:?}");
}

/// Somebody else's programs for a port, which nobody expects on an uplink.
fn foreign_first() {
    let good = Good::new();
    veth((&good.host.ns, "eth1"), (&good.wire, "eth1"));
    let _other = somebody_else(&good, "--iface eth1");
    let pins = good.host.state().with_file_name("other").join("programs");
    let pin = |name: &str| pins.join(name);
    let mut xdp = Xdp::from_pin(pin("port_xdp"), XdpAttachType::Interface).expect("a program");
    let mut tc = SchedClassifier::from_pin(pin("port_tc")).expect("a program");
    good.host.ns.run_in(|| {
        xdp.attach("eth0", XdpMode::Driver).expect("no other XDP program");
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        tc.attach_with_options("eth0", TcAttachType::Ingress, first).expect("TCX");
    });
    let found = findings(&good.host, "");
    assert_eq!(ids(&found), ["foreign_xdp_first", "foreign_tc"]);
    assert!(found[1].cause.contains("port_tc"), "{found:?}");
    drop((xdp, tc));
    good.is_good("the other's end");
}

fn foreign_filter() {
    let good = Good::new();
    veth((&good.host.ns, "eth1"), (&good.wire, "eth1"));
    good.types("ethtool -K eth1 gro on");
    good.types("tc qdisc add dev eth1 clsact");
    good.types("tc filter add dev eth1 ingress pref 1 protocol all u32 match u32 0 0 classid 1:1");
    let found = findings(&good.host, "--iface eth1");
    assert!(ids(&found).contains(&"foreign_filter"), "{found:?}");
    good.types("tc filter del dev eth1 ingress pref 1");
    let found = findings(&good.host, "--iface eth1");
    assert!(!ids(&found).contains(&"foreign_filter"), "{found:?}");
}

fn kernel_gre(kind: &str, service: &str) {
    let good = Good::new();
    if service == "l2" {
        good.types("xgre tenant add red --key 20 --tunnel t --service l2");
        good.types("xgre port add red red0 --create");
    }
    let key = if service == "l2" { 20 } else { 10 };
    let ends = "local 192.0.2.1 remote 192.0.2.2";
    good.types(&format!("ip link add other type {kind} {ends} key 30"));
    good.is_good("a device with another key");
    let add = format!("ip link add twin type {kind} {ends} key {key}");
    good.breaks_and_mends(&add, "kernel_gre");
}

fn open_vswitch() {
    let good = Good::new();
    let ovs = OpenVswitch::start(&good.host.ns);
    ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    let doctor = || {
        let (run, state) = (ovs.run_dir().display(), good.host.state());
        let xgre = host::xgre_binary();
        let (state, xgre) = (state.display(), xgre.display());
        judged(
            &good
                .host
                .ns
                .exec(&format!("env OVS_RUNDIR={run} XGRE_STATE={state} {xgre} doctor --json")),
        )
    };
    let add = |name: &str, key: &str| {
        ovs.vsctl(&format!(
            "add-port br0 {name} -- set interface {name} type=gre options:remote_ip=192.0.2.2 options:key={key}"
        ));
    };
    add("gre1", "30");
    assert_eq!(doctor(), []);
    add("gre2", "flow");
    let found = doctor();
    assert_eq!(ids(&found), ["ovs_gre"]);
    assert!(found[0].remedy.starts_with("ovs-vsctl del-port gre2"), "{found:?}");
}
