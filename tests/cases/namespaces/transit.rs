//! Packets that merely pass through a router: one key is counted, dropped or redirected there, another is not touched.

use serde_json::Value;
use testbed::{
    Capture, Daemon, Frame, Host, Netns, Ping,
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::Case,
    traffic::tcp,
    veth,
};

use crate::{
    lifetime::has_program,
    setup::{
        Mode, Pair, Service, add_tenant, any_port, count, eventually, tunnel, wait_for_carriers,
    },
};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (underlay, ends) in [("IPv4", V4), ("IPv6", V6)] {
        for mode in Mode::ALL {
            let mut each = |what: &str, run: fn(Ends, Mode)| {
                let name = format!("in transit over {underlay}: {what}, {mode}");
                cases.push(Case::new(name, move || run(ends, mode)));
            };
            each("one key is counted", counted);
            each("one key is dropped", dropped);
            each("one key is redirected", redirected);
        }
    }
    for mode in Mode::ALL {
        let name = format!("in transit: own tunnels come first, {mode}");
        cases.push(Case::new(name, move || own_tunnels_first(mode)));
    }
    cases.extend([
        Case::new("in transit: the more specific rule decides", more_specific),
        Case::new("in transit: VLAN tags are looked behind, and stay", vlan_tags),
        Case::new("in transit: a merged packet counts once", merged),
        Case::new("in transit: attached while there are rules", attached_while_needed),
        Case::new("in transit: rules outlive the daemon", outlives_daemon),
        Case::new("in transit: rules wait for the datapath", without_datapath),
        Case::new("in transit: the interface to redirect to goes", target_goes),
        Case::new("in transit: the interface that has rules goes", interface_goes),
    ]);
    cases
}

/// Addresses of the hosts `one` and `two`, and of the router towards each.
type Ends = [[&'static str; 2]; 2];

const V4: Ends = [["192.0.2.1", "192.0.2.254"], ["198.51.100.2", "198.51.100.254"]];
const V6: Ends = [["2001:db8:1::1", "2001:db8:1::fe"], ["2001:db8:2::2", "2001:db8:2::fe"]];

/// Two hosts with the tenants `blue`, key 10, and `red`, key 20, whose tunnel leads through a router: from its
/// `eth0` to its `eth1`. Behind its `eth2` somebody listens.
struct Passing {
    one: Host,
    two: Host,
    router: Host,
    listener: Netns,
    on_router: Daemon,
    _at_ends: [Daemon; 2],
}

impl Passing {
    fn new(ends: Ends, mode: Mode) -> Self {
        let (one, two, router, listener) = (Host::new(), Host::new(), Host::new(), Netns::new());
        veth((&one.ns, "eth0"), (&router.ns, "eth0"));
        veth((&two.ns, "eth0"), (&router.ns, "eth1"));
        veth((&router.ns, "eth2"), (&listener, "eth0"));
        router.ns.sysctl("ipv4/ip_forward", "1");
        router.ns.sysctl("ipv6/conf/all/forwarding", "1");
        let len = if ends == V4 { 24 } else { 64 };
        let [[first, _], [second, _]] = ends;
        for (host, device, [address, gateway], far) in
            [(&one, "eth0", ends[0], second), (&two, "eth1", ends[1], first)]
        {
            host.ns.ip(&format!("addr add {address}/{len} dev eth0"));
            router.ns.ip(&format!("addr add {gateway}/{len} dev {device}"));
            // Without one a router does not ask for its neighbours (`ndisc_send_ns`).
            router.ns.ip(&format!("addr add fe80::1/64 dev {device}"));
            host.ns.ip(&format!("route add {far} via {gateway}"));
        }
        for ns in [&one.ns, &two.ns, &router.ns] {
            wait_for_carriers(ns);
        }
        Ping::to(second).all_answered(&one.ns);
        let at_ends = [(&one, first, second, 1), (&two, second, first, 2)].map(
            |(host, local, remote, end)| {
                let daemon = host.start("--iface eth0 --mode tc");
                tunnel(host, local, remote);
                for (tenant, key, network) in [("blue", 10, 9), ("red", 20, 8)] {
                    add_tenant(host, tenant, &format!("--key {key}"));
                    host.ns.ip(&format!("addr add 10.{network}.0.{end}/24 dev {tenant}0"));
                }
                daemon
            },
        );
        let on_router = router.start(&format!("--iface eth0 --mode {mode}"));
        let this = Self { one, two, router, listener, on_router, _at_ends: at_ends };
        this.both_answer();
        this
    }

    /// The router's command line about transit.
    fn transit(&self, args: &str) {
        self.router.xgre(&format!("transit {args}")).ok();
    }

    #[track_caller]
    fn both_answer(&self) {
        for address in ["10.9.0.2", "10.8.0.2"] {
            Ping::to(address).all_answered(&self.one.ns);
        }
    }

    #[track_caller]
    fn only_red_answers(&self) {
        Ping::to("10.9.0.2").unanswered(&self.one.ns);
        Ping::to("10.8.0.2").all_answered(&self.one.ns);
    }

    #[track_caller]
    fn rules(&self) -> Vec<Value> {
        rules(&self.router)
    }
}

#[track_caller]
fn rules(host: &Host) -> Vec<Value> {
    host.json("transit list")["rules"].as_array().expect("rules").clone()
}

/// Packets that each rule met.
fn packets(rules: &[Value]) -> Vec<u64> {
    rules.iter().map(|rule| count(rule, "/packets")).collect()
}

/// What came in by a device with key 10, in GRE of IPv4.
fn of_blue(frames: Vec<Frame>) -> Vec<Frame> {
    let of_blue = |frame: &Frame| !frame.outgoing && frame.contains(&[0x20, 0, 8, 0, 0, 0, 0, 10]);
    frames.into_iter().filter(of_blue).collect()
}

fn counted(ends: Ends, mode: Mode) {
    let passing = Passing::new(ends, mode);
    let [[one, _], [two, _]] = ends;
    passing.transit(&format!("add --iface eth0 --key 10 --local {two} --remote {one} --count"));
    passing.transit(&format!("add --iface eth1 --key 10 --src {two} --count"));
    passing.transit("add --iface eth0 --key 11 --count");
    passing.both_answer();
    let rules = passing.rules();
    assert_eq!(packets(&rules), [3, 0, 3], "{rules:#?}");
    let seen = count(&rules[0], "/bytes") / 3;
    assert!((84..200).contains(&seen), "three pings of {seen} bytes");
}

fn dropped(ends: Ends, mode: Mode) {
    let passing = Passing::new(ends, mode);
    passing.transit("add --iface eth0 --key 10 --drop");
    passing.only_red_answers();
    assert_eq!(packets(&passing.rules()), [3]);
    passing.transit("del --iface eth0 --key 10");
    passing.both_answer();
}

fn redirected(ends: Ends, mode: Mode) {
    let passing = Passing::new(ends, mode);
    passing.transit("add --iface eth0 --key 10 --redirect eth2");
    let [came, went] = [(&passing.router.ns, "eth0"), (&passing.listener, "eth0")]
        .map(|(ns, device)| Capture::start(ns, device));
    passing.only_red_answers();
    assert_eq!(packets(&passing.rules()), [3]);
    let [came, went] = [came, went].map(|capture| of_blue(capture.stop()));
    assert_eq!(came.len(), 3, "{came:?}");
    assert_eq!(came, went, "unchanged");
}

/// A tunnel that ends here is not in transit, whichever program was attached first.
fn own_tunnels_first(mode: Mode) {
    let Pair { one, two: _two, daemons: [daemon, _other] } = Pair::blue(Service::L3, mode);
    one.xgre("transit add --iface eth0 --key 10 --drop").ok();
    Ping::to("10.9.0.2").all_answered(&one.ns);
    daemon.stop();
    let _daemon = one.start(&format!("--iface eth0 --mode {mode}"));
    Ping::to("10.9.0.2").all_answered(&one.ns);
    assert_eq!(packets(&rules(&one)), [0]);
}

fn more_specific() {
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth0 --key 10 --drop");
    passing.transit("add --iface eth0 --key 10 --local 198.51.100.2 --count");
    passing.transit("add --iface eth0 --key 20 --remote 198.51.100.2 --drop");
    passing.both_answer();
    let rules = passing.rules();
    assert_eq!(packets(&rules).iter().sum::<u64>(), 3, "{rules:#?}");
    assert_eq!(rules.iter().find(|rule| rule["packets"] == 3).expect("it")["action"], "count");
}

/// A frame whose tags the device takes out of its bytes, and puts back when it leaves.
fn vlan_tags() {
    const MARK: &[u8] = b"a mark that is seen";
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth0 --key 10 --redirect eth2");
    passing.listener.offload("eth0", "rxvlan off");
    let inner = Udp::new("10.9.0.1", "10.9.0.2", MARK).ip();
    let packet = Gre::new("192.0.2.1", "198.51.100.2", IPV4, inner).key(10);
    let frames =
        [packet.clone().vlan(0x8100, 5).build(), packet.vlan(0x88a8, 6).vlan(0x8100, 7).build()];
    let listener = Capture::start(&passing.listener, "eth0");
    for frame in &frames {
        send_frame(&passing.one.ns, "eth0", frame);
    }
    let mut seen = listener.stop();
    seen.retain(|frame| frame.contains(MARK));
    assert_eq!(packets(&passing.rules()), [2]);
    // A packet socket is shown a frame without its outermost tag.
    let shown = frames.map(|frame| [&frame[..12], &frame[16..]].concat());
    assert_eq!(seen.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>(), shown);
}

fn merged() {
    const BYTES: u64 = 8 << 20;
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth0 --key 10 --count");
    tcp(&passing.one.ns, (&passing.two.ns, any_port("10.9.0.2")), BYTES as usize);
    let rule = &passing.rules()[0];
    let [packets, bytes] = ["/packets", "/bytes"].map(|path| count(rule, path));
    assert!(bytes > BYTES && bytes / packets > 4 * 1500, "{rule}");
}

fn attached_while_needed() {
    let passing = Passing::new(V4, Mode::Tc);
    let router = &passing.router;
    assert!(!has_program(router, "eth1"));
    passing.transit("add --iface eth1 --key 10 --count");
    passing.transit("add --iface eth1 --no-key --local 192.0.2.1 --drop");
    assert!(has_program(router, "eth1"));
    passing.transit("del --iface eth1 --key 10");
    assert!(has_program(router, "eth1"), "it has another rule");
    passing.transit("del --iface eth1 --no-key --dst 192.0.2.1");
    assert!(!has_program(router, "eth1"));
    assert!(router.json("stats").get("transit").is_none(), "the hook's counters are gone");
    passing.transit("add --iface eth1 --key 10 --count");
    let Passing { router, on_router, .. } = passing;
    on_router.stop();
    assert!(!has_program(&router, "eth1"), "a clean end detaches");
    let _daemon = router.start("--iface eth0 --mode tc");
    assert!(has_program(&router, "eth1"), "the next run attaches");
}

fn outlives_daemon() {
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth0 --key 10 --drop");
    let ping = Ping::to("10.9.0.2").times(150, 10).start(&passing.one.ns);
    let before = passing.router.configuration();
    let Passing { one, two: _two, router, on_router, _at_ends, .. } = passing;
    on_router.kill();
    let daemon = router.start("--iface eth0 --mode tc");
    let result = ping.wait();
    assert_eq!((result.sent, result.received), (150, 0), "{}", result.log);
    assert_eq!(packets(&rules(&router)), [150]);
    assert_eq!(router.configuration(), before);
    daemon.kill();
    Ping::to("10.9.0.2").unanswered(&one.ns);
    router.xgre("detach").ok();
    assert!(!has_program(&router, "eth0") && !router.state().exists());
    Ping::to("10.9.0.2").all_answered(&one.ns);
}

fn without_datapath() {
    let Passing { one, two: _two, router, on_router, _at_ends, .. } = Passing::new(V4, Mode::Tc);
    on_router.stop();
    let warned = router.xgre("transit add --iface eth1 --key 10 --drop");
    assert!(warned.stderr.contains("xgre run"), "{warned}");
    warned.ok();
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let _daemon = router.start("--iface eth0 --mode tc");
    Ping::to("10.9.0.2").unanswered(&one.ns);
}

/// Its packets are dropped and counted, also when a device of this name comes back: it is another one.
fn target_goes() {
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth0 --key 10 --redirect eth2");
    passing.router.ns.ip("link del eth2");
    eventually("the target is gone", || passing.rules()[0]["redirect"]["present"] == false);
    veth((&passing.router.ns, "eth2"), (&passing.listener, "eth0"));
    passing.only_red_answers();
    let rules = passing.rules();
    assert_eq!(rules[0]["redirect"], serde_json::json!({"name": "eth2", "present": false}));
    assert_eq!(packets(&rules), [0]);
    let stats = passing.router.json("stats");
    assert_eq!(count(&stats, "/transit/0/drops/redirect_failed"), 3, "{stats}");
    let table = passing.router.xgre("transit list").ok();
    assert!(table.contains("redirect eth2 (gone)"), "{table}");
}

fn interface_goes() {
    let passing = Passing::new(V4, Mode::Tc);
    passing.transit("add --iface eth2 --key 10 --drop");
    passing.transit("add --iface eth0 --key 10 --count");
    passing.router.ns.ip("link del eth2");
    eventually("its rule is deleted", || passing.rules().len() == 1);
    passing.both_answer();

    // Without a daemon the rule stays until somebody deletes it.
    passing.transit("add --iface eth1 --key 10 --drop");
    let Passing { router, on_router, two, .. } = passing;
    on_router.kill();
    two.ns.ip("link del eth0");
    let rules = rules(&router);
    let gone = rules.iter().find(|rule| rule["iface"]["present"] == false);
    assert_eq!(gone.expect("the rule of eth1")["iface"]["name"], "eth1");
    router.xgre("transit del --iface eth1 --key 10").ok();
}
