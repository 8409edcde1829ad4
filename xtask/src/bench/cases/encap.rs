//! What encapsulation in TC and in XDP are measured with: a tenant on a wire, and beside it a program that only
//! redirects.

use anyhow::{Result, ensure};
use testbed::{Daemon, Host, packet::PEER_MAC};

use crate::bench::{
    Bench,
    generator::Generator,
    rounds::{Series, interleave},
    row::Row,
};

/// What the port does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Redirects it and does nothing else.
    Redirect,
    /// What xgre does.
    Encapsulate,
}

impl Candidate {
    /// In the order of [`row`].
    const BOTH: [Self; 2] = [Self::Redirect, Self::Encapsulate];
}

/// Makes the host's end of the wire the port of a tenant; its tunnel leaves by `uplink0`.
pub fn tenant_on_wire(host: &Host, mode: &str) -> Daemon {
    host.ns.ip("link set uplink0 up");
    host.ns.ip("addr flush dev eth0");
    host.ns.ip("addr add 192.0.2.1/24 dev uplink0");
    host.ns.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:ee dev uplink0");
    let daemon = host.start("--iface uplink0 --mode tc");
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    host.xgre("tenant add blue --key 10 --tunnel t").ok();
    let station = PEER_MAC.map(|byte| format!("{byte:02x}")).join(":");
    host.xgre(&format!("port add blue eth0 --mac {station} --mode {mode}")).ok();
    daemon
}

/// Measures every size at a hook: `put` attaches what a candidate is, `sent` counts the packets that it has let through.
pub fn rows(
    bench: &Bench<'_>,
    hook: &'static str,
    host: &Host,
    generator: &mut Generator<'_>,
    mut put: impl FnMut(Candidate, &mut Generator<'_>) -> Result<()>,
    sent: impl Fn(&Generator<'_>) -> Result<u64>,
) -> Result<Vec<Row>> {
    let mut encapsulated = 0;
    let mut rows = Vec::new();
    for &size in &bench.args.sizes {
        bench.doing(format!("{size} bytes"));
        generator.set_size(size, host.ns.mac("eth0"))?;
        let measured = interleave(&Candidate::BOTH, bench.args.runs, |&candidate| {
            put(candidate, generator)?;
            let before = sent(generator)?;
            let rate = generator.rate(bench.span(), |generator| sent(generator));
            if candidate == Candidate::Encapsulate {
                encapsulated += sent(generator)? - before;
            }
            rate
        })?;
        let [redirect, encap] = <[Series; 2]>::try_from(measured).expect("as many as candidates");
        rows.push(row(bench, hook, generator, size, &redirect, &encap));
    }
    check_counters(host, encapsulated)?;
    Ok(rows)
}

/// One size.
fn row(
    bench: &Bench<'_>,
    hook: &'static str,
    generator: &Generator<'_>,
    size: u16,
    redirect: &Series,
    encap: &Series,
) -> Row {
    let added = encap.with(redirect, |encap, redirect| 1e3 / encap - 1e3 / redirect);
    let ratio = encap.over(redirect);
    Row::new("encap")
        .with("hook", hook)
        .with("generator", generator.name())
        .with("keys", 1)
        .with("size", size)
        .measured("mpps", encap.median())
        .measured("baseline_mpps", redirect.median())
        .measured("ratio", ratio.median())
        .measured("added_ns", added.median())
        .with("runs", bench.args.runs)
        .measured("cv", ratio.cv())
}

/// xgre counted every packet that it encapsulated, and no other.
fn check_counters(host: &Host, encapsulated: u64) -> Result<()> {
    let counted = host.tenant_stats("blue")["tx"]["packets"].as_u64();
    ensure!(counted == Some(encapsulated), "xgre counted {counted:?}, {encapsulated} were sent");
    Ok(())
}
