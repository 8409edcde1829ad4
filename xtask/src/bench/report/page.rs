//! The page that shows all runs.

use std::fmt::Write as _;

use super::{cases, run::Run, table, targets};
use crate::bench::row::Name;

/// A picture that was saved.
pub struct Picture {
    /// The number of its run, from 0.
    pub run: usize,
    /// Its case.
    pub case: Name,
    /// Its file.
    pub name: String,
}

const HEAD: &str = "\
# Benchmark report

Made by `cargo xtask bench --report DIR`; each run adds to it or replaces the same run of before. Everything is counted at
the receiver. Baselines and candidates take turns in one run; a figure is the median of the rounds, a ratio is taken round by
round, `cv` is the standard deviation over the mean. Figures of different runs cannot be compared, ratios can.

## Targets

";

const AFTER_TARGETS: &str = "
P1: the target comes from a prototype that ended, like its baseline, in dropping. Ours delivers. *Same ending* is count and
drop, against count and drop plus what decapsulation adds to a redirect (`ratio_added`); in brackets stands the whole of
it, redirect included, against count and drop (`ratio`).

## Runs

Each figure comes from the command of its run.
";

/// How a case is measured, and to whom it is unfair.
const METHODS: &[(&str, &str)] = &[
    (
        "decap",
        "`uplink_xdp` with every check and exact counters of each tenant, fed over veth; one core makes, \
         receives and discards the packets. Three programs take turns on one link. `baseline_mpps`: count and drop. \
         `redirect_mpps`: redirect and nothing else. `mpps`: `uplink_xdp`, which delivers by redirect; where the port's \
         device would transmit, a program counts and discards. `added_ns` is what decapsulation adds to a redirect, `ratio_added` \
         puts that on top of count and drop, `ratio` has the redirect in it. Tenants are drawn at random. With `--generator pktgen` packets reach the link as socket buffers, which veth copies for XDP. After the run the counters of all \
         tenants must add up to what arrived. Unfair to: real drivers, which do more for a packet than veth with live frames.",
    ),
    (
        "encap",
        "`port_tc` fed with live XDP frames over veth, which become socket buffers there; the baseline is a program that \
         only redirects, on the same link. The uplink is a device that counts and frees. `port_xdp` gets the live frames themselves, and the baseline redirects \
         in XDP; one device feeds one tenant.",
    ),
    (
        "steer",
        "Flows of one tunnel arrive on the CPU that makes them; `ratio` is what `run --steer inner` makes of the rate at \
         which the tenant's IP stack receives. The baseline is the same without it.",
    ),
    (
        "path",
        "The whole way of a UDP packet: source, host, host, receiver, each in a namespace, joined by veth; a TC program counts and \
         discards at the end, and the length of every packet is checked. `l3` hosts look at IP packets, `l2` hosts at frames. \
         *route*, *bridge*: the kernel's forwarding or bridge at both hosts, no tunnel; `ratio` and `added_ns` are relative to the one of the \
         same service. *gre*, *gretap*, *vxlan*: the kernel's devices with a key, behind the same routes or bridges. *ovs-kernel*: Open \
         vSwitch's kernel module with the flows that its daemon would enter, without the daemon: nothing disturbs it. *xgre-tc*: TC at both hosts; \
         *xgre-xdp*: native XDP decapsulation at the second, where veth must copy every packet for XDP. xgre switches \
         point to point, without bridge or routes: that is what it is for, and unfair to peers that look up more. Neighbours are \
         entered beforehand. `pace` *window*: the source had to wait for the receiver, for otherwise packets were lost. A peer that the kernel lacks is left out; the run says \
         so. `part` *decapsulation*: what the second host does for *gre* more than for *route*, each taken as the whole way less the way \
         that ends where the second host receives.",
    ),
    (
        "nic",
        "Two devices that a cable joins, one in a sender's namespace, the other in a host's: drivers and, with hardware, buses are in the \
         figures. The programs and their endings are those of *decap*. pktgen makes the tenants' packets, and a program on the sender's way out (TC \
         egress, `xmit_mode queue_xmit`) puts GRE headers with drawn keys around them. `ratio` is relative to *drop*, `added_ns` over \
         *redirect*. Where nothing is `lost` the sender was the limit, and the figure is the sender's.",
    ),
    (
        "tcp",
        "One connection between two hosts, kernel sockets at both ends. xgre in TC at both, an l3 tenant with a device of its own; VXLAN carries \
         Ethernet frames and a UDP header, so 22 bytes more.",
    ),
    (
        "latency",
        "A UDP packet of 64 bytes and its echo between two sockets; the median of a round, then of all rounds.",
    ),
    (
        "ovs",
        "`udp`: the way of *path* at l2. Open vSwitch runs its userspace datapath on packet sockets, as it does on a host without its kernel \
         module and without DPDK: unfair to what it can do with either. It has the processors to itself that the source leaves; a way that \
         loses packets is measured again with a source that waits for the receiver (`pace`), and the better figure counts. `tcp`: one connection \
         between sockets; the unequal MTUs of the ways are kept.",
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
    (
        "fleet",
        "Three members of etcd in namespaces around a router, without waiting for disks; all hosts in one process with one thread, by the code \
         that the daemon runs, but what is made of it is only compared with what it should be. All share this machine's processors: a host that has its own is not slower for the others. Each host has 50 ports, each of \
         another tenant; a tenant that has ports has five, at as many hosts; nine of ten tenants are defined and idle. `start_s`: all hosts start at once, until each knows \
         what it needs. `move_ms`, `slowest_ms`: one port moves to another host (two commands), until all hosts of its tenant know; the median and the slowest of 50. `moves`: a tenth of the hosts is emptied, \
         32 commands at a time; the last change is `written_s` after the first, and all hosts know all of it at `converged_s`. For each host: `watches`; what it received at the start \
         (`start_kib`), in the mass move (`moves_kib`) and while nothing happened (`rest_bytes_per_s`); its memory (`host_kib`). `store_mib`: memory of the three members. \
         `sessions_lost`: connections that ended early and were made again.",
    ),
    ("verifier", "`verified`: instructions the verifier went through; the limit is a million."),
];

/// The page in Markdown.
pub fn markdown(runs: &[Run], pictures: &[Picture]) -> String {
    let mut page = HEAD.to_owned() + &targets::markdown(runs) + AFTER_TARGETS;
    for (number, run) in runs.iter().enumerate() {
        let _ = writeln!(page, "\n### Run {}\n\n| | |\n|---|---|", number + 1);
        for (name, value) in run.conditions.iter().filter(|(name, _)| name != "arguments") {
            let value = if name == "command" { format!("`{value}`") } else { value.clone() };
            let _ = writeln!(page, "| {name} | {value} |");
        }
    }
    let mut names: Vec<&Name> = Vec::new();
    for row in runs.iter().flat_map(|run| &run.rows) {
        if !names.contains(&&row.bench) {
            names.push(&row.bench);
        }
    }
    for name in names {
        let _ = writeln!(page, "\n## {name}\n");
        if let Some((_, method)) = METHODS.iter().find(|(case, _)| case == name) {
            let _ = writeln!(page, "{method}");
        }
        for (number, run) in runs.iter().enumerate() {
            for rows in cases(&run.rows).filter(|rows| rows[0].bench == *name) {
                let link = number + 1;
                let (kernel, what) = (run.condition("kernel"), run.condition("figures are"));
                let _ = writeln!(page, "\n[Run {link}](#run-{link}), Linux {kernel}, {what}:\n");
                let _ = writeln!(page, "{}", table::markdown(rows));
            }
            for picture in pictures.iter().filter(|it| it.run == number && it.case == *name) {
                let _ = writeln!(page, "\n![{name}](plots/{})", picture.name);
            }
        }
    }
    page
}
