//! How long `xgre tenant add` takes, from the start of the process to its end, where there are many tenants.

use std::time::Instant;

use anyhow::Result;

use crate::bench::{Bench, rounds::interleave, row::Row, tenants};

/// Tenants that are there.
const TENANTS: [u32; 2] = [1, 100_000];
/// Commands whose times make one figure.
const COMMANDS: u32 = 5;

/// Measures with one tenant and with many.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    TENANTS.into_iter().map(|count| measure(bench, count)).collect()
}

fn measure(bench: &Bench<'_>, count: u32) -> Result<Row> {
    bench.doing(format!("{count} tenants"));
    let (host, _wire, _daemon) = tenants::empty(count + bench.args.runs * COMMANDS + 1);
    tenants::load(bench, &host, count, None)?;
    let mut next = count;
    let measured = interleave(&[()], bench.args.runs, |()| {
        let begin = Instant::now();
        for _ in 0..COMMANDS {
            next += 1;
            host.xgre(&format!("tenant add new-{next} --key {next} --tunnel t")).ok();
        }
        Ok(begin.elapsed().as_secs_f64() * 1e3 / f64::from(COMMANDS))
    })?;
    Ok(Row::new("cli")
        .with("command", "tenant add")
        .with("tenants", count)
        .measured("ms", measured[0].median())
        .with("runs", bench.args.runs)
        .measured("cv", measured[0].cv()))
}
