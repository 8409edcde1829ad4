//! GRE that the kernel's IPsec policies are about.

use testbed::{
    Capture, Frame, Host, Ping,
    packet::IPV4,
    suite::{Case, Need},
    topology::wired,
    traffic::tcp,
};

use crate::setup::{
    Mode, Pair, Service, Tunnel, add_tenant, any_port, count, drops, eventually, inner_addresses,
    tunnel,
};

const MIB: usize = 1 << 20;
const ESP: u8 = 50;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("IPsec: what is to be encrypted does not leave in the clear", || {
            not_in_the_clear(Tunnel::PLAIN);
        }),
        Case::new("IPsec: nor over IPv6", || not_in_the_clear(Tunnel::v6("", 0))),
        Case::new("IPsec: a policy that selects keys", by_key),
        Case::new("IPsec: a keepalive does not leave in the clear", keepalive),
    ];
    for mode in Mode::ALL {
        let name = format!("IPsec: what should have come encrypted is not taken, {mode}");
        cases.push(Case::new(name, move || not_taken(mode)));
    }
    let mut with_esp = vec![
        Case::new("IPsec: decrypted by GRO, decapsulated by TC", by_gro),
        Case::new("IPsec: Linux gre at the other end", with_linux).needs(Need::Device("gre")),
    ];
    for (name, tunnel) in [("IPv4", Tunnel::PLAIN), ("IPv6", Tunnel::v6("", 0))] {
        for (service, mode) in [(Service::L3, Mode::Native), (Service::L2, Mode::Tc)] {
            let name = format!("IPsec: ESP in transport mode over {name}, {service}, {mode}");
            with_esp.push(Case::new(name, move || encrypted(tunnel, service, mode)));
        }
    }
    cases.extend(with_esp.into_iter().map(|case| case.needs(Need::Esp)));
    cases
}

/// What a policy says of GRE between two ends.
fn policy(host: &Host, direction: &str, [from, to]: [&str; 2], more: &str) {
    let template = format!("tmpl src {from} dst {to} proto esp reqid 1 mode transport");
    let selector = format!("src {from} dst {to} proto gre {more}");
    host.ns.ip(&format!("xfrm policy add {selector} dir {direction} {template}"));
}

fn reversed([first, second]: [&'static str; 2]) -> [&'static str; 2] {
    [second, first]
}

/// Keys and policies for both ways, at both ends.
fn protect(hosts: [&Host; 2], ends: [&'static str; 2]) {
    const KEY: &str = "0x000102030405060708090a0b0c0d0e0f10111213";
    for host in hosts {
        for (spi, [from, to]) in [(1, ends), (2, reversed(ends))] {
            let transform = format!("proto esp spi {spi} reqid 1 mode transport");
            let cipher = format!("aead rfc4106(gcm(aes)) {KEY} 128");
            host.ns.ip(&format!("xfrm state add src {from} dst {to} {transform} {cipher}"));
        }
    }
    for (host, ends) in hosts.into_iter().zip([ends, reversed(ends)]) {
        policy(host, "out", ends, "");
        policy(host, "in", reversed(ends), "");
    }
}

/// Waits until the tunnel leads to the kernel's IPsec.
fn is_led_to_ipsec(host: &Host) {
    eventually("the way to IPsec", || {
        let hop = host.json("tunnel show t")["tunnels"][0]["next_hop"].clone();
        let links = host.ns.exec("ip link show xgre-ipsec");
        links.status.success()
            && count(&hop, "/ifindex") == u64::from(host.ns.ifindex("xgre-ipsec"))
    });
}

fn clear(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.outgoing && frame.gre().is_some()).count()
}

/// The protocol number of an IP packet.
fn protocol(frame: &Frame) -> u8 {
    if frame.bytes[12..14] == IPV4.to_be_bytes() { frame.bytes[23] } else { frame.bytes[20] }
}

fn not_in_the_clear(tunnel: Tunnel) {
    let Pair { one, two: _two, daemons: _daemons } =
        Pair::blue_over(tunnel, Service::L3, Mode::Native);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let wire = Capture::start(&one.ns, "eth0");
    Ping::to("10.9.0.2").all_answered(&one.ns);
    assert!(clear(&wire.stop()) > 0, "what is looked for below is seen here");

    policy(&one, "out", tunnel.ends, "");
    is_led_to_ipsec(&one);
    let wire = Capture::start(&one.ns, "eth0");
    Ping::to("10.9.0.2").unanswered(&one.ns);
    assert_eq!(clear(&wire.stop()), 0, "in the clear");
    // Of what waits for a security association the kernel keeps the account.
    assert!(without_association(&one) >= 3);

    let [from, to] = tunnel.ends;
    one.ns.ip(&format!("xfrm policy add src {from} dst {to} dir out action block priority 0"));
    one.ns.ip(&format!("xfrm policy del src {from} dst {to} proto gre dir out"));
    Ping::to("10.9.0.2").unanswered(&one.ns);
    eventually("a count of what was refused", || {
        let hooks = one.json("stats")["unregistered"].as_array().cloned().unwrap_or_default();
        hooks.iter().any(|hook| hook["hook"] == "slow_path" && count(hook, "/drops/ipsec") >= 3)
    });

    one.ns.ip("xfrm policy flush");
    let answered = || Ping::to("10.9.0.2").times(1, 10).run(&one.ns).received == 1;
    eventually("an answer", answered);
}

fn without_association(host: &Host) -> u64 {
    let statistics = host.ns.exec("cat /proc/net/xfrm_stat").ok();
    let line =
        statistics.lines().find(|line| line.starts_with("XfrmOutNoStates")).expect("a count");
    line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a number")
}

fn by_key() {
    let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, Mode::Tc);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    policy(&one, "out", Tunnel::PLAIN.ends, "key 10");
    let state = || one.json("tunnel show t")["tunnels"][0]["next_hop"]["state"].clone();
    eventually("no way", || state() == "no_route");
    let wire = Capture::start(&one.ns, "eth0");
    Ping::to("10.9.0.2").unanswered(&one.ns);
    assert_eq!(clear(&wire.stop()), 0, "in the clear");
    assert!(count(&one.tenant_stats("blue"), "/drops/no_route") >= 3);
}

fn keepalive() {
    let (one, _wire) = testbed::two_hosts();
    let _daemon = one.start("--iface eth0");
    policy(&one, "out", Tunnel::PLAIN.ends, "");
    one.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2 --keepalive 1,1").ok();
    let wire = Capture::start(&one.ns, "eth0");
    add_tenant(&one, "blue", "--key 10");
    let state = || one.json("tunnel show t")["tunnels"][0]["state"].clone();
    eventually("questions without answer", || state() == "down");
    assert_eq!(clear(&wire.stop()), 0, "in the clear");
}

fn not_taken(mode: Mode) {
    let Pair { one, two, daemons: _daemons } = Pair::blue(Service::L3, mode);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    policy(&two, "in", Tunnel::PLAIN.ends, "");
    let passed = || {
        let stats = two.uplink_stats("eth0");
        let hooks = stats["hooks"].as_array().expect("hooks").clone();
        hooks.iter().map(|hook| count(hook, "/passed/ipsec")).sum::<u64>()
    };
    eventually("packets left to the policy", || {
        let _ = Ping::to("10.9.0.2").times(1, 10).run(&one.ns);
        passed() > 0
    });
    let (before, received) = (passed(), count(&two.tenant_stats("blue"), "/rx/packets"));
    Ping::to("10.9.0.2").unanswered(&one.ns);
    assert!(passed() >= before + 3);
    assert_eq!(count(&two.tenant_stats("blue"), "/rx/packets"), received);

    two.ns.ip("xfrm policy flush");
    let answered = || Ping::to("10.9.0.2").times(1, 10).run(&one.ns).received == 1;
    eventually("an answer", answered);
}

fn encrypted(tunnel: Tunnel, service: Service, mode: Mode) {
    let Pair { one, two, daemons: _daemons } = Pair::blue_over(tunnel, service, mode);
    protect([&one, &two], tunnel.ends);
    is_led_to_ipsec(&one);
    is_led_to_ipsec(&two);
    everything_crosses([&one, &two]);
}

/// Whole packets and TCP, both ways, and nothing in the clear.
fn everything_crosses([one, two]: [&Host; 2]) {
    let wire = Capture::start(&one.ns, "eth0");
    let answered = || Ping::to("10.9.0.2").times(1, 10).run(&one.ns).received == 1;
    eventually("a first answer", answered);
    let before = [one, two].map(drops);
    for size in [0, 1300] {
        Ping::to("10.9.0.2").size(size).all_answered(&one.ns);
        Ping::to("10.9.0.1").size(size).all_answered(&two.ns);
    }
    tcp(&one.ns, (&two.ns, any_port("10.9.0.2")), MIB);
    tcp(&two.ns, (&one.ns, any_port("10.9.0.1")), MIB);
    let frames = wire.stop();
    assert_eq!(frames.iter().filter(|frame| frame.gre().is_some()).count(), 0, "in the clear");
    for outgoing in [false, true] {
        let of_esp = |frame: &&Frame| frame.outgoing == outgoing && protocol(frame) == ESP;
        assert!(frames.iter().filter(of_esp).count() > 100, "outgoing: {outgoing}");
    }
    assert_eq!([one, two].map(drops), before);
}

/// The kernel decrypts in GRO, where `esp4_offload` is loaded, and TC sees the packet: no daemon is needed to receive it.
fn by_gro() {
    let Pair { one, two, daemons: [_sender, receiver] } = Pair::blue(Service::L3, Mode::Tc);
    let modprobe = std::process::Command::new("modprobe").arg("esp4_offload").status();
    assert!(modprobe.is_ok_and(|status| status.success()), "modprobe esp4_offload");
    // As on a wire: what arrives passes GRO, which a veth device spares packets that its other end need not cut.
    one.ns.offload("eth0", "tx off");
    two.ns.offload("eth0", "gro on");
    protect([&one, &two], Tunnel::PLAIN.ends);
    is_led_to_ipsec(&one);
    is_led_to_ipsec(&two);
    let arrived = || count(&two.tenant_stats("blue"), "/rx/packets");
    drop(receiver);
    let before = arrived();
    Ping::to("10.9.0.2").unanswered(&one.ns);
    assert!(arrived() >= before + 3, "{}", two.json("stats"));
}

fn with_linux() {
    let [first, second] = Tunnel::PLAIN.ends.map(|end| format!("{end}/24"));
    let (xgre, linux) = wired([&first, &second]);
    let _daemon = xgre.start("--iface eth0");
    protect([&xgre, &linux], Tunnel::PLAIN.ends);
    tunnel(&xgre, "192.0.2.1", "192.0.2.2");
    add_tenant(&xgre, "blue", "--key 10");
    linux.ns.ip("link add blue0 type gre local 192.0.2.2 remote 192.0.2.1 key 10");
    for (host, end) in [(&xgre, 1), (&linux, 2)] {
        inner_addresses(&host.ns, "blue0", end);
    }
    is_led_to_ipsec(&xgre);
    let wire = Capture::start(&xgre.ns, "eth0");
    let answered = || Ping::to("10.9.0.2").times(1, 10).run(&xgre.ns).received == 1;
    eventually("a first answer", answered);
    let before = drops(&xgre);
    Ping::to("10.9.0.2").size(1300).all_answered(&xgre.ns);
    tcp(&xgre.ns, (&linux.ns, any_port("10.9.0.2")), MIB);
    tcp(&linux.ns, (&xgre.ns, any_port("10.9.0.1")), MIB);
    let frames = wire.stop();
    assert_eq!(frames.iter().filter(|frame| frame.gre().is_some()).count(), 0, "in the clear");
    assert_eq!(drops(&xgre), before);
}
