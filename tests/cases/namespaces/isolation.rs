//! Tenants do not meet, whatever tells them apart.

use std::thread;

use testbed::{Capture, Frame, Host, Netns, suite::Case, traffic::udp_echo};

use crate::setup::{Mode, Pair, any_port, inner_addresses, wait_for_carriers};

const EXCHANGES: usize = 50;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, blue, green) in [
        ("key 10 and key 20", "--key 10", "--key 20"),
        ("key 0 and no key", "--key 0", "--no-key"),
        ("l2 and l3", "--key 10 --service l2", "--key 11 --service l3"),
    ] {
        for mode in Mode::ALL {
            let name = format!("same addresses, one tunnel, {what}, {mode}");
            cases.push(Case::new(name, move || tenants_do_not_meet(mode, blue, green)));
        }
    }
    cases.push(Case::new("in key and out key differ", in_and_out_key_differ));
    cases
}

/// A namespace for a tenant's end, as a container or virtual machine would be one.
fn container(host: &Host, device: &str, end: u8) -> Netns {
    let ns = Netns::new();
    host.ns.ip(&format!("link set {device} netns {}", ns.path()));
    inner_addresses(&ns, device, end);
    wait_for_carriers(&host.ns);
    ns
}

fn tenants_do_not_meet(mode: Mode, blue: &str, green: &str) {
    let pair = Pair::with_tenants(mode, &[("blue", blue), ("green", green)]);
    let exchange = |tenant: &str| {
        let device = format!("{tenant}0");
        let near = container(&pair.one, &device, 1);
        let far = container(&pair.two, &device, 2);
        let captures = [Capture::start(&near, &device), Capture::start(&far, &device)];
        for _ in 0..EXCHANGES {
            udp_echo(&near, (&far, any_port("10.9.0.2")), mark(tenant).as_bytes());
        }
        captures.map(Capture::stop)
    };
    let (blues, greens) = thread::scope(|scope| {
        let green = scope.spawn(|| exchange("green"));
        (exchange("blue"), green.join().expect("the other tenant's exchange"))
    });
    for frames in &blues {
        assert_eq!(marked(frames, "blue"), 2 * EXCHANGES, "blue at its own port");
        assert_eq!(marked(frames, "green"), 0, "green at a port of blue");
    }
    for frames in &greens {
        assert_eq!(marked(frames, "green"), 2 * EXCHANGES, "green at its own port");
        assert_eq!(marked(frames, "blue"), 0, "blue at a port of green");
    }
}

fn mark(tenant: &str) -> String {
    format!("only {tenant} may see this")
}

fn marked(frames: &[Frame], tenant: &str) -> usize {
    frames.iter().filter(|frame| frame.contains(mark(tenant).as_bytes())).count()
}

fn in_and_out_key_differ() {
    let (one, two) = testbed::two_hosts();
    let mut daemons = Vec::new();
    for (host, local, remote, keys, end) in [
        (&one, "192.0.2.1", "192.0.2.2", "--in-key 7 --out-key 8", 1),
        (&two, "192.0.2.2", "192.0.2.1", "--in-key 8 --out-key 7", 2),
    ] {
        daemons.push(host.start("--iface eth0"));
        crate::setup::tunnel(host, local, remote);
        crate::setup::add_tenant(host, "blue", keys);
        inner_addresses(&host.ns, "blue0", end);
    }
    let wires = [Capture::start(&one.ns, "eth0"), Capture::start(&two.ns, "eth0")];
    testbed::Ping::to("10.9.0.2").all_answered(&one.ns);
    for (frames, key) in wires.map(Capture::stop).iter().zip([8, 7]) {
        let sent: Vec<_> = frames.iter().filter(|f| f.outgoing).filter_map(Frame::gre).collect();
        assert!(
            !sent.is_empty() && sent.iter().all(|gre| gre[4..8] == [0, 0, 0, key]),
            "{sent:x?}"
        );
    }
}
