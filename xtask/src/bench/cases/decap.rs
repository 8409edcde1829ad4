//! Decapsulation in XDP: `uplink_xdp` on a veth device, fed with live frames, delivering by redirect.
//!
//! Three programs take turns on the same link: one that counts and drops, one that redirects and does nothing
//! else, and `uplink_xdp`. The port is a tap device; where it would transmit, a program counts and
//! discards. So a delivered packet bears the cost of a redirect, and none of a second device.

use anyhow::{Context, Result, ensure};
use aya::{
    maps::{Map, xdp::DevMapHash},
    programs::{
        Xdp,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use aya_obj::programs::XdpAttachType;
use testbed::{Daemon, Host, Netns};

use crate::bench::{
    Bench, batch,
    generator::{Frames, Generator},
    rounds::{Series, interleave},
    row::Row,
    tenants,
};

/// What the uplink does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    Drop,
    Redirect,
    Decapsulate,
}

/// Measures every number of tenants with every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &keys in &bench.args.keys {
        bench.doing(format!("{keys} tenants: load"));
        let place = Place::new(bench, keys)?;
        let mut uplink = Uplink::new(bench, &place, keys)?;
        for &size in &bench.args.sizes {
            bench.doing(format!("{keys} tenants, {size} bytes"));
            rows.push(uplink.measure(bench, keys, size)?);
        }
        uplink.check_counters(bench)?;
    }
    Ok(rows)
}

/// A host with xgre, tenants and a port; frames come from the wire.
struct Place {
    host: Host,
    wire: Netns,
    sink: u32,
    _daemon: Daemon,
}

impl Place {
    fn new(bench: &Bench<'_>, keys: u32) -> Result<Self> {
        let (host, wire, daemon) = tenants::empty(keys);
        host.ns.ip("tuntap add sink0 mode tap");
        host.ns.ip("link set sink0 up");
        let sink = host.ns.ifindex("sink0");
        tenants::load(bench, &host, keys, Some(sink))?;
        Ok(Self { host, wire, sink, _daemon: daemon })
    }
}

/// The uplink, whose program can be exchanged.
struct Uplink<'p> {
    place: &'p Place,
    generator: Generator<'p>,
    decapsulate: Xdp,
    /// Packets and bytes that xgre must have counted.
    delivered: [u64; 2],
}

impl<'p> Uplink<'p> {
    fn new(bench: &Bench<'_>, place: &'p Place, keys: u32) -> Result<Self> {
        let draws = bench.args.distribution.draw(keys);
        let mut generator = Generator::load(bench, &place.wire, Frames::Gre, &draws)?;
        generator.set_sink(&place.host.ns, place.sink)?;
        let devices = batch::open(&place.host.state().join("maps/PORT_DEVICES"))?;
        let mut devices = DevMapHash::try_from(Map::from_map_data(devices)?)?;
        let (port, sink) = (place.sink, generator.sink()?);
        place.host.ns.run_in(|| devices.insert(port, port, Some(&sink), 0))?;
        let pin = place.host.state().join("programs/uplink_xdp");
        let decapsulate = Xdp::from_pin(pin, XdpAttachType::Interface)?;
        Ok(Self { place, generator, decapsulate, delivered: [0; 2] })
    }

    fn measure(&mut self, bench: &Bench<'_>, keys: u32, size: u16) -> Result<Row> {
        const CANDIDATES: [Candidate; 3] =
            [Candidate::Drop, Candidate::Redirect, Candidate::Decapsulate];
        self.generator.set_size(size, self.place.host.ns.mac("eth0"))?;
        let measured = interleave(&CANDIDATES, bench.args.runs, |&candidate| {
            self.attach(candidate)?;
            let before = self.generator.arrived()?;
            let rate = self.generator.rate(bench.span(), |generator| Ok(generator.arrived()?[0]));
            if candidate == Candidate::Decapsulate {
                let after = self.generator.arrived()?;
                for (sum, (after, before)) in
                    self.delivered.iter_mut().zip(after.into_iter().zip(before))
                {
                    *sum += after - before;
                }
            }
            rate
        })?;
        let [drop, redirect, decap] =
            <[Series; 3]>::try_from(measured).expect("as many as candidates");
        let ratio = decap.over(&drop);
        // What decapsulation adds to a redirect, put on top of the drop.
        let nanoseconds = |mpps: f64| 1e3 / mpps;
        let added =
            decap.with(&redirect, |decap, redirect| nanoseconds(decap) - nanoseconds(redirect));
        let ratio_added =
            drop.with(&added, |drop, added| nanoseconds(drop) / (nanoseconds(drop) + added));
        Ok(Row::new("decap")
            .with("keys", keys)
            .with("distribution", format!("{:?}", bench.args.distribution).to_lowercase())
            .with("size", size)
            .measured("mpps", decap.median())
            .measured("baseline_mpps", drop.median())
            .measured("ratio", ratio.median())
            .measured("redirect_mpps", redirect.median())
            .measured("ratio_redirect", decap.over(&redirect).median())
            .measured("added_ns", added.median())
            .measured("ratio_added", ratio_added.median())
            .with("runs", bench.args.runs)
            .measured("cv", ratio.cv()))
    }

    /// Puts a program on the uplink, in place of the one that is there.
    fn attach(&mut self, candidate: Candidate) -> Result<()> {
        let eth0 = self.place.host.ns.ifindex("eth0");
        let pin = self.place.host.state().join(format!("links/uplink_xdp-{eth0}"));
        let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(&pin)?))?;
        let program = match candidate {
            Candidate::Drop => self.generator.program("count_drop")?,
            Candidate::Redirect => self.generator.program("redirect")?,
            Candidate::Decapsulate => &mut self.decapsulate,
        };
        program.attach_to_link(link).context("cannot exchange the program of the uplink")?;
        Ok(())
    }

    /// xgre counted every packet that it delivered, and no other.
    fn check_counters(&self, bench: &Bench<'_>) -> Result<()> {
        let [packets, bytes] = tenants::received(bench, &self.place.host)?;
        let [delivered, frame_bytes] = self.delivered;
        let delivered_bytes = frame_bytes - delivered * 14;
        ensure!(
            (packets, bytes) == (delivered, delivered_bytes),
            "xgre counted {packets} packets, {bytes} bytes; {delivered}, {delivered_bytes} arrived"
        );
        Ok(())
    }
}
