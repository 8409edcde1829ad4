//! What a packet costs from one end of a tunnel to the other: encapsulation at one host, decapsulation at the next,
//! beside the same way through the kernel's own tunnels and without any.

use anyhow::{Result, ensure};

use crate::{
    bench::{
        Bench,
        generator::{Frames, Generator},
        hops::{self, Hops, Way},
        rounds::{Series, interleave},
        row::Row,
    },
    say,
};

const WAYS: [Hops; 10] = [
    Hops::Route,
    Hops::Gre,
    Hops::XgreL3 { xdp: false },
    Hops::XgreL3 { xdp: true },
    Hops::Bridge,
    Hops::Gretap,
    Hops::Vxlan,
    Hops::OvsKernel,
    Hops::XgreL2 { xdp: false },
    Hops::XgreL2 { xdp: true },
];

/// Measures every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let hops = present(bench, &WAYS);
    let places: Vec<_> = hops.iter().map(|_| hops::Row::new()).collect();
    let ways = set_up(bench, &hops, &places);
    let mut generator = generator(bench, &ways)?;
    let mut rows = Vec::new();
    for &size in &bench.args.sizes {
        let mut lost = vec![0.0f64; ways.len()];
        let numbered: Vec<_> = ways.iter().enumerate().collect();
        let measured = interleave(&numbered, bench.args.runs, |&(number, way)| {
            bench.doing(format!("{size} bytes: {} {}", way.hops.service(), way.hops.name()));
            generator.send_from(&way.row.source)?;
            generator.set_size(size, way.station)?;
            let passage = generator.pass(bench.span())?;
            check_length(size, passage.bytes, passage.arrived)?;
            lost[number] = lost[number].max(passage.lost);
            Ok(passage.nanoseconds())
        })?;
        for ((way, time), lost) in ways.iter().zip(&measured).zip(lost) {
            let plain = ways.iter().position(|other| other.hops == way.hops.plain());
            let plain = &measured[plain.expect("a way that is always there")];
            rows.push(row(bench, &generator, way.hops, size, (time, plain), lost));
        }
    }
    Ok(rows)
}

/// Leaves out, aloud, what this machine has not.
pub fn present(bench: &Bench<'_>, ways: &[Hops]) -> Vec<Hops> {
    let is_there = |hops: &&Hops| match hops.missing() {
        Some(why) => {
            bench.progress.suspend(|| say::skipped(hops.name(), &why));
            false
        }
        None => true,
    };
    ways.iter().filter(is_there).copied().collect()
}

/// Sets up every way.
pub fn set_up<'r>(bench: &Bench<'_>, hops: &[Hops], rows: &'r [hops::Row]) -> Vec<Way<'r>> {
    let way = |(&hops, row): (&Hops, _)| {
        bench.doing(format!("set up {} {}", hops.service(), hops.name()));
        Way::new(hops, row)
    };
    hops.iter().zip(rows).map(way).collect()
}

/// A generator whose frames are counted at the end of every way.
pub fn generator<'r>(bench: &Bench<'_>, ways: &[Way<'r>]) -> Result<Generator<'r>> {
    let draws = bench.args.distribution.draw(1);
    let mut generator = Generator::load(bench, &ways[0].row.source, Frames::Plain, &draws)?;
    for way in ways {
        generator.count_at(&way.row.receiver)?;
    }
    Ok(generator)
}

/// What arrives is what was sent: no tunnel header is left, no byte is missing.
pub fn check_length(size: u16, bytes: u64, packets: u64) -> Result<()> {
    let expected = u64::from(size) - 4;
    ensure!(bytes == packets * expected, "{packets} packets of {expected} bytes, {bytes} in all?");
    Ok(())
}

fn row(
    bench: &Bench<'_>,
    generator: &Generator<'_>,
    hops: Hops,
    size: u16,
    (time, plain): (&Series, &Series),
    lost: f64,
) -> Row {
    let ratio = time.over(plain);
    Row::new("path")
        .with("service", hops.service())
        .with("way", hops.name())
        .with("generator", generator.name())
        .with("size", size)
        .measured("ns", time.median())
        .measured("mpps", 1e3 / time.median())
        .measured("added_ns", time.with(plain, |time, plain| time - plain).median())
        .measured("ratio", ratio.median())
        .measured("lost", lost)
        .with("runs", bench.args.runs)
        .measured("cv", time.cv())
}
