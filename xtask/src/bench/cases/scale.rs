//! A cloud's scale: many tunnels, tenants on several each, and stations of which someone said where they are.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testbed::{Host, topology};

use super::memory;
use crate::bench::{Bench, row::Row, tenants};

const TENANTS: u32 = 100_000;
const TUNNELS: u32 = 1_000;
/// Tunnels of a tenant.
const EACH: u32 = 10;
/// Stations of a tenant.
const STATIONS: u32 = 10;
/// Commands whose times make one figure.
const COMMANDS: u32 = 5;

/// Loads it once, and changes it.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (bindings, stations) = (TENANTS * EACH, TENANTS * STATIONS);
    let (host, _wire) = topology::sensor();
    let room = TENANTS + COMMANDS + 1;
    let _daemon = host.start(&format!(
        "--iface eth0 --mode native --max-tenants {room} --max-tunnels {TUNNELS} \
         --max-bindings {} --max-fdb {stations}",
        bindings + COMMANDS + 1
    ));
    bench.doing("loading");
    let arguments = format!("cloud {TENANTS} {TUNNELS} {EACH} {STATIONS}");
    let times = tenants::tool(bench, &host, &arguments)?;
    let times: Vec<f64> = times.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [of_tunnels, of_tenants, of_stations] = times[..] else {
        anyhow::bail!("no three times: {times:?}")
    };
    let row = |what: &'static str| Row::new("scale").with("what", what);
    let loaded = |what, count: u32, seconds: f64| {
        row(what).with("count", count).measured("ms", seconds * 1e3)
    };
    let mut rows = vec![
        loaded("tunnels loaded", TUNNELS, of_tunnels),
        loaded("bindings loaded", bindings, of_tenants),
        loaded("stations loaded", stations, of_stations),
    ];

    bench.doing("tenant add");
    let begin = Instant::now();
    for number in 1..=COMMANDS {
        let key = TENANTS + number;
        host.xgre(&format!("tenant add new-{number} --key {key} --tunnel tunnel-0")).ok();
    }
    rows.push(row("tenant add").measured("ms", milliseconds(begin) / f64::from(COMMANDS)));
    rows.extend(applied(bench, &host)?);
    rows.extend(memory(&host)?);
    Ok(rows)
}

/// A file of all of it: exported, applied where it changes nothing, and where it changes a tenant and a tunnel.
fn applied(bench: &Bench<'_>, host: &Host) -> Result<Vec<Row>> {
    bench.doing("export");
    let begin = Instant::now();
    let text = host.xgre("export").ok();
    let row = |what: &'static str, begin| {
        Row::new("scale").with("what", what).measured("ms", milliseconds(begin))
    };
    let mut rows = vec![row("export", begin)];
    let changed = text.replace("key = 7\n", "key = 3000000\n");
    let changed = changed.replacen("\n\n[[tunnel]]", "\nttl = 9\nmtu = 1300\n\n[[tunnel]]", 1);
    ensure!(changed != text, "nothing to change in what was exported");
    for (what, text) in [("apply, nothing to change", &text), ("apply, two changes", &changed)] {
        bench.doing(what);
        let path = host.file("scale.toml", text);
        let begin = Instant::now();
        host.xgre(&format!("apply {}", path.display())).ok();
        rows.push(row(what, begin));
    }
    Ok(rows)
}

/// Kernel memory of the maps that hold each thing.
fn memory(host: &Host) -> Result<Vec<Row>> {
    let sizes = memory::sizes(host)?;
    let of = |maps: &[&str]| -> Result<u64> {
        let size = |map: &&str| sizes.iter().find(|(name, _)| name == map).map(|(_, size)| size);
        maps.iter().map(|map| size(map).context("no such map")).sum()
    };
    let total: u64 = sizes.iter().map(|(_, size)| size).sum();
    let row = |what: &'static str, count: u32, bytes: u64| {
        Row::new("scale")
            .with("what", what)
            .with("count", count)
            .with("bytes_each", bytes / u64::from(count))
            .measured("mib", bytes as f64 / f64::from(1 << 20))
    };
    let [bindings, stations, tunnels] = [
        of(&["BINDINGS", "LOCAL_KEYS", "MEMBERS"])?,
        of(&["FDB"])?,
        of(&["TUNNELS", "TUNNEL_NAMES", "ENDS6"])?,
    ];
    Ok(vec![
        row("memory of bindings", TENANTS * EACH, bindings),
        row("memory of stations", TENANTS * STATIONS, stations),
        row("memory of tunnels", TUNNELS, tunnels),
        row("memory of tenants", TENANTS, total - bindings - stations - tunnels),
    ])
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
