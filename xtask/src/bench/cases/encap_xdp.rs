//! Encapsulation in XDP: `port_xdp` on a veth device, fed with live frames, sending by redirect.
//!
//! A program that only redirects takes turns with it on the same link. The uplink is a tap device; where it would
//! transmit, a program counts and discards. One device feeds one tenant: what more tenants cost is not in these figures.

use anyhow::{Context, Result};
use aya::{
    maps::{Map, xdp::DevMapHash},
    programs::{
        Xdp,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use aya_obj::programs::XdpAttachType;
use testbed::{Host, topology};

use super::encap::{self, Candidate};
use crate::bench::{
    Bench, batch,
    generator::{Frames, Generator},
    row::Row,
};

/// Measures every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.doing("set up");
    let (host, wire) = topology::sensor();
    host.ns.ip("tuntap add uplink0 mode tap");
    let _daemon = encap::tenant_on_wire(&host, "native");

    let draws = bench.args.distribution.draw(1);
    let mut generator = Generator::load_live(bench, &wire, Frames::Plain, &draws)?;
    let uplink = host.ns.ifindex("uplink0");
    generator.set_sink(&host.ns, uplink)?;
    let devices = Map::from_map_data(batch::open(&host.state().join("maps/UPLINK_DEVICES"))?)?;
    let mut devices = DevMapHash::try_from(devices)?;
    let sink = generator.sink()?;
    host.ns.run_in(|| devices.insert(uplink, uplink, Some(&sink), 0))?;
    let pin = host.state().join("programs/port_xdp");
    let mut encapsulate = Xdp::from_pin(pin, XdpAttachType::Interface)?;
    let put = |candidate, generator: &mut Generator<'_>| match candidate {
        Candidate::Redirect => attach(generator.program("redirect")?, &host),
        Candidate::Encapsulate => attach(&mut encapsulate, &host),
    };
    let sent = |generator: &Generator<'_>| Ok(generator.arrived()?[0]);
    encap::rows(bench, "port_xdp", &host, &mut generator, put, sent)
}

/// Puts a program on the port, in place of the one that is there.
fn attach(program: &mut Xdp, host: &Host) -> Result<()> {
    let pin = host.state().join(format!("links/port_xdp-{}", host.ns.ifindex("eth0")));
    let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(pin)?))?;
    program.attach_to_link(link).context("cannot exchange the program of the port")?;
    Ok(())
}
