//! Open vSwitch, with its userspace datapath and its kernel module: bridges as neutron sets them up, and simpler ones.

use serde_json::{Value, json};
use testbed::{
    Daemon, Host, Netns, OpenVswitch, Ping,
    suite::{Case, Need},
    topology::wired,
    veth,
};

use super::{Old, reached};
use crate::{
    open_vswitch::{Datapath, LOCAL, REMOTE, ovs_end, xgre_end},
    setup::{Mode, add_tenant},
};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("import: what Open vSwitch cannot give", left_in_switch).needs(Need::OpenVswitch),
        Case::new("import: no Open vSwitch", no_switch).needs(Need::OpenVswitch),
    ];
    for datapath in [Datapath::Userspace, Datapath::Kernel] {
        let mut add = |what, run: fn(Datapath)| {
            let case = Case::new(format!("import: {datapath}: {what}"), move || run(datapath));
            cases.push(case.needs(datapath.need()));
        };
        add("neutron's bridges", neutron);
        add("bridges with keys", bridges);
    }
    cases
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
    let daemon = xgre_end(host, Mode::Tc, options);
    for (number, (tenant, key)) in (1..).zip(tenants) {
        let number: u32 = number;
        add_tenant(host, tenant, &format!("{key} --service l2"));
        host.ns.ip(&format!("addr add 10.9.{number}.1/24 dev {tenant}0"));
    }
    daemon
}

/// A compute node with two networks: a station at a tap of one; a device of the switch's own for the other, with a route.
fn neutron(datapath: Datapath) {
    let kind = datapath.kind();
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, datapath);
    let _daemon = other_end(&here, &[("blue", "--key 10"), ("red", "--key 20")], "");
    here.ns.ip("addr add 10.50.0.1/32 dev red0");
    for bridge in ["br-int", "br-tun"] {
        ovs.vsctl(&format!("add-br {bridge} -- set bridge {bridge} datapath_type={kind}"));
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
    let answered = &imported.document["neigh"];
    assert!(answered.as_array().is_some_and(|all| all.len() == 1), "{answered}");
    assert_eq!(
        (&answered[0]["tenant"], &answered[0]["mac"]),
        (&json!("key-10"), &json!(station_mac)),
        "{answered}"
    );
    imported.tells("br-int", "somebody else set it up");
    if datapath == Datapath::Userspace {
        imported.tells("underlay", "a device of Open vSwitch's own");
    }
    let mac = there.ns.mac("qr-2");
    let _daemon = old.go_over(&imported);
    for (ping, from) in pings {
        reached(ping, from);
    }
    assert_eq!(there.ns.mac("qr-2"), mac);
}

/// Bridges whose GRE ports have keys: the host's own device in one, a station at a tagged port in the other.
fn bridges(datapath: Datapath) {
    let kind = datapath.kind();
    // The module sends checksums, and takes none.
    let csum = datapath == Datapath::Userspace;
    let (here, there) = wired([&format!("{LOCAL}/24"), &format!("{REMOTE}/24")]);
    let ovs = ovs_end(&there, datapath);
    let tenants = [
        ("blue", "--key 10"),
        ("red", "--in-key 7 --out-key 8"),
        ("open", "--no-key"),
        ("white", "--key 40"),
    ];
    let _daemon = other_end(&here, &tenants, if csum { "--csum" } else { "" });
    let gre = format!("type=gre options:remote_ip={LOCAL} options:csum={csum} options:ttl=33");
    ovs.vsctl(&format!(
        "add-br blue -- set bridge blue datapath_type={kind} -- add-port blue gre-b -- set interface gre-b {gre} \
         options:key=10"
    ));
    there.ns.ip("addr add 10.9.1.2/24 dev blue");
    there.ns.ip("link set blue up");
    ovs.vsctl(&format!(
        "add-br red -- set bridge red datapath_type={kind} -- add-port red gre-r tag=5 -- set interface gre-r {gre} \
         options:in_key=8 options:out_key=7"
    ));
    let red = station(&there, "tap2", "10.9.2.2/24");
    ovs.vsctl(
        "add-port red tap2 tag=5 -- add-port red tap9 tag=6 -- set interface tap9 type=internal",
    );
    let open = station(&there, "tap3", "10.9.3.2/24");
    ovs.vsctl(&format!(
        "add-br open -- set bridge open datapath_type={kind} -- add-port open gre-o -- set interface gre-o {gre} \
         ofport_request=1 -- add-port open tap3 -- set interface tap3 ofport_request=2"
    ));
    // By flows, from port to port.
    let white = station(&there, "tap4", "10.9.4.2/24");
    ovs.vsctl(&format!(
        "add-br white -- set bridge white datapath_type={kind} -- add-port white gre-w -- set interface gre-w {gre} \
         ofport_request=1 options:key=flow -- add-port white tap4 -- set interface tap4 ofport_request=2"
    ));
    ovs.ofctl("del-flows white");
    ovs.ofctl("add-flow white in_port=2,actions=set_tunnel:40,output:1");
    ovs.ofctl("add-flow white in_port=1,tun_id=40,actions=output:2");
    let pings = [
        (Ping::to("10.9.1.1"), &there.ns),
        (Ping::to("10.9.2.1"), &red),
        (Ping::to("10.9.3.1"), &open),
        (Ping::to("10.9.4.1"), &white),
    ];
    for (ping, from) in pings {
        reached(ping, from);
    }
    let old = Old::with(&there, &ovs);
    let imported = old.import("ovs");
    let tunnel = format!("to-{LOCAL}");
    let mut expected = json!({"name": tunnel, "local": REMOTE, "remote": LOCAL, "ttl": 33});
    if csum {
        expected["csum"] = json!(true);
    }
    let mac: Vec<_> = there.ns.mac("blue").iter().map(|octet| format!("{octet:02x}")).collect();
    let document = document(datapath, &expected, &mac.join(":"));
    assert_eq!(imported.document, document, "{:#}", imported.document);
    let _daemon = old.go_over(&imported);
    for (ping, from) in pings {
        reached(ping, from);
    }
}

/// What an import of those bridges prints; `mac` is that of the device `blue`.
fn document(datapath: Datapath, tunnel: &Value, mac: &str) -> Value {
    let note = json!({
        "about": "underlay",
        "what": "the tunnels' packets leave by it, a device of Open vSwitch's own",
        "remedy": "keep that bridge and Open vSwitch running; or, which is faster, give the addresses to the network interface \
                   itself, and name that as --iface",
    });
    let (uplink, notes) = match datapath {
        Datapath::Userspace => ("underlay", json!([note])),
        Datapath::Kernel => ("eth0", json!([])),
    };
    let tunnels = json!([tunnel["name"]]);
    json!({
        "version": 1,
        "tunnel": [tunnel],
        "tenant": [
            {"name": "blue", "key": 10, "tunnels": tunnels, "service": "l2"},
            {"name": "key-40", "key": 40, "tunnels": tunnels, "service": "l2"},
            {"name": "open", "no-key": true, "tunnels": tunnels, "service": "l2"},
            {"name": "red", "in-key": 8, "out-key": 7, "tunnels": tunnels, "service": "l2"},
        ],
        "port": [
            {"tenant": "blue", "name": "blue", "create": true},
            {"tenant": "red", "name": "tap2"},
            {"tenant": "open", "name": "tap3"},
            {"tenant": "key-40", "name": "tap4"},
        ],
        "route": [],
        "fdb": [],
        "neigh": [],
        "transit": [],
        "steps": {
            "before": [
                "ovs-vsctl del-port open tap3",
                "ovs-vsctl del-port open gre-o",
                "ovs-vsctl del-port red tap2",
                "ovs-vsctl del-port red gre-r",
                "ovs-vsctl del-port white tap4",
                "ovs-vsctl del-port white gre-w",
                "ovs-vsctl del-br blue",
            ],
            "run": format!("xgre run --iface {uplink} --config FILE"),
            "after": [
                format!("ip link set blue address {mac}"),
                "ip address replace 10.9.1.2/24 dev blue",
            ],
        },
        "notes": notes,
    })
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
        ("good", "tag=1", "remote_ip=192.0.2.2 options:key=1"),
        ("tags", "", "remote_ip=192.0.2.8 options:key=8"),
        ("half", "tag=2", "remote_ip=192.0.2.3 options:in_key=1"),
        ("mixed", "tag=2", "remote_ip=192.0.2.4 options:in_key=flow options:out_key=1"),
        ("many", "tag=2", "remote_ip=flow options:key=flow"),
        ("bare", "tag=2", "remote_ip=192.0.2.5 options:key=flow options:packet_type=legacy_l3"),
        ("other", "tag=1", "remote_ip=192.0.2.6 options:key=6"),
        ("far", "tag=3", "remote_ip=198.51.100.1 options:local_ip=192.0.2.1 options:key=3"),
        ("lost", "tag=3", "remote_ip=198.51.100.2 options:key=3"),
        ("sums", "tag=4", "remote_ip=192.0.2.2 options:key=4 options:csum=true"),
        ("flows", "tag=9", "remote_ip=192.0.2.7 options:key=flow options:seq=true"),
    ] {
        ovs.vsctl(&format!(
            "add-port br0 {name} {tag} -- set interface {name} type=gre options:{options}"
        ));
    }
    ovs.vsctl(
        "add-port br0 trunk tag=1 vlan_mode=native-tagged -- set interface trunk type=internal",
    );
    ovs.vsctl(
        "add-port br0 gone tag=1 -- add-port br0 tap5 tag=5 -- set interface tap5 type=internal",
    );
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
        ("tap5", "its frames cross the tunnel with the tag of VLAN 5"),
        ("br0", "only the keys of its GRE ports are carried over"),
    ] {
        imported.tells(about, what);
    }
    host.xgre(&format!("check {}", host.file("imported.toml", &imported.file).display())).ok();
}
