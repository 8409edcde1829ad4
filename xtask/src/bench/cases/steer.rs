//! What `run --steer inner` gains: the many flows of one tunnel, all of which arrive on one CPU, each packet up to a
//! socket of the tenant.
//!
//! The CPU on which they arrive makes them too, and keeps its share of the rest. Counted is what the tenant's IP stack
//! received.

use std::{fs, net::UdpSocket};

use anyhow::{Context, Result};
use testbed::{Daemon, Host, topology};

use crate::bench::{
    Bench,
    generator::{Frames, Generator},
    rounds::{Series, interleave},
    row::Row,
};

/// Where the generator's datagrams go.
const PORT: u16 = 5001;

/// Measures every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.doing("set up");
    let (host, wire) = topology::sensor();
    let mut daemon = Some(start(&host, ""));
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    host.xgre("tenant add blue --key 1 --tunnel t").ok();
    host.xgre("port add blue blue0 --create").ok();
    host.ns.ip("addr add 10.9.0.1/16 dev blue0");
    host.ns.ip("route add local 10.8.0.0/16 dev lo");
    let _socket = host.ns.run_in(|| UdpSocket::bind(("0.0.0.0", PORT)))?;

    // This thread stays on one of them.
    let cpus = std::thread::available_parallelism()?.get();
    let draws = bench.args.distribution.draw(1);
    let mut generator = Generator::load(bench, &wire, Frames::Gre, &draws)?;
    let mut rows = Vec::new();
    for &size in &bench.args.sizes {
        bench.doing(format!("{size} bytes"));
        generator.set_size(size, host.ns.mac("eth0"))?;
        let measured = interleave(&["", "--steer inner"], bench.args.runs, |options| {
            // Programs stay attached; the next daemon exchanges them.
            if let Some(daemon) = daemon.take() {
                daemon.kill();
            }
            daemon = Some(start(&host, options));
            generator.rate(bench.span(), |_| received(&host))
        })?;
        let [off, on] = <[Series; 2]>::try_from(measured).expect("as many as candidates");
        let ratio = on.over(&off);
        rows.push(
            Row::new("steer")
                .with("cpus", cpus)
                .with("size", size)
                .measured("mpps", on.median())
                .measured("baseline_mpps", off.median())
                .measured("ratio", ratio.median())
                .with("runs", bench.args.runs)
                .measured("cv", ratio.cv()),
        );
    }
    Ok(rows)
}

fn start(host: &Host, options: &str) -> Daemon {
    host.start(&format!("--iface eth0 --mode native {options}"))
}

/// Packets that the IP stack of a host has received.
fn received(host: &Host) -> Result<u64> {
    let text = host.ns.run_in(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = lines.next().zip(lines.next()).context("no counters of IP")?;
    let mut counters = names.split(' ').zip(values.split(' '));
    let (_, received) = counters.find(|(name, _)| *name == "InReceives").context("no count")?;
    Ok(received.parse()?)
}
