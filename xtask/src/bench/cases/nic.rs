//! Decapsulation in XDP on a device of its own: `uplink_xdp` at the end of a cable.
//!
//! The same three programs as in `decap` take turns on the link. They are fed over the cable, so the driver's part of the
//! work is in the figures, and the sender may be the limit: then nothing is lost.

use std::thread;

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
use testbed::Daemon;

use crate::{
    bench::{
        Bench, batch,
        cable::Cable,
        generator::{Frames, Generator, Pace},
        rounds::{Series, interleave},
        row::Row,
        tenants,
    },
    say,
};

/// What the uplink does with a packet.
const WAYS: [&str; 3] = ["drop", "redirect", "xgre-xdp"];

/// Measures every number of tenants with every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    if bench.args.iface.is_empty() {
        let why = "name two devices that a cable joins: --iface SEND,RECEIVE";
        bench.progress.suspend(|| say::skipped("nic", why));
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for &keys in &bench.args.keys {
        bench.doing(format!("{keys} tenants: load"));
        let cable = Cable::take(&bench.args.iface)?;
        let mut end = End::new(bench, &cable, keys)?;
        for &size in &bench.args.sizes {
            rows.extend(end.measure(bench, keys, size)?);
        }
    }
    Ok(rows)
}

/// The host at the end of the cable.
struct End<'c> {
    cable: &'c Cable,
    generator: Generator<'c>,
    decapsulate: Xdp,
    daemon: Option<Daemon>,
}

impl<'c> End<'c> {
    fn new(bench: &Bench<'_>, cable: &'c Cable, keys: u32) -> Result<Self> {
        let (host, device) = (&cable.host, &cable.receive);
        host.ns.ip(&format!("addr add 192.0.2.1/24 dev {device}"));
        let daemon = host.start(&format!("--iface {device} --mode native --max-tenants {keys}"));
        host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
        host.ns.ip("tuntap add sink0 mode tap");
        host.ns.ip("link set sink0 up");
        let sink = host.ns.ifindex("sink0");
        tenants::load(bench, host, keys, Some(sink))?;

        let draws = bench.args.distribution.draw(keys);
        let wire = (&cable.sender, cable.send.as_str());
        let mut generator = Generator::load_on(bench, wire, Frames::Gre, &draws)?;
        generator.set_sink(&host.ns, sink)?;
        let devices = batch::open(&host.state().join("maps/PORT_DEVICES"))?;
        let mut devices = DevMapHash::try_from(Map::from_map_data(devices)?)?;
        let program = generator.sink()?;
        host.ns.run_in(|| devices.insert(sink, sink, Some(&program), 0))?;
        let pin = host.state().join("programs/uplink_xdp");
        let decapsulate = Xdp::from_pin(pin, XdpAttachType::Interface)?;
        Ok(Self { cable, generator, decapsulate, daemon: Some(daemon) })
    }

    fn measure(&mut self, bench: &Bench<'_>, keys: u32, size: u16) -> Result<Vec<Row>> {
        self.generator.set_size(size, self.cable.host.ns.mac(&self.cable.receive))?;
        let mut lost = vec![Series::default(); WAYS.len()];
        let numbered: Vec<_> = WAYS.into_iter().enumerate().collect();
        let measured = interleave(&numbered, bench.args.runs, |&(number, way)| {
            bench.doing(format!("{keys} tenants, {size} bytes: {way}"));
            self.attach(way)?;
            let passage = self.generator.pass(bench.span(), Pace::Full)?;
            lost[number].push(passage.lost);
            Ok(passage.nanoseconds())
        })?;
        let [drop, redirect, _] = &measured[..] else { unreachable!("three ways") };
        let rows = WAYS.iter().zip(&measured).zip(lost).map(|((way, time), lost)| {
            Row::new("nic")
                .with("way", *way)
                .with("generator", self.generator.name())
                .with("keys", keys)
                .with("distribution", format!("{:?}", bench.args.distribution).to_lowercase())
                .with("size", size)
                .measured("mpps", 1e3 / time.median())
                .measured("ratio", drop.over(time).median())
                .measured(
                    "added_ns",
                    time.with(redirect, |time, redirect| time - redirect).median(),
                )
                .measured("lost", lost.median())
                .with("runs", bench.args.runs)
                .measured("cv", time.cv())
        });
        Ok(rows.collect())
    }

    /// Puts a program on the uplink, in place of the one that is there.
    fn attach(&mut self, way: &str) -> Result<()> {
        let host = &self.cable.host;
        let uplink = host.ns.ifindex(&self.cable.receive);
        let pin = host.state().join(format!("links/uplink_xdp-{uplink}"));
        let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(&pin)?))?;
        let program = match way {
            "drop" => self.generator.program("count_drop")?,
            "redirect" => self.generator.program("redirect")?,
            _ => &mut self.decapsulate,
        };
        program.attach_to_link(link).context("cannot exchange the program of the uplink")?;
        Ok(())
    }
}

/// The device is to come back without a program.
impl Drop for End<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take()
            && !thread::panicking()
        {
            daemon.stop();
        }
    }
}
