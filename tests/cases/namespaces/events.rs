//! `xgre events`: what happens.

use std::{thread, time::Duration};

use serde_json::Value;
use testbed::{
    packet::{ETHERNET, Gre, Udp},
    send_frame,
    suite::Case,
    topology::sensor,
};

use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    vec![Case::new("events: tunnels, stations, limits and uplinks", all_kinds)]
}

/// Longer than from one look to the next, also where xgre was built for debugging.
const LOOK: Duration = Duration::from_millis(1500);
const STATION: [u8; 6] = [2, 0, 0, 0, 0, 7];

fn all_kinds() {
    let (host, wire) = sensor();
    host.ns.sysctl("ipv6/conf/all/disable_ipv6", "1");
    let daemon = host.start("--iface eth0");
    for (name, remote) in [("to-b", "192.0.2.2"), ("to-c", "192.0.2.3")] {
        host.xgre(&format!("tunnel add {name} --local 192.0.2.1 --remote {remote}")).ok();
    }
    let options = "--key 10 --service l2 --rate 8bit --tunnel to-b to-c";
    host.xgre(&format!("tenant add blue {options}")).ok();
    host.xgre("port add blue blue0 --create").ok();
    let following = host.background("events --json --interval 0.1", "following");
    thread::sleep(LOOK);

    let inner = Udp::new("10.9.0.2", "10.9.0.1", b"payload").ethernet([4; 6], STATION);
    for remote in ["192.0.2.2", "192.0.2.3"] {
        let packet = Gre::new(remote, "192.0.2.1", ETHERNET, inner.clone()).key(10);
        let frame = packet.to_mac(host.ns.mac("eth0")).build();
        send_frame(&wire, "eth0", &frame);
        thread::sleep(LOOK);
    }
    // More than its rate allows at once.
    let large = Udp::new("10.9.0.2", "10.9.0.1", &[0; 1300]).ethernet([4; 6], STATION);
    let packet = Gre::new("192.0.2.3", "192.0.2.1", ETHERNET, large).key(10);
    let frame = packet.to_mac(host.ns.mac("eth0")).build();
    for _ in 0..150 {
        send_frame(&wire, "eth0", &frame);
    }
    thread::sleep(LOOK);
    host.xgre("fdb del blue 02:00:00:00:00:07").ok();
    host.ns.ip("route del 192.0.2.0/24");
    eventually("no way", || {
        host.json("tunnel list")["tunnels"][0]["next_hop"]["state"] == "no_route"
    });
    thread::sleep(LOOK);
    host.ns.ip("route add 192.0.2.0/24 dev eth0");
    thread::sleep(2 * LOOK);
    daemon.stop();
    thread::sleep(LOOK);
    let seen: Vec<_> = following.documents().iter().map(words).collect();

    let expected = [
        "station_learned blue 02:00:00:00:00:07 at=behind tunnel to-b",
        "station_moved blue 02:00:00:00:00:07 at=behind tunnel to-c from=behind tunnel to-b",
        "limit_hit blue rate_limit",
        "station_forgotten blue 02:00:00:00:00:07",
        "tunnel_down to-b no_route",
        "tunnel_down to-c no_route",
        "tunnel_up to-b",
        "tunnel_up to-c",
        "uplink_down eth0",
    ];
    let place = |event: &str| {
        let found = seen.iter().position(|it| it == event);
        found.unwrap_or_else(|| panic!("{event} is missing: {seen:#?}"))
    };
    // What is seen in one look is told kind by kind; on a slow machine looks are far apart.
    let places = expected.map(place);
    let [learned, moved, _, _, down, _, up, ..] = places;
    assert!(learned < moved && down < up, "{seen:#?}");
}

fn words(document: &Value) -> String {
    let plain = ["event", "uplink", "tunnel", "tenant", "station", "limit", "cause"];
    let mut words: Vec<_> =
        plain.iter().filter_map(|name| document[name].as_str().map(str::to_owned)).collect();
    let places = ["at", "from"].iter();
    words.extend(places.filter_map(|name| Some(format!("{name}={}", document[name].as_str()?))));
    words.join(" ")
}
