//! Kernel memory of xgre's maps, as the kernel accounts for it (`memlock` in fdinfo).

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use anyhow::{Context, Result};
use aya::maps::MapData;
use testbed::Host;

use crate::bench::{Bench, batch, row::Row, tenants};

/// Measures every number of tenants.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.args.keys.iter().map(|&keys| measure(bench, keys)).collect()
}

fn measure(bench: &Bench<'_>, keys: u32) -> Result<Row> {
    bench.doing(format!("{keys} tenants"));
    let (host, _wire, _daemon) = tenants::empty(keys);
    tenants::load(bench, &host, keys, None)?;
    let mut maps = sizes(&host)?;
    maps.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let total: u64 = maps.iter().map(|(_, bytes)| bytes).sum();
    let largest: Vec<_> = maps
        .iter()
        .take(3)
        .map(|(name, bytes)| format!("{name} {}", bytes / u64::from(keys)))
        .collect();
    Ok(Row::new("memory")
        .with("keys", keys)
        .measured("mib", total as f64 / f64::from(1 << 20))
        .with("bytes_per_tenant", total / u64::from(keys))
        .with("largest", largest.join(", ")))
}

/// The maps, and the memory of each in bytes.
pub fn sizes(host: &Host) -> Result<Vec<(String, u64)>> {
    let maps = fs::read_dir(host.state().join("maps"))?;
    maps.map(|entry| {
        let entry = entry?;
        let size = memlock(&batch::open(&entry.path())?)?;
        Ok((entry.file_name().to_string_lossy().into_owned(), size))
    })
    .collect()
}

fn memlock(map: &MapData) -> Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd()))?;
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.context("no memlock in fdinfo")?.trim().parse().context("memlock is no number")
}
