//! xgre beside Open vSwitch: packets a second of the smallest UDP packets, and TCP.

use anyhow::Result;

use super::{compare, of};
use crate::bench::{Bench, peers::Peer, row::Row, traffic};

/// Measures.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let peers = [Peer::Veth, Peer::Vxlan, Peer::Xgre, Peer::OpenVswitch];
    let udp = compare(bench, &peers, |way| traffic::udp(way, bench.span()))?;
    let tcp = compare(bench, &peers[2..], |way| traffic::tcp(way, bench.span()))?;
    let mut rows = Vec::new();
    for (traffic, unit, measured) in [("udp", "mpps", &udp), ("tcp", "gbps", &tcp)] {
        for (peer, series) in measured {
            let mut row = Row::new("ovs").with("traffic", traffic).with("way", peer.name());
            row = row.measured(unit, series.median());
            if let Some(ovs) = of(Peer::OpenVswitch, measured) {
                row = row.measured("ratio", series.over(ovs).median());
            }
            rows.push(row.with("runs", bench.args.runs).measured("cv", series.cv()));
        }
    }
    Ok(rows)
}
