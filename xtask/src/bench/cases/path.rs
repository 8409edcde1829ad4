//! What a packet costs from one end of a tunnel to the other: encapsulation at one host, decapsulation at the next,
//! beside the same way through the kernel's own tunnels and without any.

use anyhow::{Result, ensure};

use crate::{
    bench::{
        Bench,
        generator::{Frames, Generator, Pace, Passage},
        hops::{self, Hops, Way},
        rounds::{Series, interleave},
        row::Row,
    },
    say,
};

const WAYS: [Hops; 12] = [
    Hops::Route,
    Hops::Gre,
    Hops::Half { gre: false },
    Hops::Half { gre: true },
    Hops::XgreL3 { xdp: false },
    Hops::XgreL3 { xdp: true },
    Hops::Bridge,
    Hops::Gretap,
    Hops::Vxlan,
    Hops::OvsKernel,
    Hops::XgreL2 { xdp: false },
    Hops::XgreL2 { xdp: true },
];

/// From this part on, loss shows overload.
const LOSS: f64 = 0.01;

/// Measures every size.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let hops = present(bench, &WAYS);
    let lines: Vec<_> = hops.iter().map(|_| hops::Row::new()).collect();
    let ways = set_up(bench, &hops, &lines);
    let mut generator = generator(bench, &ways)?;
    let mut rows = Vec::new();
    for &size in &bench.args.sizes {
        let paces = paces(bench, &mut generator, &ways, size)?;
        let mut lost = vec![Series::default(); ways.len()];
        let numbered: Vec<_> = ways.iter().enumerate().collect();
        let measured = interleave(&numbered, bench.args.runs, |&(number, way)| {
            let passage = measure(bench, &mut generator, way, size, paces[number])?;
            lost[number].push(passage.lost);
            Ok(passage.nanoseconds())
        })?;
        let of = |hops| {
            let number = ways.iter().position(|way| way.hops == hops)?;
            Some(&measured[number])
        };
        for (number, way) in ways.iter().enumerate() {
            if matches!(way.hops, Hops::Half { .. }) {
                continue;
            }
            let plain = of(way.hops.plain()).expect("a way that is always there");
            let row = Row::new("path")
                .with("service", way.hops.service())
                .with("way", way.hops.name())
                .with("generator", generator.name())
                .with("pace", paces[number].name())
                .with("size", size);
            let row = with_figures(row, &measured[number], plain);
            rows.push(
                row.measured("lost", lost[number].median())
                    .with("runs", bench.args.runs)
                    .measured("cv", measured[number].cv()),
            );
        }
        if let Some(added) = kernel_decapsulation(of) {
            rows.push(
                Row::new("path")
                    .with("part", "decapsulation")
                    .with("way", "gre")
                    .with("size", size)
                    .measured("added_ns", added.median())
                    .with("runs", bench.args.runs)
                    .measured("cv", added.cv()),
            );
        }
    }
    Ok(rows)
}

/// What the kernel's decapsulation adds: the second half of a way with it, less the second half of one without.
fn kernel_decapsulation<'s>(of: impl Fn(Hops) -> Option<&'s Series>) -> Option<Series> {
    let second =
        |whole, gre| Some(of(whole)?.with(of(Hops::Half { gre })?, |whole, first| whole - first));
    let (with, without) = (second(Hops::Gre, true)?, second(Hops::Route, false)?);
    Some(with.with(&without, |with, without| with - without))
}

/// Leaves out, aloud, what this machine has not.
pub fn present(bench: &Bench<'_>, ways: &[Hops]) -> Vec<Hops> {
    let is_there = |hops: &&Hops| match hops.missing() {
        Some(why) => {
            // Said of the whole way already.
            if !matches!(hops, Hops::Half { .. }) {
                bench.progress.suspend(|| say::skipped(hops.name(), &why));
            }
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
        generator.count_at(way.end())?;
    }
    Ok(generator)
}

/// Sends frames of a size on a way. What arrives is what was sent: no tunnel header is left, no byte is missing.
pub fn measure<'r>(
    bench: &Bench<'_>,
    generator: &mut Generator<'r>,
    way: &Way<'r>,
    size: u16,
    pace: Pace,
) -> Result<Passage> {
    bench.doing(format!("{} {}, {size} bytes", way.hops.service(), way.hops.name()));
    generator.send_from(&way.row.source)?;
    generator.set_size(size, way.station)?;
    let mut passage = generator.pass(bench.span(), pace)?;
    if passage.lost > LOSS {
        // It may have been a moment in which somebody else had the processor.
        let again = generator.pass(bench.span(), pace)?;
        passage = if again.lost < passage.lost { again } else { passage };
    }
    let (packets, len) = (passage.arrived, u64::from(size) - 4 + way.growth());
    let bytes = passage.bytes;
    ensure!(bytes == packets * len, "{packets} packets of {len} bytes each are not {bytes} bytes");
    Ok(passage)
}

/// The pace at which most arrives, of each way: one that is overloaded may deliver less than it could.
pub fn paces<'r>(
    bench: &Bench<'_>,
    generator: &mut Generator<'r>,
    ways: &[Way<'r>],
    size: u16,
) -> Result<Vec<Pace>> {
    let best = |way| {
        let full = measure(bench, generator, way, size, Pace::Full)?;
        if full.lost < LOSS {
            return Ok(Pace::Full);
        }
        let window = measure(bench, generator, way, size, Pace::Window)?;
        Ok(if full.mpps() > window.mpps() { Pace::Full } else { Pace::Window })
    };
    ways.iter().map(best).collect()
}

fn with_figures(row: Row, time: &Series, plain: &Series) -> Row {
    row.measured("ns", time.median())
        .measured("mpps", 1e3 / time.median())
        .measured("added_ns", time.with(plain, |time, plain| time - plain).median())
        .measured("ratio", time.over(plain).median())
}
