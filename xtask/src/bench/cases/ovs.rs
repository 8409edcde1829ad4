//! xgre beside Open vSwitch's userspace datapath: the smallest packets from end to end, and TCP.

use anyhow::Result;

use super::{compare, of, path};
use crate::bench::{
    Bench,
    hops::{self, Hops},
    peers::Peer,
    rounds::{Series, interleave},
    row::Row,
    traffic,
};

const WAYS: [Hops; 4] =
    [Hops::Bridge, Hops::Vxlan, Hops::OvsUserspace, Hops::XgreL2 { xdp: false }];
/// Measures.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = packets(bench)?;
    let peers = [Peer::Veth, Peer::Xgre, Peer::OpenVswitch];
    let tcp = compare(bench, &peers, |way| traffic::tcp(way, bench.span()))?;
    for (peer, series) in &tcp {
        let mut row = Row::new("ovs").with("traffic", "tcp").with("way", peer.name());
        row = row.measured("gbps", series.median());
        if let Some(ovs) = of(Peer::OpenVswitch, &tcp) {
            row = row.measured("ratio", series.over(ovs).median());
        }
        rows.push(row.with("runs", bench.args.runs).measured("cv", series.cv()));
    }
    Ok(rows)
}

/// The smallest packets, of a source that no way can keep up with, at the pace that suits each way best.
fn packets(bench: &Bench<'_>) -> Result<Vec<Row>> {
    const SIZE: u16 = 64;
    let hops = path::present(bench, &WAYS);
    let lines: Vec<_> = hops.iter().map(|_| hops::Row::new()).collect();
    let ways = path::set_up(bench, &hops, &lines);
    let mut generator = path::generator(bench, &ways)?;
    let paces = path::paces(bench, &mut generator, &ways, SIZE)?;
    let mut lost = vec![Series::default(); ways.len()];
    let numbers: Vec<_> = (0..ways.len()).collect();
    let measured = interleave(&numbers, bench.args.runs, |&number| {
        let way = &ways[number];
        let passage = path::measure(bench, &mut generator, way, SIZE, paces[number])?;
        lost[number].push(passage.lost);
        Ok(passage.mpps())
    })?;
    let ovs = ways.iter().position(|way| way.hops == Hops::OvsUserspace);
    let row = |number: usize| {
        let series = &measured[number];
        let row = Row::new("ovs")
            .with("traffic", "udp")
            .with("way", ways[number].hops.name())
            .with("pace", paces[number].name())
            .measured("mpps", series.median())
            .measured("lost", lost[number].median());
        let row = match ovs {
            Some(ovs) => row.measured("ratio", series.over(&measured[ovs]).median()),
            None => row,
        };
        row.with("runs", bench.args.runs).measured("cv", series.cv())
    };
    Ok(numbers.into_iter().map(row).collect())
}
