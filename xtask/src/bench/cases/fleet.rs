//! A fleet: hosts that follow a real etcd with three members by the real code, all in one process and without a datapath.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};
use testbed::Etcd;

use crate::bench::{Bench, row::Row};

/// Tenants for each host.
const TENANTS: u32 = 100;
/// Ports of a host, each of another tenant.
const PORTS: u32 = 50;
/// Ports that move one after the other.
const MOVES: u32 = 50;
/// Members of etcd.
const MEMBERS: usize = 3;
/// What is measured, in the order of the table.
const MEASURED: &[&str] = &[
    "load_s",
    "start_s",
    "move_ms",
    "slowest_ms",
    "moves",
    "written_s",
    "converged_s",
    "watches",
    "start_kib",
    "moves_kib",
    "rest_bytes_per_s",
    "host_kib",
    "store_mib",
    "sessions_lost",
];

/// Measures every number of hosts.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.args.hosts.iter().map(|&hosts| measure(bench, hosts)).collect()
}

fn measure(bench: &Bench<'_>, hosts: u32) -> Result<Row> {
    let etcd = Etcd::start(MEMBERS);
    let tenants = hosts * TENANTS;
    let mut command = Command::new(bench.workspace.example("hosts"));
    command.args(["--fleet", &etcd.endpoints()]);
    for (option, value) in
        [("--hosts", hosts), ("--tenants", tenants), ("--ports", PORTS), ("--moves", MOVES)]
    {
        command.args([option, &value.to_string()]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = testbed::die_with_parent(etcd.router().enter(&mut command)).spawn()?;
    let told = BufReader::new(child.stderr.take().context("no standard error")?);
    let mut last = String::new();
    for line in told.lines() {
        last = line?;
        bench.doing(format!("{hosts} hosts: {last}"));
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{hosts} hosts: {last}");
    let measured: Map<String, Value> = serde_json::from_slice(&output.stdout)?;
    let row = Row::new("fleet").with("hosts", hosts).with("tenants", tenants);
    MEASURED.iter().try_fold(row, |row, &name| {
        let value = measured.get(name).with_context(|| format!("no {name}"))?;
        Ok(match value.as_f64() {
            Some(number) if value.is_f64() => row.measured(name, number),
            _ => row.with(name, value.clone()),
        })
    })
}
