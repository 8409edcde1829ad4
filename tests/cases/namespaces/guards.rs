//! What keeps tenants in bounds: their sources, their rates; and whom their ports answer for.

use testbed::{Capture, Ping, suite::Case};

use crate::setup::{Mode, Pair, Service, count, drops, inner_addresses};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        for service in Service::ALL {
            cases.push(Case::new(format!("sources: both ways, {service}, {mode}"), move || {
                sources(service, mode);
            }));
        }
        cases.push(Case::new(format!("rate: both ways, {mode}"), move || rate(mode)));
    }
    cases.extend([
        Case::new("sources: stations, l2", stations),
        Case::new("neighbours: known ones are answered, and nobody else hears it", neighbours),
    ]);
    cases
}

/// The first host judges what it sends and what it receives; the second nothing.
fn sources(service: Service, mode: Mode) {
    let pair = Pair::blue(service, mode);
    let one = &pair.one;
    for address in ["10.9.0.2", "fd09::2"] {
        Ping::to(address).all_answered(&one.ns);
    }
    one.xgre("port del blue blue0").ok();
    one.xgre("tenant del blue").ok();
    let fe80 = if service == Service::L2 { " fe80::/10" } else { "" };
    one.xgre(&format!(
        "tenant add blue --key 10 --service {service} --tunnel t --allow-source 10.9.0.0/28 fd09::/64{fe80}"
    ))
    .ok();
    one.xgre("port add blue blue0 --create").ok();
    inner_addresses(&one.ns, "blue0", 1);
    for address in ["10.9.0.2", "fd09::2"] {
        Ping::to(address).all_answered(&one.ns);
    }
    let dropped = || count(&one.tenant_stats("blue"), "/drops/source");
    assert_eq!(dropped(), 0, "{}", drops(one));
    // Sent.
    one.ns.ip("addr add 10.9.0.77/24 dev blue0");
    one.ns.exec("ping -c 3 -i 0.05 -W 0.2 -I 10.9.0.77 10.9.0.2");
    assert_eq!(dropped(), 3, "{}", drops(one));
    // Received.
    pair.two.ns.ip("addr add 10.9.0.88/24 dev blue0");
    let capture = Capture::start(&one.ns, "blue0");
    pair.two.ns.exec("ping -c 3 -i 0.05 -W 0.2 -I 10.9.0.88 10.9.0.1");
    let strange =
        capture.stop().into_iter().filter(|it| it.bytes.windows(4).any(|it| it == [10, 9, 0, 88]));
    assert_eq!(strange.count(), 0);
    assert!(dropped() >= 4, "{}", drops(one));
}

fn stations() {
    let pair = Pair::blue(Service::L2, Mode::Tc);
    let one = &pair.one;
    one.xgre("port del blue blue0").ok();
    one.xgre("tenant del blue").ok();
    let far = pair.two.ns.json("link show blue0")[0]["address"].as_str().expect("it").to_owned();
    one.xgre(&format!(
        "tenant add blue --key 10 --service l2 --tunnel t --allow-source 02:00:00:00:00:01 {far}"
    ))
    .ok();
    one.xgre("port add blue blue0 --create").ok();
    one.ns.ip("link set blue0 address 02:00:00:00:00:01");
    inner_addresses(&one.ns, "blue0", 1);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    let dropped = || count(&one.tenant_stats("blue"), "/drops/source");
    let before = dropped();
    one.ns.ip("link set blue0 address 02:00:00:00:00:09");
    Ping::to("10.9.0.2").times(3, 10).unanswered(&one.ns);
    assert!(dropped() > before);
}

/// A megabit is 125,000 bytes a second; a burst of 131,072 bytes and 50 ms come on top.
fn rate(mode: Mode) {
    let pair = Pair::blue(Service::L3, mode);
    let one = &pair.one;
    one.xgre("port del blue blue0").ok();
    one.xgre("tenant del blue").ok();
    one.xgre("tenant add blue --key 10 --tunnel t --rate 1mbit").ok();
    one.xgre("port add blue blue0 --create").ok();
    inner_addresses(&one.ns, "blue0", 1);
    Ping::to("10.9.0.2").all_answered(&one.ns);
    for (from, to, way) in [(&pair.one, "10.9.0.2", "tx"), (&pair.two, "10.9.0.1", "rx")] {
        let bytes = || count(&one.tenant_stats("blue"), &format!("/{way}/bytes"));
        let (before, start) = (bytes(), std::time::Instant::now());
        from.ns.run_in(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
            for _ in 0..400 {
                let _ = socket.send_to(&[7; 1400], (to, 9));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        let passed = bytes() - before;
        let most = 131_072 + 125 * (start.elapsed().as_millis() as u64 + 60) + 1_500;
        assert!((100_000..=most).contains(&passed), "{way}: {passed} of at most {most}");
        assert!(count(&one.tenant_stats("blue"), "/drops/rate_limit") > 50, "{}", drops(one));
    }
}

fn neighbours() {
    let pair = Pair::blue(Service::L2, Mode::Tc);
    let (one, two) = (&pair.one, &pair.two);
    let mac = two.ns.json("link show blue0")[0]["address"].as_str().expect("it").to_owned();
    for address in ["10.9.0.2", "fd09::2", "10.9.0.50", "fd09::50"] {
        one.xgre(&format!("neigh add blue {address} {mac}")).ok();
    }
    one.ns.ip("neigh flush dev blue0");
    let capture = Capture::start(&two.ns, "blue0");
    for address in ["10.9.0.2", "fd09::2"] {
        Ping::to(address).all_answered(&one.ns);
    }
    // Nobody has these.
    for address in ["10.9.0.50", "fd09::50"] {
        Ping::to(address).unanswered(&one.ns);
    }
    // Nobody says these.
    Ping::to("10.9.0.60").unanswered(&one.ns);
    let frames = capture.stop();
    let questions = |target: &[u8]| {
        let arrived = frames.iter().filter(|it| !it.outgoing);
        let asks = |bytes: &[u8]| match bytes.get(12..14) {
            Some([8, 6]) => bytes.get(20..22) == Some(&[0, 1]) && bytes.get(38..42) == Some(target),
            Some([0x86, 0xdd]) => bytes.get(54) == Some(&135) && bytes.get(62..78) == Some(target),
            _ => false,
        };
        arrived.filter(|it| asks(&it.bytes)).count()
    };
    let v6 = |last| [0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    for (target, heard) in [
        (&[10, 9, 0, 2][..], false),
        (&v6(2), false),
        (&[10, 9, 0, 50], false),
        (&v6(0x50), false),
        (&[10, 9, 0, 60], true),
    ] {
        assert_eq!(questions(target) > 0, heard, "{target:?}, {}", one.tenant_stats("blue"));
    }
    let stats = one.tenant_stats("blue");
    assert!(count(&stats, "/notices/answered") >= 4, "{stats}");
    let known = one.ns.ip("neigh show dev blue0");
    assert_eq!(known.matches(&mac).count(), 4, "{known}");
    one.xgre("neigh del blue 10.9.0.2").ok();
    let left = one.json("neigh list blue")["neighbours"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(3), "{left}");
}
