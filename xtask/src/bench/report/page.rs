//! The page that shows a run.

use std::fmt::Write as _;

use super::{cases, table};
use crate::bench::row::Row;

/// What to know about the figures of a case.
const NOTES: &[(&str, &str)] = &[
    (
        "decap",
        "`uplink_xdp` with every check and exact counters of each tenant, fed with live XDP frames over veth; \
         one core makes, receives and discards them. `baseline_mpps`: a program that counts and drops, on the same \
         link. `redirect_mpps`: one that only redirects. `uplink_xdp` delivers by redirect; where the port's \
         device would transmit, a program counts and discards, so a delivered packet bears the cost of a redirect. \
         `added_ns` is what decapsulation adds to a redirect, `ratio_added` puts that on top of count and drop. \
         After the run, the counters of all tenants are summed up and must equal what arrived.",
    ),
    (
        "encap",
        "`port_tc` fed with live XDP frames over veth, which become socket buffers there; the baseline is a program that \
         only redirects, on the same link. The uplink is a device that counts and frees. Encapsulation in XDP (P2) is not there yet.",
    ),
    ("tcp", "One connection between two namespaces. xgre in TC at both ends, an l3 tenant."),
    (
        "latency",
        "A UDP packet of 64 bytes and its echo; the median of a round, then of all rounds.",
    ),
    (
        "ovs",
        "Open vSwitch runs its userspace datapath on AF_PACKET sockets, without DPDK and without its kernel module: \
         that is what it has on a host without either, and unfair to what it can do with them.",
    ),
    (
        "load",
        "Records, names, keys and bindings of all tenants by batch calls into empty maps. The programs are attached.",
    ),
    ("cli", "From the start of the process to its end."),
    (
        "memory",
        "What the kernel accounts to xgre's maps, per-CPU copies included. `largest`: bytes per tenant.",
    ),
    ("verifier", "`verified`: instructions the verifier went through; the limit is a million."),
];

/// The page in Markdown.
pub fn markdown(rows: &[Row], pictures: &[&str], conditions: &[(&'static str, String)]) -> String {
    let mut page = String::from("# Benchmark\n\n| condition | |\n|---|---|\n");
    for (name, value) in conditions {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page += "\nBaseline and candidate take turns in one run. Figures are medians; `ratio` is the median of the rounds' \
             ratios, `cv` their standard deviation over their mean. Everything is counted at the receiver.\n";
    for case in cases(rows) {
        let name = case[0].bench;
        let _ = writeln!(page, "\n## {name}\n");
        if let Some((_, note)) = NOTES.iter().find(|(case, _)| *case == name) {
            let _ = writeln!(page, "{note}\n");
        }
        let _ = writeln!(page, "{}", table::markdown(case));
        if pictures.contains(&name) {
            let _ = writeln!(page, "\n![{name}]({name}.svg)");
        }
    }
    page
}
