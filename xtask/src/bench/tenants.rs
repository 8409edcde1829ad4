//! A host with many tenants.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use testbed::{Daemon, Host, Netns, topology};

use super::Bench;

/// Local and remote address of the tunnel that the tenants use.
pub const LOCAL: [u8; 4] = [192, 0, 2, 1];
/// See [`LOCAL`].
pub const REMOTE: [u8; 4] = [192, 0, 2, 2];

/// A host with room for tenants, a tunnel, and none yet.
pub fn empty(room: u32) -> (Host, Netns, Daemon) {
    let (host, wire) = topology::sensor();
    let daemon = host.start(&format!("--iface eth0 --mode native --max-tenants {room}"));
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    (host, wire, daemon)
}

/// The key of a tenant.
pub fn key(tenant: u32) -> u32 {
    tenant + 1
}

/// Enters `count` l3 tenants on the tunnel, through xgre's library; the time it took. With the index of an
/// interface, packets of all of them are redirected there: one port for all keeps the device's part of the
/// work the same whatever their number.
pub fn load(bench: &Bench<'_>, host: &Host, count: u32, sink: Option<u32>) -> Result<Duration> {
    let sink = sink.map_or_else(String::new, |index| index.to_string());
    let seconds = tool(bench, host, &format!("add {count} t {sink}"))?;
    Ok(Duration::from_secs_f64(seconds.trim().parse()?))
}

/// Packets and inner bytes received, over all tenants.
pub fn received(bench: &Bench<'_>, host: &Host) -> Result<[u64; 2]> {
    let sums = tool(bench, host, "received")?;
    let (packets, bytes) = sums.trim().split_once(' ').context("no two sums")?;
    Ok([packets.parse()?, bytes.parse()?])
}

/// Runs the example `tenants` of gre-user.
pub fn tool(bench: &Bench<'_>, host: &Host, arguments: &str) -> Result<String> {
    let mut command = Command::new(bench.workspace.example("tenants"));
    command.args(arguments.split_whitespace()).env("XGRE_STATE", host.state());
    let output = host.ns.enter(&mut command).output()?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tenants {arguments}: {problem}");
    Ok(String::from_utf8(output.stdout)?)
}
