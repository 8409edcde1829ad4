//! Hosts with Open vSwitch among ours, with the bridges and flows of a compute node that neutron has set up: `br-int` with a local VLAN for each
//! network, `br-tun` with a GRE port for each other host, which turns keys into VLANs, learns and floods.

use testbed::{
    Host, Netns, Ping,
    ovs::OpenVswitch,
    ping::Pinging,
    suite::{Case, Need},
};

use crate::{import::Old, setup::eventually};

use super::{Member, Mesh, Station, TENANTS, all_pairs, arrives_once, places, wire};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mesh: six hosts, two of them with Open vSwitch", six_hosts)
            .needs(Need::OpenVswitch),
        Case::new("mesh: a host with Open vSwitch is taken over", taken_over)
            .needs(Need::OpenVswitch),
    ]
}

/// `br-tun`'s port towards `br-int`.
const INSIDE: u32 = 100;

struct Node<'n> {
    switch: OpenVswitch<'n>,
    stations: Vec<Station>,
}

impl<'n> Node<'n> {
    fn new(router: &Netns, ns: &'n Netns, number: u8, hosts: u8) -> Self {
        wire(router, ns, number);
        ns.offload("eth0", "tx off");
        // The switch shares `eth0` with the kernel, which must not answer there.
        ns.ip("link set eth0 arp off");
        let switch = OpenVswitch::start(ns);
        switch.vsctl(&format!(
            "add-br underlay -- add-port underlay eth0 -- set bridge underlay datapath_type=netdev \
             other-config:hwaddr=02:00:00:00:05:{number:02}"
        ));
        ns.ip("link set underlay up");
        // The switch takes no route by a gateway outside the network of its address, so the router answers for everyone.
        ns.ip(&format!("addr add 192.0.2.{number}/24 dev underlay"));
        router.sysctl(&format!("ipv4/conf/h{number}/proxy_arp"), "1");
        for bridge in ["br-int", "br-tun"] {
            switch.vsctl(&format!("add-br {bridge} -- set bridge {bridge} datapath_type=netdev"));
        }
        switch.vsctl(&format!(
            "add-port br-int patch-tun -- set interface patch-tun type=patch options:peer=patch-int \
             -- add-port br-tun patch-int -- set interface patch-int type=patch options:peer=patch-tun \
             ofport_request={INSIDE}"
        ));
        let others: Vec<u8> = (1..=hosts).filter(|other| *other != number).collect();
        for other in &others {
            switch.vsctl(&format!(
                "add-port br-tun gre{other} -- set interface gre{other} type=gre ofport_request={other} \
                 options:remote_ip=192.0.2.{other} options:local_ip=192.0.2.{number} \
                 options:in_key=flow options:out_key=flow"
            ));
        }
        let this = Self { stations: stations(ns, &switch, number), switch };
        this.add_flows(&others);
        this
    }

    fn add_flows(&self, others: &[u8]) {
        let add = |flow: &str| self.switch.ofctl(&format!("add-flow br-tun {flow}"));
        self.switch.ofctl("del-flows br-tun");
        add(&format!("table=0,priority=1,in_port={INSIDE},actions=resubmit(,2)"));
        for other in others {
            add(&format!("table=0,priority=1,in_port={other},actions=resubmit(,3)"));
        }
        let many = "01:00:00:00:00:00/01:00:00:00:00:00";
        add(&format!("table=2,priority=1,dl_dst={many},actions=resubmit(,22)"));
        add("table=2,priority=0,actions=resubmit(,20)");
        add(&format!(
            "table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],\
             NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],\
             load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[]),output:{INSIDE}"
        ));
        add("table=20,priority=0,actions=resubmit(,22)");
        let outputs: Vec<_> = others.iter().map(|other| format!("output:{other}")).collect();
        for (vlan, (_, key)) in (1..).zip(TENANTS) {
            add(&format!(
                "table=3,priority=1,tun_id={key},actions=mod_vlan_vid:{vlan},resubmit(,10)"
            ));
            add(&format!(
                "table=22,priority=1,dl_vlan={vlan},actions=strip_vlan,set_tunnel:{key},{}",
                outputs.join(",")
            ));
        }
    }
}

/// At ports of `br-int`.
fn stations(ns: &Netns, switch: &OpenVswitch<'_>, number: u8) -> Vec<Station> {
    let mut stations = Vec::new();
    for (vlan, (tenant, _)) in (1..).zip(TENANTS) {
        for place in places(number) {
            let station = Station::new(tenant, place);
            station.wire(ns);
            station.ns.offload("eth0", "tx off");
            let vlan: u32 = vlan;
            switch.vsctl(&format!("add-port br-int {} tag={vlan}", station.port));
            stations.push(station);
        }
    }
    stations
}

fn six_hosts() {
    let Mesh { hosts, router } = Mesh::part(4, 6, "auto");
    let switches = [Netns::new(), Netns::new()];
    let nodes: Vec<_> =
        (5..).zip(&switches).map(|(number, ns)| Node::new(&router, ns, number, 6)).collect();
    let (mut daemons, mut ours) = (Vec::new(), Vec::new());
    for Member { host, stations, daemon } in hosts {
        daemons.push(daemon);
        ours.push((host, stations));
    }
    // The switch drops what it sends while it asks for its next hop.
    let first = Ping::to(&ours[0].1[0].address).times(1, 10);
    for node in &nodes {
        let reaches = || first.run(&node.stations[0].ns).received == 1;
        eventually("the way out of a switch", reaches);
    }
    let of_ovs = nodes.iter().flat_map(|node| &node.stations);
    let everyone: Vec<_> = ours.iter().flat_map(|(_, own)| own).chain(of_ovs).collect();
    whole(&everyone);

    let traffic = Traffic::start(&everyone);
    let host = &ours[1].0;
    let tunnel = "[[tunnel]]\nname = \"to7\"\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.7\"\n";
    let text = host.xgre("export").ok().replace("\"]\nservice", "\", \"to7\"]\nservice");
    let path = host.file("seventh.toml", &format!("{tunnel}{text}"));
    host.xgre(&format!("apply {}", path.display())).ok();
    traffic.all_arrived();
    whole(&everyone);

    let traffic = Traffic::start(&everyone);
    daemons.remove(0).kill();
    traffic.all_arrived();
    whole(&everyone);
}

/// Everyone reaches everyone of the same tenant, and floods arrive once, with a host of ours and with a switch as their origin.
fn whole(everyone: &[&Station]) {
    for (tenant, _) in TENANTS {
        let own: Vec<_> =
            everyone.iter().filter(|station| station.tenant == tenant).copied().collect();
        all_pairs(&own);
    }
    let last = everyone.last().expect("a station at a switch");
    for from in [everyone[0], last] {
        arrives_once(from, everyone);
    }
}

/// Pings between all hosts, of every tenant.
struct Traffic(Vec<Pinging>);

impl Traffic {
    const PINGS: u16 = 300;

    fn start(everyone: &[&Station]) -> Self {
        let mut pings = Vec::new();
        for (tenant, _) in TENANTS {
            let own: Vec<_> = everyone.iter().filter(|station| station.tenant == tenant).collect();
            // A host has two of each.
            for (from, to) in own.iter().zip(own.iter().cycle().skip(3)) {
                pings.push(Ping::to(&to.address).times(Self::PINGS, 10).start(&from.ns));
            }
        }
        Self(pings)
    }

    #[track_caller]
    fn all_arrived(self) {
        for ping in self.0 {
            let result = ping.wait();
            assert_eq!(result.received, usize::from(Self::PINGS), "{}", result.log);
        }
    }
}

/// Two hosts of ours, and one of Open vSwitch that becomes ours.
fn taken_over() {
    let mesh = Mesh::part(2, 3, "auto");
    let host = Host::new();
    let node = Node::new(&mesh.router, &host.ns, 3, 3);
    let first = Ping::to(&mesh.hosts[0].stations[0].address).times(1, 10);
    let reaches = || first.run(&node.stations[0].ns).received == 1;
    eventually("the way out of a switch", reaches);
    let old = Old::with(&host, &node.switch);
    let imported = old.import("ovs");
    let _daemon = old.go_over(&imported);
    let mut everyone = Vec::new();
    for (tenant, _) in TENANTS {
        let mut stations = mesh.stations(tenant);
        stations.extend(node.stations.iter().filter(|station| station.tenant == tenant));
        all_pairs(&stations);
        everyone.extend(stations);
    }
    for from in [mesh.stations("blue")[0], &node.stations[0]] {
        arrives_once(from, &everyone);
    }
}
