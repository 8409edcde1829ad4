//! What a tenant, or the other end of its tunnel, may try.

use testbed::{
    Capture, Frame,
    packet::{Gre, IPV4, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
};

use crate::setup::{Mode, Pair, count, inner_addresses};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hostile: a tenant's own GRE toward the gateway", toward_the_gateway),
        Case::new("hostile: another tenant's key from a valid source", another_tenants_key),
    ]
}

const MARK: &[u8] = b"a mark that is seen";

fn is_marked(frame: &Frame) -> bool {
    !frame.outgoing && frame.contains(MARK)
}

/// A tenant sends packets that look like those of its tunnel, with the other tenant's key. They are payload, or a loop.
fn toward_the_gateway() {
    let tenants = [("blue", "--key 10"), ("green", "--key 20")];
    let Pair { one, two, daemons: _daemons } = Pair::with_tenants(Mode::Native, &tenants);
    for (host, end) in [(&one, 1), (&two, 2)] {
        inner_addresses(&host.ns, "blue0", end);
        host.ns.ip(&format!("addr add 10.20.0.{end}/24 dev green0"));
        host.ns.ip("link set green0 up");
    }
    let inner = Udp::new("10.20.0.1", "10.20.0.2", MARK).ip();
    let forged = |source: &str| Gre::new(source, "192.0.2.2", IPV4, inner.clone()).key(20);
    for (source, arrives) in [("192.0.2.1", 0), ("10.9.0.1", 1)] {
        let [blue, green] = ["blue0", "green0"].map(|port| Capture::start(&two.ns, port));
        let frame = forged(source).to_mac(two.ns.mac("blue0")).build();
        send_frame(&one.ns, "blue0", &frame);
        let [blue, green] = [blue, green].map(Capture::stop);
        assert_eq!(
            blue.iter().filter(|frame| is_marked(frame)).count(),
            arrives,
            "its own, from {source}"
        );
        assert!(
            blue.iter().filter(|frame| is_marked(frame)).all(|seen| seen.contains(&frame[14..])),
            "changed"
        );
        assert_eq!(
            green.iter().filter(|frame| is_marked(frame)).count(),
            0,
            "the other's, from {source}"
        );
    }
    assert_eq!(count(&one.tenant_stats("blue"), "/drops/loop"), 1);
}

/// Each of two tenants has a tunnel; the other end of one uses the key of the other.
fn another_tenants_key() {
    let (host, wire) = sensor();
    let _daemon = host.start("--iface eth0");
    for (tenant, key, remote) in [("blue", 10, "192.0.2.2"), ("green", 20, "192.0.2.3")] {
        let ends = format!("--local 192.0.2.1 --remote {remote}");
        host.xgre(&format!("tunnel add {tenant} {ends}")).ok();
        host.xgre(&format!("tenant add {tenant} --key {key} --tunnel {tenant}")).ok();
        host.xgre(&format!("port add {tenant} {tenant}0 --create")).ok();
        host.ns.ip(&format!("link set {tenant}0 up"));
    }
    let inner = Udp::new("10.9.0.2", "10.9.0.1", MARK).ip();
    let packet = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).to_mac(host.ns.mac("eth0"));
    let green = Capture::start(&host.ns, "green0");
    send_frame(&wire, "eth0", &packet.clone().key(20).build());
    assert_eq!(green.stop().iter().filter(|frame| is_marked(frame)).count(), 0);
    assert_eq!(count(&host.tenant_stats("green"), "/drops/wrong_remote"), 1);
    let blue = Capture::start(&host.ns, "blue0");
    send_frame(&wire, "eth0", &packet.key(10).build());
    assert_eq!(blue.stop().iter().filter(|frame| is_marked(frame)).count(), 1);
}
