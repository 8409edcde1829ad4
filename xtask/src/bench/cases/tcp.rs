//! One TCP connection through the tunnel, TC at both ends.

use anyhow::Result;

use super::{compare, of};
use crate::bench::{Bench, peers::Peer, rounds::Series, row::Row, traffic};

/// Measures.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let peers = [Peer::Veth, Peer::Vxlan, Peer::Xgre];
    let measured = compare(bench, &peers, |way| traffic::tcp(way, bench.span()))?;
    let row = |(peer, series): &(Peer, Series)| {
        let mut row = Row::new("tcp").with("way", peer.name()).measured("gbps", series.median());
        for (baseline, name) in [(Peer::Veth, "ratio"), (Peer::Vxlan, "ratio_vxlan")] {
            if let Some(baseline) = of(baseline, &measured) {
                row = row.measured(name, series.over(baseline).median());
            }
        }
        row.with("runs", bench.args.runs).measured("cv", series.cv())
    };
    Ok(measured.iter().map(row).collect())
}
