//! Encapsulation. First in TC: `port_tc` on a veth device, fed with live frames that become socket buffers there, or by
//! pktgen.
//!
//! A program that only redirects takes turns with it on the same link. The uplink is a dummy device or, in kernels
//! without, a tap device that nobody reads: it counts what it should transmit and frees it.

use anyhow::{Context, Result};
use aya::programs::{
    SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcHandle},
};
use testbed::{Host, topology};

use super::encap::{self, Candidate};
use crate::bench::{
    Bench,
    generator::{Frames, Generator},
    row::Row,
};

/// Where xgre's filter stands.
const PRIORITY: u16 = 1;
/// See [`PRIORITY`].
const HANDLE: TcHandle = TcHandle::new(0, 0x4752);

/// Measures every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.doing("set up");
    let (host, wire) = topology::sensor();
    // Without GRO a veth device without XDP takes no redirected frames.
    host.ns.offload("eth0", "gro on");
    if !host.ns.exec("ip link add uplink0 type dummy").status.success() {
        host.ns.ip("tuntap add uplink0 mode tap");
    }
    let _daemon = encap::tenant_on_wire(&host, "tc");

    let draws = bench.args.distribution.draw(1);
    let mut generator = Generator::load(bench, &wire, Frames::Plain, &draws)?;
    let mut encapsulate = SchedClassifier::from_pin(host.state().join("programs/port_tc"))?;
    let uplink = host.ns.ifindex("uplink0");
    let put = |candidate, generator: &mut Generator<'_>| match candidate {
        Candidate::Redirect => attach(generator.redirect_tc(uplink)?, &host),
        Candidate::Encapsulate => attach(&mut encapsulate, &host),
    };
    encap::rows(bench, "port_tc", &host, &mut generator, put, |_| transmitted(&host))
}

/// Puts a program on the port, in place of the one that is there.
fn attach(program: &mut SchedClassifier, host: &Host) -> Result<()> {
    let port = host.ns.ifindex("eth0");
    let pin = host.state().join(format!("links/port_tc-{port}"));
    let link = match PinnedLink::from_pin(pin) {
        Ok(pinned) => FdLink::from(pinned).try_into()?,
        // Below Linux 6.6: the filter that xgre made.
        Err(_) => host.ns.run_in(|| {
            SchedClassifierLink::attached("eth0", TcAttachType::Ingress, PRIORITY, HANDLE, None)
        })?,
    };
    let attached = host.ns.run_in(|| {
        let id = program.attach_to_link(link)?;
        program.take_link(id)
    });
    // Dropping it would delete the filter; the pin holds the link.
    std::mem::forget(attached.context("cannot exchange the program of the port")?);
    Ok(())
}

/// Packets that the uplink was to transmit: a tap device without a reader discards them.
fn transmitted(host: &Host) -> Result<u64> {
    let link = host.ns.json("-statistics link show dev uplink0");
    let count =
        |what| link[0]["stats64"]["tx"][what].as_u64().context("no statistics of the uplink");
    Ok(count("packets")? + count("dropped")?)
}
