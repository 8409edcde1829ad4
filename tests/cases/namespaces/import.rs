//! Taking over from the kernel's GRE devices and from Open vSwitch: ping, import, the steps as they are printed, ping.

use serde_json::{Value, json};
use testbed::{
    Daemon, Host, Netns, OpenVswitch, Ping,
    suite::{Case, Need},
    topology::wired,
    veth,
};

use crate::{
    open_vswitch::{Datapath, LOCAL, REMOTE, ovs_end, xgre_end},
    setup::{add_tenant, eventually},
};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("import: no GRE device", nothing),
        Case::new("import: neutron's bridges", neutron).needs(Need::OpenVswitch),
        Case::new("import: bridges with keys", bridges).needs(Need::OpenVswitch),
        Case::new("import: what Open vSwitch cannot give", left_in_switch).needs(Need::OpenVswitch),
        Case::new("import: no Open vSwitch", no_switch).needs(Need::OpenVswitch),
        Case::new("import: what Linux cannot give", left_in_kernel)
            .needs(Need::Device("gre"))
            .needs(Need::Device("ip6gretap")),
    ];
    for suffix in ["", "-x"] {
        let what = if suffix.is_empty() { "" } else { ", both for a while" };
        let case = Case::new(format!("import: Linux devices{what}"), move || devices(suffix));
        cases.push(case.needs(Need::Device("gretap")).needs(Need::Device("ip6gre")));
    }
    cases
}

/// A host that is taken over, and how its tools find Open vSwitch.
struct Old<'h> {
    host: &'h Host,
    environment: String,
}

/// What an import printed: the document and the file.
struct Imported {
    document: Value,
    file: String,
    complaints: String,
}

impl<'h> Old<'h> {
    fn new(host: &'h Host) -> Self {
        Self { host, environment: "env".to_owned() }
    }

    fn with(host: &'h Host, ovs: &OpenVswitch<'_>) -> Self {
        Self { host, environment: format!("env OVS_RUNDIR={}", ovs.run_dir().display()) }
    }

    fn run(&self, line: &str) -> testbed::Outcome {
        self.host.ns.exec(&format!("{} {line}", self.environment))
    }

    #[track_caller]
    fn import(&self, what: &str) -> Imported {
        let binary = testbed::host::xgre_binary();
        let import = format!("{} import {what}", binary.display());
        let document = self.run(&format!("{import} --json")).ok();
        let document = serde_json::from_str(&document).expect("JSON");
        let outcome = self.run(&import);
        let complaints = outcome.stderr.clone();
        Imported { document, file: outcome.ok(), complaints }
    }

    /// Goes over to it, by the steps as they were printed.
    #[track_caller]
    fn go_over(&self, imported: &Imported) -> Daemon {
        let path = self.host.file("imported.toml", &imported.file);
        self.host.xgre(&format!("check {}", path.display())).ok();
        let steps = &imported.document["steps"];
        for command in texts(&steps["before"]) {
            self.run(&command).ok();
        }
        let run = steps["run"].as_str().expect("a command");
        let arguments = run.strip_prefix("xgre run ").expect("the command");
        let daemon = self.host.start(&arguments.replace("FILE", &path.display().to_string()));
        for command in texts(&steps["after"]) {
            self.run(&command).ok();
        }
        daemon
    }
}

impl Imported {
    /// Whether something was told: its name, and a part of what and why.
    #[track_caller]
    fn tells(&self, about: &str, what: &str) {
        let notes = self.document["notes"].as_array().expect("a list");
        let is_it = |note: &&Value| note["about"] == about && text(&note["what"]).contains(what);
        let note = notes.iter().find(is_it);
        let note = note.unwrap_or_else(|| panic!("nothing of {about} and {what} in {notes:#?}"));
        let remedy = text(&note["remedy"]);
        let line = format!("xgre: not carried over: {about}: {}; {remedy}", text(&note["what"]));
        assert!(self.complaints.lines().any(|it| it == line), "{line} in {}", self.complaints);
        assert!(!remedy.is_empty(), "{line}");
    }

    #[track_caller]
    fn assert_items(&self, kind: &str, expected: &Value) {
        assert_eq!(self.document[kind], *expected, "{:#}", self.document);
    }

    /// The steps are also in the file, for whoever has only that.
    #[track_caller]
    fn assert_steps_in_file(&self) {
        let steps = &self.document["steps"];
        let steps = [texts(&steps["before"]), vec![text(&steps["run"])], texts(&steps["after"])];
        let comments = self.file.lines().filter_map(|line| line.strip_prefix("#   "));
        assert_eq!(comments.collect::<Vec<_>>(), steps.concat());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(text).collect()
}

fn reached(ping: Ping<'_>, from: &Netns) {
    let once = ping.times(1, 10);
    eventually("a first answer", || once.run(from).received == 1);
    ping.all_answered(from);
}

fn nothing() {
    let host = Host::new();
    let error = host.xgre("import ip").err();
    assert_eq!(
        error,
        "xgre: this network namespace has no GRE device that can be carried over; run this on the host, and in the \
         network namespace, where the tunnels end"
    );
}

fn no_switch() {
    let host = Host::new();
    let import = format!("{} import ovs", testbed::host::xgre_binary().display());
    let error = host.ns.exec(&format!("env OVS_RUNDIR=/nowhere {import}")).err();
    assert!(error.contains("Open vSwitch does not answer; start it"), "{error}");
    let error = host.ns.exec(&format!("env PATH=/nowhere {import}")).err();
    assert!(
        error.contains("there is no ovs-vsctl here; run this where Open vSwitch is"),
        "{error}"
    );
}

/// A station at a switch: a namespace with `eth0`, whose other end is `port`.
fn station(host: &Host, port: &str, address: &str) -> Netns {
    let ns = Netns::new();
    veth((&host.ns, port), (&ns, "eth0"));
    ns.offload("eth0", "tx off");
    ns.ip(&format!("addr add {address} dev eth0"));
    ns
}

/// The other end: these tenants and keys, on ports with the addresses 10.9.1.1, 10.9.2.1 and so on.
fn other_end(host: &Host, tenants: &[(&str, &str)], options: &str) -> Daemon {
    let daemon = xgre_end(host, crate::setup::Mode::Tc, options);
    for (number, (tenant, key)) in (1..).zip(tenants) {
        let number: u32 = number;
        add_tenant(host, tenant, &format!("{key} --service l2"));
        host.ns.ip(&format!("addr add 10.9.{number}.1/24 dev {tenant}0"));
    }
    daemon
}

/// A compute node with two networks: a station at a tap of one; a device of the switch's own for the other, with a route.
fn neutron() {
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, Datapath::Userspace);
    let _daemon = other_end(&here, &[("blue", "--key 10"), ("red", "--key 20")], "");
    here.ns.ip("addr add 10.50.0.1/32 dev red0");
    for bridge in ["br-int", "br-tun"] {
        ovs.vsctl(&format!("add-br {bridge} -- set bridge {bridge} datapath_type=netdev"));
    }
    ovs.vsctl(
        "add-port br-int patch-tun -- set interface patch-tun type=patch options:peer=patch-int \
         -- add-port br-tun patch-int -- set interface patch-int type=patch options:peer=patch-tun ofport_request=100",
    );
    ovs.vsctl(&format!(
        "add-port br-tun gre-1 -- set interface gre-1 type=gre ofport_request=1 options:remote_ip={LOCAL} \
         options:local_ip={REMOTE} options:in_key=flow options:out_key=flow options:df_default=true"
    ));
    let blue = station(&there, "tap1", "10.9.1.2/24");
    ovs.vsctl("add-port br-int tap1 tag=1 -- set interface tap1 external_ids:iface-id=1");
    ovs.vsctl("add-port br-int qr-2 tag=2 -- set interface qr-2 type=internal");
    there.ns.ip("addr add 10.9.2.2/24 dev qr-2");
    there.ns.ip("link set qr-2 up mtu 1400");
    there.ns.ip("route add 10.50.0.0/16 via 10.9.2.1 dev qr-2 metric 7");
    ovs.ofctl("del-flows br-tun");
    let station_mac = "02:00:00:00:00:77";
    for flow in [
        "table=0,priority=1,in_port=100,actions=resubmit(,2)",
        "table=0,priority=1,in_port=1,actions=resubmit(,3)",
        "table=2,priority=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,22)",
        "table=2,priority=0,actions=resubmit(,20)",
        "table=3,priority=1,tun_id=10,actions=mod_vlan_vid:1,resubmit(,10)",
        "table=3,priority=1,tun_id=20,actions=mod_vlan_vid:2,resubmit(,10)",
        "table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],\
         NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],\
         output:NXM_OF_IN_PORT[]),output:100",
        &format!(
            "table=20,priority=2,dl_vlan=1,dl_dst={station_mac},actions=strip_vlan,set_tunnel:10,output:1"
        ),
        "table=20,priority=0,actions=resubmit(,22)",
        "table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.9.1.77,actions=load:0x20000000077->NXM_NX_ARP_SHA[],in_port",
        "table=22,priority=1,dl_vlan=1,actions=strip_vlan,set_tunnel:10,output:1",
        "table=22,priority=1,dl_vlan=2,actions=strip_vlan,set_tunnel:20,output:1",
    ] {
        ovs.ofctl(&format!("add-flow br-tun {flow}"));
    }
    let pings = [(Ping::to("10.9.1.1"), &blue), (Ping::to("10.50.0.1"), &there.ns)];
    for (ping, from) in pings {
        reached(ping, from);
    }

    let old = Old::with(&there, &ovs);
    let imported = old.import("ovs");
    imported.assert_items(
        "tunnel",
        &json!([{"name": format!("to-{LOCAL}"), "local": REMOTE, "remote": LOCAL}]),
    );
    let tunnels = json!([format!("to-{LOCAL}")]);
    imported.assert_items(
        "tenant",
        &json!([
            {"name": "key-10", "key": 10, "tunnels": tunnels, "service": "l2"},
            {"name": "key-20", "key": 20, "tunnels": tunnels, "service": "l2"},
        ]),
    );
    imported.assert_items(
        "port",
        &json!([
            {"tenant": "key-20", "name": "qr-2", "create": true},
            {"tenant": "key-10", "name": "tap1"},
        ]),
    );
    imported.assert_items(
        "fdb",
        &json!([{"tenant": "key-10", "mac": station_mac, "tunnel": format!("to-{LOCAL}")}]),
    );
    imported.assert_steps_in_file();
    imported.tells("br-tun", "answer for stations that are asked for by ARP (1 of them)");
    imported.tells("br-int", "somebody else set it up");
    imported.tells("underlay", "a device of Open vSwitch's own");
    let mac = there.ns.mac("qr-2");
    let _daemon = old.go_over(&imported);
    for (ping, from) in pings {
        reached(ping, from);
    }
    assert_eq!(there.ns.mac("qr-2"), mac);
}

/// Bridges whose GRE ports have keys: the host's own device in one, a station at a tagged port in the other.
fn bridges() {
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, Datapath::Userspace);
    let tenants = [("blue", "--key 10"), ("red", "--in-key 7 --out-key 8"), ("open", "--no-key")];
    let _daemon = other_end(&here, &tenants, "--csum");
    let gre = format!("type=gre options:remote_ip={LOCAL} options:csum=true options:ttl=33");
    ovs.vsctl(&format!(
        "add-br blue -- set bridge blue datapath_type=netdev -- add-port blue gre-b -- set interface gre-b {gre} \
         options:key=10"
    ));
    there.ns.ip("addr add 10.9.1.2/24 dev blue");
    there.ns.ip("link set blue up");
    ovs.vsctl(&format!(
        "add-br red -- set bridge red datapath_type=netdev -- add-port red gre-r tag=5 -- set interface gre-r {gre} \
         options:in_key=8 options:out_key=7"
    ));
    let red = station(&there, "tap2", "10.9.2.2/24");
    ovs.vsctl(
        "add-port red tap2 tag=5 -- add-port red tap9 tag=6 -- set interface tap9 type=internal",
    );
    // By flows from port to port.
    let open = station(&there, "tap3", "10.9.3.2/24");
    ovs.vsctl(&format!(
        "add-br open -- set bridge open datapath_type=netdev -- add-port open gre-o -- set interface gre-o {gre} \
         ofport_request=1 -- add-port open tap3 -- set interface tap3 ofport_request=2"
    ));
    let pings = [
        (Ping::to("10.9.1.1"), &there.ns),
        (Ping::to("10.9.2.1"), &red),
        (Ping::to("10.9.3.1"), &open),
    ];
    for (ping, from) in pings {
        reached(ping, from);
    }
    let old = Old::with(&there, &ovs);
    let imported = old.import("ovs");
    let tunnel = format!("to-{LOCAL}");
    imported.assert_items(
        "tunnel",
        &json!([{"name": tunnel, "local": REMOTE, "remote": LOCAL, "ttl": 33, "csum": true}]),
    );
    imported.assert_items(
        "tenant",
        &json!([
            {"name": "blue", "key": 10, "tunnels": [tunnel], "service": "l2"},
            {"name": "open", "no-key": true, "tunnels": [tunnel], "service": "l2"},
            {"name": "red", "in-key": 8, "out-key": 7, "tunnels": [tunnel], "service": "l2"},
        ]),
    );
    imported.assert_items(
        "port",
        &json!([
            {"tenant": "blue", "name": "blue", "create": true},
            {"tenant": "red", "name": "tap2"},
            {"tenant": "open", "name": "tap3"},
        ]),
    );
    let steps = texts(&imported.document["steps"]["before"]);
    assert!(steps.contains(&"ovs-vsctl del-br blue".to_owned()), "{steps:?}");
    let _daemon = old.go_over(&imported);
    for (ping, from) in pings {
        reached(ping, from);
    }
}

fn left_in_switch() {
    let host = Host::new();
    host.ns.ip("link add eth0 type veth peer name wire");
    host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    host.ns.ip("link set eth0 up");
    host.ns.ip("link set wire up");
    let ovs = OpenVswitch::start(&host.ns);
    ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    for (name, tag, options) in [
        ("good", 1, "remote_ip=192.0.2.2 options:key=1"),
        ("half", 2, "remote_ip=192.0.2.3 options:in_key=1"),
        ("mixed", 2, "remote_ip=192.0.2.4 options:in_key=flow options:out_key=1"),
        ("many", 2, "remote_ip=flow options:key=flow"),
        ("bare", 2, "remote_ip=192.0.2.5 options:key=flow options:packet_type=legacy_l3"),
        ("other", 1, "remote_ip=192.0.2.6 options:key=6"),
        ("far", 3, "remote_ip=198.51.100.1 options:local_ip=192.0.2.1 options:key=3"),
        ("lost", 3, "remote_ip=198.51.100.2 options:key=3"),
        ("sums", 4, "remote_ip=192.0.2.2 options:key=4 options:csum=true"),
        ("flows", 5, "remote_ip=192.0.2.7 options:key=flow options:seq=true"),
    ] {
        ovs.vsctl(&format!(
            "add-port br0 {name} tag={tag} -- set interface {name} type=gre options:{options}"
        ));
    }
    ovs.vsctl(
        "add-port br0 trunk tag=1 vlan_mode=native-tagged -- set interface trunk type=internal",
    );
    ovs.vsctl("add-port br0 gone tag=1");
    ovs.vsctl("add-port br0 away tag=1 -- set interface away type=internal");
    let elsewhere = Netns::new();
    host.ns.ip(&format!("link set away netns {}", elsewhere.path()));
    ovs.vsctl("add-port br0 patch tag=1 -- set interface patch type=patch options:peer=nobody");
    ovs.ofctl("add-flow br0 table=1,tun_id=9,actions=mod_vlan_vid:9,normal");
    let imported = Old::with(&host, &ovs).import("ovs");
    for (about, what) in [
        ("half", "it receives key 1 and sends none"),
        ("mixed", "flows say the key for one direction"),
        ("many", "its addresses are chosen by flows"),
        ("bare", "its packets are legacy_l3"),
        ("other", "which has other keys"),
        ("far", "there is no route to 198.51.100.1 now"),
        ("lost", "it has no local_ip, and there is no route to 198.51.100.2"),
        ("sums", "its packets have checksums or sequence numbers"),
        ("trunk", "it carries several VLANs"),
        ("gone", "there is no such interface"),
        ("away", "in another network namespace now"),
        ("patch", "it is a patch to nobody"),
        ("br0", "only the keys of its GRE ports are carried over"),
    ] {
        imported.tells(about, what);
    }
    host.xgre(&format!("check {}", host.file("imported.toml", &imported.file).display())).ok();
}

const V4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

/// Two hosts with kernel GRE devices of all kinds, one of which is taken over.
fn devices(suffix: &str) {
    let (old, peer) = wired(["192.0.2.1/24", "192.0.2.2/24"]);
    for (host, end) in [(&old, 1), (&peer, 2)] {
        host.ns.ip(&format!("addr add 2001:db8::{end}/64 dev eth0 nodad"));
        host.ns.offload("eth0", "tx off");
        let (mut v4, mut v6) = (V4, V6);
        if end == 2 {
            (v4, v6) = ([V4[1], V4[0]], [V6[1], V6[0]]);
        }
        let [local4, remote4] = v4;
        let [local6, remote6] = v6;
        let keys = if end == 1 { "ikey 7 okey 8" } else { "ikey 8 okey 7" };
        let v4 = format!("local {local4} remote {remote4}");
        let v6 = format!("local {local6} remote {remote6}");
        for device in [
            format!("gre1 type gre {v4} key 10 csum ttl 32"),
            format!("tap1 type gretap {v4} {keys} csum ttl 32"),
            format!("left type gre {v4} key 40 ttl 32"),
            format!("six1 type ip6gre {v6} key 30"),
            format!("six2 type ip6gretap {v6} key 31"),
        ] {
            host.ns.ip(&format!("link add {device}"));
        }
        host.ns.ip("link add br0 type bridge forward_delay 0");
        host.ns.ip("link set tap1 master br0");
        for device in ["gre1", "tap1", "left", "six1", "six2", "br0"] {
            host.ns.ip(&format!("link set {device} up"));
        }
        host.ns.ip(&format!("addr add 10.9.1.{end} peer 10.9.1.{} dev gre1", 3 - end));
        host.ns.ip(&format!("addr add fd09:1::{end}/64 dev gre1 nodad"));
        host.ns.ip(&format!("addr add 10.9.2.{end}/24 dev br0"));
        host.ns.ip(&format!("addr add 10.9.3.{end}/24 dev six1"));
        host.ns.ip(&format!("addr add 10.9.4.{end}/24 broadcast 10.9.4.255 dev six2"));
        host.ns.ip(&format!("addr add 10.9.5.{end}/24 dev left"));
    }
    peer.ns.ip("addr add 10.50.0.1/32 dev lo");
    peer.ns.ip("addr add fd50::1/128 dev lo");
    old.ns.ip("route add 10.50.0.0/16 via 10.9.1.2 dev gre1 src 10.9.1.1 metric 9 mtu 1300");
    old.ns.ip("-6 route add fd50::/16 via fd09:1::2 dev gre1");
    old.ns.ip("route add 10.51.0.0/16 dev six1 table 77");
    let mac = format!("{}", peer.ns.json("link show six2")[0]["address"].as_str().unwrap_or(""));
    old.ns.ip(&format!("neigh add 10.9.4.2 lladdr {mac} dev six2"));
    let all = |from: &Netns| {
        for address in [
            "10.9.1.2",
            "fd09:1::2",
            "10.9.2.2",
            "10.9.3.2",
            "10.9.4.2",
            "10.9.5.2",
            "10.50.0.1",
            "fd50::1",
        ] {
            reached(Ping::to(address), from);
        }
    };
    all(&old.ns);

    let taken = Old::new(&old);
    let option = if suffix.is_empty() { String::new() } else { format!("--suffix={suffix}") };
    let imported = taken.import(&format!("ip {option}"));
    imported.assert_items(
        "tunnel",
        &json!([
            {"name": "to-192.0.2.2", "local": V4[0], "remote": V4[1], "ttl": 32, "csum": true},
            {"name": "to-2001-db8--2", "local": V6[0], "remote": V6[1]},
        ]),
    );
    imported.assert_items(
        "tenant",
        &json!([
            {"name": "gre1", "key": 10, "tunnels": ["to-192.0.2.2"]},
            {"name": "six1", "key": 30, "tunnels": ["to-2001-db8--2"]},
            {"name": "six2", "key": 31, "tunnels": ["to-2001-db8--2"], "service": "l2"},
            {"name": "tap1", "in-key": 7, "out-key": 8, "tunnels": ["to-192.0.2.2"], "service": "l2"},
        ]),
    );
    imported.assert_steps_in_file();
    imported.tells("left", "its packets have checksums or sequence numbers");
    imported.tells("tap1", "it is a port of bridge br0");
    let on = Ping::to("10.50.0.1").times(100, 50).start(&old.ns);
    let _daemon = taken.go_over(&imported);
    let result = on.wait();
    println!("while going over with the suffix {suffix:?}: {} of {}", result.received, result.sent);
    assert!(result.received > 0, "{}", result.log);
    all(&old.ns);
    all_back(&old, &peer);
    assert!(!old.ns.exec("ip link show type gre dev gre1").stdout.contains("gre1"), "it is gone");
    let routes = old.ns.ip("route show 10.50.0.0/16");
    let expected =
        format!("10.50.0.0/16 via 10.9.1.2 dev gre1{suffix} src 10.9.1.1 metric 9 mtu 1300");
    assert_eq!(routes, expected);
    assert_eq!(
        old.ns.ip("route show table 77"),
        format!("10.51.0.0/16 dev six1{suffix} scope link")
    );
}

/// The tenants of xgre had the packets, and none went by the kernel's devices.
fn all_back(old: &Host, peer: &Host) {
    for address in ["10.9.1.1", "10.9.2.1", "10.9.3.1", "10.9.4.1"] {
        reached(Ping::to(address), &peer.ns);
    }
    for tenant in ["gre1", "six1", "six2", "tap1"] {
        let stats = old.tenant_stats(tenant);
        for direction in ["rx", "tx"] {
            let packets = crate::setup::count(&stats, &format!("/{direction}/packets"));
            assert!(packets > 0, "{stats}");
        }
    }
}

fn left_in_kernel() {
    let host = Host::new();
    host.ns.ip("link add eth0 type veth peer name wire");
    host.ns.ip("addr add 192.0.2.1/24 dev eth0");
    host.ns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
    host.ns.ip("link set wire up");
    host.ns.ip("link set eth0 up");
    let ends = "local 192.0.2.1 remote 192.0.2.2";
    for device in [
        format!("good type gre {ends} key 1"),
        format!("tos type gre {ends} key 2 tos 0x10 ttl 7 nopmtudisc"),
        format!("same type gretap {ends} key 1"),
        format!("one type gre {ends} ikey 3"),
        format!("seq type gre {ends} key 4 oseq"),
        "many type gre local 192.0.2.1 key 5".to_owned(),
        "ext type gretap external".to_owned(),
        "nolocal type gretap remote 192.0.2.9 key 6".to_owned(),
        "noroute type gre remote 198.51.100.9 key 6".to_owned(),
        "bound type gre local 192.0.2.1 remote 192.0.2.10 dev wire".to_owned(),
        format!("small type gretap local 192.0.2.1 remote 192.0.2.11 ignore-df nopmtudisc"),
        "icsum type gre local 192.0.2.1 remote 192.0.2.12 icsum".to_owned(),
        "six type ip6gretap local 2001:db8::1 remote 2001:db8::2 tclass inherit hoplimit 9"
            .to_owned(),
    ] {
        host.ns.ip(&format!("link add {device}"));
    }
    host.ns.ip("link set small mtu 1200 up");
    host.ns.ip("link add small.9 link small type vlan id 9");
    host.ns.ip("link set good up");
    host.ns.ip("route add 10.60.0.0/16 dev good proto 186");
    let imported = Old::new(&host).import("ip");
    for (about, what) in [
        ("tos", "it has ttl 7, tos 16, df \"copy\"; tunnel to-192.0.2.2"),
        ("same", "tenant good already receives key 1"),
        ("one", "a key in one direction only"),
        ("seq", "it sends sequence numbers and wants none"),
        ("many", "a tunnel to many"),
        ("ext", "chooses addresses and key with each packet"),
        ("noroute", "no local address, and there is no route"),
        ("bound", "bound to wire, and the route to 192.0.2.10 leaves by eth0"),
        ("small.9", "it is a vlan device on small"),
        ("icsum", "takes only packets with checksums"),
        ("good", "the route to 10.60.0.0/16 is another program's (proto 186"),
    ] {
        imported.tells(about, what);
    }
    let find = |name: &str| {
        let tunnels = imported.document["tunnel"].as_array().expect("a list");
        tunnels.iter().find(|tunnel| tunnel["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(
        find("to-192.0.2.11"),
        json!({"name": "to-192.0.2.11", "local": "192.0.2.1", "remote": "192.0.2.11", "ttl": "inherit", "df": "clear",
               "mtu": 1200})
    );
    assert_eq!(find("to-192.0.2.9")["local"], "192.0.2.1");
    assert_eq!(
        find("to-2001-db8--2"),
        json!({"name": "to-2001-db8--2", "local": "2001:db8::1", "remote": "2001:db8::2", "ttl": 9, "tos": "inherit"})
    );
    let steps = imported.document["steps"]["after"].to_string();
    assert!(steps.contains("ip link set tos down") && !steps.contains("ip link set good down"));
}
