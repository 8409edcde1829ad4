//! A UDP packet and its echo, median of a run.

use anyhow::Result;

use super::{compare, of};
use crate::bench::{Bench, peers::Peer, rounds::Series, row::Row, traffic};

/// Measures.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let peers = [Peer::Veth, Peer::Vxlan, Peer::Xgre];
    let measured = compare(bench, &peers, |way| traffic::round_trip(way, bench.span()))?;
    let row = |(peer, series): &(Peer, Series)| {
        let mut row =
            Row::new("latency").with("way", peer.name()).measured("round_trip_us", series.median());
        if let Some(veth) = of(Peer::Veth, &measured) {
            row = row.measured("added_us", series.with(veth, |us, veth| us - veth).median());
        }
        row.with("runs", bench.args.runs).measured("cv", series.cv())
    };
    Ok(measured.iter().map(row).collect())
}
