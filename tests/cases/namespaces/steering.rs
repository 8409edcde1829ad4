//! `run --steer inner`: the flows inside a tunnel go to several CPUs.

use std::thread;

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use serde_json::Value;
use testbed::{
    Host, Ping,
    capture::send_frames,
    packet::{Gre, IPV4, Udp},
    suite::Case,
    topology, traffic,
};

use crate::setup::{
    Pair, Service, add_tenant, any_port, count, drops, eventually, inner_addresses, tunnel,
};

const MIB: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for service in Service::ALL {
        let name = format!("traffic is steered by inner flows, {service}");
        cases.push(Case::new(name, move || crosses(service)));
    }
    cases.push(Case::new("inner flows go to different CPUs, and every packet is counted", spreads));
    cases.push(Case::new("steering needs XDP in the driver", needs_native));
    cases
}

fn crosses(service: Service) {
    let (one, two) = testbed::two_hosts();
    let daemons = [&one, &two].map(|host| host.start("--iface eth0 --mode native --steer inner"));
    let pair = Pair { one, two, daemons };
    for (host, local, remote, end) in
        [(&pair.one, "192.0.2.1", "192.0.2.2", 1), (&pair.two, "192.0.2.2", "192.0.2.1", 2)]
    {
        tunnel(host, local, remote);
        add_tenant(host, "blue", &format!("--key 10 --service {service}"));
        inner_addresses(&host.ns, "blue0", end);
        // On the way to another CPU a frame loses the mark of a checksum that its sender left partial. None that came
        // from a wire has it.
        host.ns.offload("blue0", "tx off");
    }
    let before = drops(&pair.two);
    for second in ["10.9.0.2", "fd09::2"] {
        Ping::to(second).all_answered(&pair.one.ns);
        for _ in 0..4 {
            traffic::tcp(&pair.one.ns, (&pair.two.ns, any_port(second)), 2 * MIB);
        }
    }
    assert_eq!(drops(&pair.two), before);
}

/// What a hook of the uplink says; it is not listed before it has anything to say.
fn hook(host: &Host, name: &str) -> Value {
    let hooks = host.uplink_stats("eth0")["hooks"].as_array().expect("hooks").clone();
    hooks.into_iter().find(|hook| hook["hook"] == name).unwrap_or_default()
}

fn spreads() {
    const FLOWS: u16 = 32;
    const TIMES: u64 = 5;
    let cpus = thread::available_parallelism().expect("a number of CPUs").get();
    assert!(cpus > 1, "one CPU has nobody to share with");
    let (host, wire) = topology::sensor();
    let _daemon = host.start("--iface eth0 --mode native --steer inner");
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    add_tenant(&host, "blue", "--key 10");
    let frames: Vec<_> = (0..FLOWS)
        .map(|flow| {
            let inner = Udp::new(&format!("10.9.1.{flow}"), "10.9.0.1", b"payload").ip();
            let packet = Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner).key(10);
            packet.to_mac(host.ns.mac("eth0")).build()
        })
        .collect();
    // All arrive on one CPU: the wire delivers where its sender runs.
    on_one_cpu(|| {
        for _ in 0..TIMES {
            send_frames(&wire, "eth0", frames.iter().map(Vec::as_slice));
        }
    });
    let sent = TIMES * u64::from(FLOWS);
    let received = || count(&host.tenant_stats("blue"), "/rx/packets");
    eventually("every packet received", || received() >= sent);
    assert_eq!(received(), sent);
    // A port that XDP cannot redirect to gets what was steered from TC, on the CPU it was steered to.
    let elsewhere = count(&hook(&host, "uplink_cpu"), "/passed/left_to_tc");
    assert!(elsewhere > 0 && elsewhere < sent, "{elsewhere} of {sent} on another CPU");
    assert_eq!(elsewhere % TIMES, 0, "a flow stays on its CPU");
    assert_eq!(count(&hook(&host, "uplink_xdp"), "/passed/left_to_tc"), 0);
}

/// Runs on one CPU, with all threads that are started meanwhile.
fn on_one_cpu(work: impl FnOnce() + Send) {
    const THIS_THREAD: Pid = Pid::from_raw(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let allowed = sched_getaffinity(THIS_THREAD).expect("the CPUs of this thread");
            let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true));
            let mut one = CpuSet::new();
            one.set(first.expect("a CPU")).expect("room in the set");
            sched_setaffinity(THIS_THREAD, &one).expect("to stay on one CPU");
            work();
        });
    });
}

fn needs_native() {
    let (host, _wire) = topology::sensor();
    for mode in ["generic", "tc"] {
        let refused = host.xgre(&format!("run --iface eth0 --mode {mode} --steer inner")).err();
        assert!(refused.contains("--mode native"), "{refused}");
    }
    assert!(!host.state().exists());
}
