//! Entering all tenants at once, through xgre's library: names, keys, records and bindings.

use anyhow::Result;

use crate::bench::{Bench, rounds::interleave, row::Row, tenants};

/// Measures every number of tenants.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.args.keys.iter().map(|&keys| measure(bench, keys)).collect()
}

fn measure(bench: &Bench<'_>, keys: u32) -> Result<Row> {
    bench.doing(format!("{keys} tenants"));
    // Every round has empty maps; three of them tell enough.
    let runs = bench.args.runs.min(3);
    let measured = interleave(&[()], runs, |()| {
        let (host, _wire, _daemon) = tenants::empty(keys);
        Ok(tenants::load(bench, &host, keys, None)?.as_secs_f64() * 1e3)
    })?;
    let ms = measured[0].median();
    Ok(Row::new("load")
        .with("keys", keys)
        .measured("ms", ms)
        .measured("tenants_per_second", f64::from(keys) / ms * 1e3)
        .with("runs", runs)
        .measured("cv", measured[0].cv()))
}
