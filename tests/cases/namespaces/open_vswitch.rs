//! Open vSwitch at the other end of the tunnel.

use testbed::{
    Capture, Host, OpenVswitch, Ping,
    suite::{Case, Need},
    topology::wired,
    traffic::{tcp, udp_echo},
};

use crate::setup::{Mode, any_port, count, drops};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        cases.push(Case::new(format!("Open vSwitch, key 10, {mode}"), move || same_key(mode)));
    }
    cases.push(Case::new("Open vSwitch with another key", || other_key(10, 11)));
    cases.push(Case::new("Open vSwitch, another key here", || other_key(11, 10)));
    cases.into_iter().map(|case| case.needs(Need::OpenVswitch)).collect()
}

/// xgre with a tenant of this key on 192.168.5.23; inside it is 192.168.4.10.
fn xgre_end(host: &Host, mode: Mode, key: u32) -> testbed::Daemon {
    // Open vSwitch takes frames off the wire as they are: they must be complete.
    host.ns.offload("eth0", "tx off");
    let daemon = host.start(&format!("--iface eth0 --mode {mode}"));
    host.xgre("tunnel add ovs --local 192.168.5.23 --remote 192.168.5.238").ok();
    host.xgre(&format!("tenant add blue --key {key} --service l2 --tunnel ovs")).ok();
    host.xgre("port add blue blue0 --create").ok();
    host.ns.ip("addr add 192.168.4.10/24 dev blue0");
    daemon
}

/// Open vSwitch with a GRE port and flows for this key; inside it is 192.168.4.11.
fn ovs_end(host: &Host, key: u32) -> OpenVswitch<'_> {
    host.ns.ip("addr flush dev eth0");
    host.ns.offload("eth0", "tx off");
    let ovs = OpenVswitch::start(&host.ns);
    // Open vSwitch shares `eth0` with the kernel, which must not answer there: no ARP, another MAC address.
    host.ns.ip("link set eth0 arp off");
    ovs.vsctl(
        "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
         other-config:hwaddr=02:00:00:00:05:ee",
    );
    ovs.vsctl(
        "add-br inside -- set bridge inside datapath_type=netdev \
         -- add-port inside gre -- set interface gre type=gre ofport_request=1 \
         options:remote_ip=192.168.5.23 options:in_key=flow options:out_key=flow",
    );
    ovs.ofctl("del-flows inside");
    ovs.ofctl(&format!("add-flow inside in_port=LOCAL,actions=set_tunnel:{key},output:1"));
    ovs.ofctl(&format!("add-flow inside in_port=1,tun_id={key},actions=LOCAL"));
    for (bridge, address) in [("underlay", "192.168.5.238/24"), ("inside", "192.168.4.11/24")] {
        host.ns.ip(&format!("addr add {address} dev {bridge}"));
        host.ns.ip(&format!("link set {bridge} up"));
    }
    host.ns.ip("link set inside mtu 1458");
    ovs
}

fn same_key(mode: Mode) {
    let (here, there) = wired(["192.168.5.23/24", "192.168.5.238/24"]);
    let _ovs = ovs_end(&there, 10);
    let _daemon = xgre_end(&here, mode, 10);
    let before = drops(&here);
    let wire = Capture::start(&there.ns, "eth0");
    Ping::to("192.168.4.11").times(5, 100).all_answered(&here.ns);
    Ping::to("192.168.4.10").times(5, 100).size(1400).dont_fragment().all_answered(&there.ns);
    let frames = wire.stop();
    for outgoing in [false, true] {
        let frames = frames.iter().filter(|frame| frame.outgoing == outgoing);
        let gre: Vec<_> = frames.filter_map(testbed::Frame::gre).collect();
        assert!(gre.len() >= 10, "{} GRE packets", gre.len());
        for header in gre {
            assert_eq!(header[..8], [0x20, 0x00, 0x65, 0x58, 0, 0, 0, 0x0a], "flags, type, key");
        }
    }
    tcp(&here.ns, (&there.ns, any_port("192.168.4.11")), 8 << 20);
    tcp(&there.ns, (&here.ns, any_port("192.168.4.10")), 8 << 20);
    udp_echo(&here.ns, (&there.ns, any_port("192.168.4.11")), &[0x5a; 1400]);
    assert_eq!(drops(&here), before);
}

fn other_key(ours: u32, theirs: u32) {
    let (here, there) = wired(["192.168.5.23/24", "192.168.5.238/24"]);
    let _ovs = ovs_end(&there, theirs);
    let _daemon = xgre_end(&here, Mode::Native, ours);
    let port = Capture::start(&here.ns, "blue0");
    Ping::to("192.168.4.10").unanswered(&there.ns);
    let received = port.stop().into_iter().filter(|frame| !frame.outgoing).count();
    assert_eq!(received, 0, "nothing arrives");
    let stats = here.uplink_stats("eth0");
    assert!(count(&stats, "/hooks/0/passed/no_binding") > 0, "{stats}");
    assert_eq!(count(&here.tenant_stats("blue"), "/rx/packets"), 0);

    Ping::to("192.168.4.11").unanswered(&here.ns);
    assert!(count(&here.tenant_stats("blue"), "/tx/packets") > 0, "requests did leave");
}
