//! A host with Open vSwitch among those that follow the store.

use testbed::{
    Host, Netns, OpenVswitch,
    suite::{Case, Need},
    veth,
};

use super::{Fleet, all_pairs, case};
use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    vec![case("fleet: a host with Open vSwitch", mixed).needs(Need::OpenVswitch)]
}

fn mixed() {
    let fleet = Fleet::new(1, 2);
    let switched = Host::new();
    let ns = &switched.ns;
    let router = fleet.etcd.router();
    veth((ns, "eth0"), (router, "h5"));
    router.ip("addr add 192.0.2.254 peer 192.0.2.5 dev h5");
    // The switch shares `eth0` with the kernel, which must not answer there, and takes no route by a gateway outside the network of its address.
    ns.offload("eth0", "tx off");
    ns.ip("link set eth0 arp off");
    router.sysctl("ipv4/conf/h5/proxy_arp", "1");
    let switch = OpenVswitch::start(ns);
    switch.vsctl(
        "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
         other-config:hwaddr=02:00:00:00:05:05 -- add-br br-fleet -- set bridge br-fleet datapath_type=netdev",
    );
    ns.ip("link set underlay up");
    ns.ip("addr add 192.0.2.5/24 dev underlay");
    let machine = Netns::new();
    veth((&machine, "eth0"), (ns, "tap5"));
    machine.offload("eth0", "tx off");
    machine.ip("link set eth0 address 02:00:00:00:00:05 mtu 1400");
    machine.ip("addr add 10.8.0.5/24 dev eth0");

    fleet.say("tenant add other --service l2").ok();
    fleet.say("tenant add green --service l2").ok();
    fleet.say("host add h5 --address 192.0.2.5").ok();
    let station = "--mac 02:00:00:00:00:05 --address 10.8.0.5";
    fleet.say(&format!("endpoint add green tap5 --host h5 {station}")).ok();
    fleet.plug_all("green", "10.8.0");
    all_pairs(&fleet.hosts, "10.8.0");
    switched.shell(&fleet.say("export --ovs --host h5").ok(), Some(&switch)).ok();
    for member in &fleet.hosts {
        let address = format!("10.8.0.{}", member.number);
        let ping = format!("ping -c 1 -W 1 {address}");
        eventually(&format!("the switch's to {address}"), || machine.exec(&ping).status.success());
        eventually(&format!("{} to the switch's", member.name), || member.reaches("10.8.0.5"));
    }
    // Their endpoints are the operators'.
    fleet.say("endpoint del tap5 --host h5").ok();
    eventually("its tunnel is gone", || {
        !fleet.hosts[0].host.xgre("tunnel list").ok().contains("fleet.h5")
    });
    fleet.say("tenant add blue --service l3").ok();
    fleet.say("endpoint add blue tap5 --host h5").ok();
    let refused = fleet.say("export --ovs --host h5").err();
    assert!(refused.contains("tenant blue is l3"), "{refused}");
    let refused = fleet.say("host add h1 --address 192.0.2.77").err();
    assert!(refused.contains("follows the store"), "{refused}");
}
