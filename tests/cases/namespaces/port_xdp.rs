//! Ports whose packets come from a wire: XDP encapsulates them.

use testbed::{
    Capture, Daemon, Frame, Host, Netns, Ping, Tap,
    capture::send_frames,
    packet::{Udp, arp},
    suite::{Case, Need},
    topology, traffic, veth,
};

use crate::setup::{
    Mode, Pair, Service, add_tenant, any_port, count, eventually, inner_addresses, total, tunnel,
};

const MIB: usize = 1 << 20;

/// Before it the kernel does not tell which devices transmit what XDP redirects, and xgre redirects to no veth device.
const TRANSMISSION_KNOWN: Need = Need::Linux(6, 3);

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        let name = format!("XDP sends what came from a wire, {service}");
        cases.push(Case::new(name, move || sends(service)));
        let name = format!("XDP leaves to TC what its uplink cannot transmit, {service}");
        cases.push(Case::new(name, move || uplink_without_xmit(service)));
    }
    cases.push(Case::new("a packet too big for XDP to send", too_big));
    cases.push(Case::new("XDP sends once the next hop is resolved", resolved_later));
    cases.push(Case::new("sums balance at a port with XDP", balances));
    let mut cases: Vec<_> = cases.into_iter().map(|case| case.needs(TRANSMISSION_KNOWN)).collect();
    cases.push(Case::new("XDP sends to a tap", to_tap));
    cases.push(Case::new("XDP on a port outlives the daemon, and is adopted", adopted));
    cases.push(Case::new("a port's XDP comes and goes with the port", comes_and_goes));
    cases.push(Case::new("another's XDP program on a port stays", foreign));
    cases
}

/// A host with `blue` on a wire: the pair `p0` and `c0`, whose packets have complete checksums. The other
/// host's `blue0` is a created port.
struct Wired {
    pair: Pair,
    wire: Netns,
}

impl Wired {
    fn new(service: Service, uplinks: Mode) -> Self {
        let pair = Pair::with_tenants(uplinks, &[]);
        let options = format!("--key 10 --service {service}");
        add_tenant(&pair.two, "blue", &options);
        inner_addresses(&pair.two.ns, "blue0", 2);
        let wire = wired_port(&pair.one, service, &options);
        inner_addresses(&wire, "c0", 1);
        Self { pair, wire }
    }

    fn hooks(&self) -> [serde_json::Value; 2] {
        hooks(&self.pair.one)
    }

    fn sent(&self) -> u64 {
        count(&self.pair.one.tenant_stats("blue"), "/tx/packets")
    }
}

fn wired_port(host: &Host, service: Service, options: &str) -> Netns {
    let wire = Netns::new();
    veth((&host.ns, "p0"), (&wire, "c0"));
    // As a wire would bring them: checksums complete, VLAN tags in the frame.
    wire.offload("c0", "tx off txvlan off");
    wire.ip(&format!("link set c0 mtu {}", service.mtu(1500)));
    if service == Service::L3 {
        wire.ip("link set c0 arp off");
    }
    host.xgre(&format!("tenant add blue {options} --tunnel t")).ok();
    host.xgre("port add blue p0 --mode native").ok();
    wire
}

/// What `port_xdp` and `port_tc` say.
fn hooks(host: &Host) -> [serde_json::Value; 2] {
    let hooks = host.json("stats")["ports"][0]["hooks"].as_array().expect("hooks").clone();
    let names: Vec<_> = hooks.iter().map(|hook| hook["hook"].as_str()).collect();
    assert_eq!(names, [Some("port_xdp"), Some("port_tc")]);
    hooks.try_into().expect("two")
}

/// GRE packets that left through the kernel's own transmission, which XDP's frames do not meet.
fn seen_leaving(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.outgoing && frame.gre().is_some()).count()
}

fn sends(service: Service) {
    let wired = Wired::new(service, Mode::Native);
    let Pair { one, two, .. } = &wired.pair;
    Ping::to("10.9.0.2").all_answered(&wired.wire);
    eventually("a resolved next hop", || {
        one.json("tunnel list")["tunnels"][0]["next_hop"]["state"] == "resolved"
    });
    let left_to_tc = || count(&wired.hooks()[0], "/passed/left_to_tc");
    let (before, sent) = (left_to_tc(), wired.sent());
    let capture = Capture::start(&one.ns, "eth0");
    for [first, second] in [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]] {
        Ping::to(second).all_answered(&wired.wire);
        traffic::tcp(&wired.wire, (&two.ns, any_port(second)), 8 * MIB);
        traffic::tcp(&two.ns, (&wired.wire, any_port(first)), 8 * MIB);
    }
    // TC lowers the MSS of a SYN from here in two transfers, of the answer to one in two.
    assert_eq!(seen_leaving(&capture.stop()), 4, "everything else was sent by XDP");
    assert_eq!(left_to_tc(), before + 4);
    // 8 MiB twice, at most 1500 bytes each.
    assert!(wired.sent() - sent > 11_000, "{}", one.tenant_stats("blue"));
    assert_eq!(one.json("port list")["ports"][0]["mode"], "native");
}

fn uplink_without_xmit(service: Service) {
    // The other end of the uplink has neither XDP nor GRO.
    let wired = Wired::new(service, Mode::Tc);
    let before = count(&wired.hooks()[0], "/passed/left_to_tc");
    Ping::to("10.9.0.2").all_answered(&wired.wire);
    traffic::tcp(&wired.wire, (&wired.pair.two.ns, any_port("10.9.0.2")), MIB);
    assert!(count(&wired.hooks()[0], "/passed/left_to_tc") > before + 100);
    // The way opens, and closes again.
    for (gro, leaves_seen) in [("on", false), ("off", true)] {
        wired.pair.two.ns.offload("eth0", &format!("gro {gro}"));
        eventually("packets that take the other way", || {
            let capture = Capture::start(&wired.pair.one.ns, "eth0");
            let answered = Ping::to("10.9.0.2").times(1, 10).run(&wired.wire).received == 1;
            answered && (seen_leaving(&capture.stop()) > 0) == leaves_seen
        });
        Ping::to("10.9.0.2").all_answered(&wired.wire);
    }
}

fn to_tap() {
    const MARK: &[u8] = b"a mark that is seen";
    let host = Host::new();
    let uplink = Tap::new(&host.ns, "uplink0");
    host.ns.ip("addr add 192.0.2.1/24 dev uplink0");
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev uplink0");
    let _daemon = host.start("--iface uplink0 --mode tc");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    let wire = wired_port(&host, Service::L3, "--key 10");
    let inner = Udp::new("10.9.0.1", "10.9.0.2", MARK);
    let before = count(&hooks(&host)[0], "/passed/left_to_tc");
    send_frames(&wire, "c0", [&inner.ethernet([2; 6], [3; 6])[..]]);
    let sent = uplink.receive(MARK);
    assert_eq!(sent[42..], inner.ip());
    assert_eq!(count(&hooks(&host)[0], "/passed/left_to_tc"), before);
}

fn too_big() {
    let wired = Wired::new(Service::L3, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&wired.wire);
    wired.wire.ip("link set c0 mtu 1500");
    let left_to_tc = || count(&wired.hooks()[0], "/passed/left_to_tc");
    let before = left_to_tc();
    let large = Ping::to("10.9.0.2").size(1445);
    large.dont_fragment().times(1, 100).unanswered(&wired.wire);
    let blue = wired.pair.one.tenant_stats("blue");
    assert_eq!(count(&blue, "/drops/packet_too_big"), 1, "{blue}");
    assert_eq!(left_to_tc(), before + 1, "TC may have to answer");
    Ping::to("10.9.0.2").size(1444).all_answered(&wired.wire);
}

/// A host with `blue` on a wire; nobody answers at the other end of its uplink, which takes what XDP redirects.
fn sensor() -> (Host, Daemon, Netns, Netns) {
    let (host, far_end) = topology::sensor();
    far_end.offload("eth0", "gro on");
    let daemon = host.start("--iface eth0");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    let wire = wired_port(&host, Service::L3, "--key 10");
    wire.sysctl("ipv6/conf/all/disable_ipv6", "1");
    wire.ip("link set c0 mtu 1500");
    (host, daemon, wire, far_end)
}

fn resolved_later() {
    let (host, _daemon, wire, far_end) = sensor();
    let left_to_tc = || count(&hooks(&host)[0], "/passed/left_to_tc");
    let frame = Udp::new("10.9.0.1", "10.9.0.2", b"a mark").ethernet([2; 6], [3; 6]);
    let send = || send_frames(&wire, "c0", [&frame[..]; 5]);
    let before = left_to_tc();
    send();
    eventually("all left to TC, which has the kernel ask", || left_to_tc() == before + 5);
    host.ns.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    eventually("a resolved next hop", || {
        host.json("tunnel list")["tunnels"][0]["next_hop"]["state"] == "resolved"
    });
    let arriving = Capture::start(&far_end, "eth0");
    send();
    let arrived = arriving.stop().iter().filter(|frame| frame.contains(b"a mark")).count();
    assert!(arrived >= 5, "{arrived} frames arrived");
    assert_eq!(left_to_tc(), before + 5);
}

fn adopted() {
    let Wired { pair: Pair { one, two: _two, daemons: [first, _second] }, wire } =
        Wired::new(Service::L2, Mode::Native);
    let before = one.configuration();
    let pings = Ping::to("10.9.0.2").times(150, 10).start(&wire);
    first.kill();
    assert_eq!(one.configuration(), before, "without a daemon");
    let adopter = one.start("--iface eth0 --mode native");
    assert_eq!(one.configuration(), before, "adopted");
    let result = pings.wait();
    assert_eq!((result.sent, result.received), (150, 150), "{}", result.log);
    adopter.stop();
    assert_eq!(one.json("port list")["ports"][0]["mode"], "tc", "a clean end detaches");
    Ping::to("10.9.0.2").unanswered(&wire);
    let _daemon = one.start("--iface eth0 --mode native");
    assert_eq!(one.configuration(), before, "the next run attaches again");
    Ping::to("10.9.0.2").all_answered(&wire);
}

fn balances() {
    const TIMES: u64 = 7;
    let (host, _daemon, wire, far_end) = sensor();
    host.ns.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
    let udp = |payload: usize| Udp::new("10.9.0.1", "10.9.0.2", &vec![0; payload]);
    let frames = [
        udp(100).ethernet([2; 6], [3; 6]),
        Udp::new("fd09::1", "fd09::2", b"six").ethernet([2; 6], [3; 6]),
        udp(1450).ethernet([2; 6], [3; 6]),
        udp(100).ttl(0).ethernet([2; 6], [3; 6]),
        arp([3; 6]),
    ];
    let accounted = || {
        let stats = host.json("stats");
        let (tenant, [xdp, tc]) = (&stats["tenants"][0], hooks(&host));
        let left = count(&xdp, "/passed/left_to_tc");
        let own = total(&xdp["passed"]) - left;
        let charged = count(tenant, "/tx/packets") + total(&tenant["drops"]);
        (charged + own + total(&xdp["drops"]), total(&tc["passed"]) - own, left, stats)
    };
    // Before and after the far end of the uplink takes what XDP redirects.
    for gro in ["off", "on"] {
        far_end.offload("eth0", &format!("gro {gro}"));
        eventually("a daemon that noticed", || {
            let before = accounted().2;
            send_frames(&wire, "c0", [frames[0].as_slice()]);
            (accounted().2 == before) == (gro == "on")
        });
        let (before, ..) = accounted();
        let all = (0..TIMES).flat_map(|_| frames.iter().map(Vec::as_slice));
        send_frames(&wire, "c0", all);
        let sent = TIMES * frames.len() as u64;
        eventually("every frame accounted for", || accounted().0 >= before + sent);
        let (after, beyond, _, stats) = accounted();
        assert_eq!(after, before + sent, "{stats}");
        assert_eq!(beyond, 0, "what XDP passes for its own reasons TC passes too: {stats}");
    }
}

fn comes_and_goes() {
    let wired = Wired::new(Service::L3, Mode::Native);
    let one = &wired.pair.one;
    let has_xdp = || one.ns.json("link show p0")[0].get("xdp").is_some();
    assert!(has_xdp());
    one.xgre("port del blue p0").ok();
    assert!(!has_xdp());
    for (mode, expected) in [("auto", "tc"), ("tc", "tc"), ("native", "native")] {
        one.xgre(&format!("port add blue p0 --mode {mode}")).ok();
        assert_eq!(one.json("port list")["ports"][0]["mode"], expected, "{mode} on a veth");
        assert_eq!(has_xdp(), expected == "native");
        Ping::to("10.9.0.2").all_answered(&wired.wire);
        one.xgre("port del blue p0").ok();
    }
    let refused = one.xgre("port add blue blue0 --create --mode native").err();
    assert!(refused.contains("--mode"), "{refused}");
    one.xgre("port add blue p0 --mode native").ok();
    one.ns.ip("link del p0");
    eventually("a daemon that noticed", || one.json("port list")["ports"] == serde_json::json!([]));
}

/// The other program is that of a second xgre with a state of its own.
fn foreign() {
    let wired = Wired::new(Service::L3, Mode::Native);
    let one = &wired.pair.one;
    one.xgre("port del blue p0").ok();
    let other = one.state().with_file_name("other");
    let state = format!("--state {}", other.display());
    let mut daemon = std::process::Command::new(testbed::host::xgre_binary());
    daemon.args(state.split(' ')).args(["run", "--iface", "p0", "--mode", "native", "--keep"]);
    let mut daemon = one.ns.enter(&mut daemon).spawn().expect("a second daemon");
    eventually("the other program", || one.ns.json("link show p0")[0].get("xdp").is_some());
    let id = || one.ns.json("link show p0")[0]["xdp"]["prog"]["id"].clone();
    let before = id();
    let refused = one.xgre("port add blue p0 --mode native").err();
    // Below TCX its filter is met first.
    let causes = ["XDP", "another xgre state"];
    assert!(refused.contains("p0") && causes.iter().any(|it| refused.contains(it)), "{refused}");
    assert_eq!(one.json("port list")["ports"], serde_json::json!([]), "nothing is half done");
    assert_eq!(id(), before);
    daemon.kill().expect("a running daemon");
    daemon.wait().expect("a child");
}
