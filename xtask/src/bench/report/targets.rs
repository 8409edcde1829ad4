//! What was aimed at, and what was reached.

use std::fmt::Write as _;

use serde_json::Value;

use super::{conditions::Clock, run::Run};
use crate::bench::row::{Row, significant};

/// A target, and where its figure stands.
struct Target {
    name: &'static str,
    what: &'static str,
    bound: Bound,
    case: &'static str,
    /// Fields that a row must have.
    with: Fields,
    field: &'static str,
    /// What the figure is divided by: a case, fields that its row must have, a field.
    over: Option<(&'static str, Fields, &'static str)>,
    /// Further fields, shown beside it.
    beside: &'static [(&'static str, &'static str)],
    /// What its times must be; any if none is given.
    clock: Option<Clock>,
}

/// Names and values.
type Fields = &'static [(&'static str, &'static str)];

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("at least {bound}"),
            Self::AtMost(bound) => format!("at most {bound}"),
        }
    }
}

type Reached<'r> = (usize, &'r Row, f64);

const DECAP: Target = Target {
    name: "P1",
    what: "",
    bound: Bound::AtLeast(0.0),
    case: "decap",
    with: &[],
    field: "ratio_added",
    over: None,
    beside: &[("ratio", "redirected, against dropped")],
    clock: Some(Clock::Wall),
};

const PLAIN: Target = Target { name: "", case: "", field: "ratio", beside: &[], ..DECAP };

const TARGETS: &[Target] = &[
    Target {
        what: "XDP decapsulation, every check and exact counters of each tenant, relative to counting XDP_DROP, same \
               ending: 1 tenant",
        bound: Bound::AtLeast(0.85),
        with: &[("keys", "1"), ("size", "64"), ("distribution", "uniform")],
        ..DECAP
    },
    Target {
        what: "the same, 1,000 tenants, uniformly random",
        bound: Bound::AtLeast(0.80),
        with: &[("keys", "1000"), ("size", "64"), ("distribution", "uniform")],
        ..DECAP
    },
    Target {
        what: "the same, 65,536 tenants",
        bound: Bound::AtLeast(0.55),
        with: &[("keys", "65536"), ("size", "64"), ("distribution", "uniform")],
        ..DECAP
    },
    Target {
        what: "the same, 1,000,000 tenants",
        bound: Bound::AtLeast(0.28),
        with: &[("keys", "1000000"), ("size", "64"), ("distribution", "uniform")],
        ..DECAP
    },
    Target {
        name: "P2",
        what: "XDP encapsulation relative to XDP redirect alone, 1,000 tenants (measured with one: a device feeds one \
               tenant)",
        bound: Bound::AtLeast(0.80),
        case: "encap",
        with: &[("hook", "port_xdp"), ("keys", "1"), ("size", "64")],
        ..PLAIN
    },
    Target {
        name: "P3",
        what: "one TCP connection through the tunnel, TC at both ends, relative to plain veth",
        bound: Bound::AtLeast(0.95),
        case: "tcp",
        with: &[("way", "xgre")],
        ..PLAIN
    },
    Target {
        name: "P3",
        what: "the same, relative to kernel VXLAN",
        bound: Bound::AtLeast(1.0),
        case: "tcp",
        with: &[("way", "xgre")],
        field: "ratio_vxlan",
        ..PLAIN
    },
    Target {
        name: "P4",
        what: "instructions of a packet's whole way, TC at both ends on veth, l2, relative to plain bridging without any \
               tunnel",
        bound: Bound::AtMost(1.0),
        case: "path",
        with: &[("service", "l2"), ("way", "xgre-tc"), ("size", "64")],
        clock: Some(Clock::Instructions),
        ..PLAIN
    },
    Target {
        name: "P4",
        what: "instructions that native XDP decapsulation adds to a redirect, 1 tenant, relative to what the kernel's `gre` \
               adds to a route where it decapsulates",
        bound: Bound::AtMost(0.2),
        case: "decap",
        with: &[("keys", "1"), ("size", "64"), ("distribution", "uniform")],
        field: "added_ns",
        over: Some((
            "path",
            &[("part", "decapsulation"), ("way", "gre"), ("size", "64")],
            "added_ns",
        )),
        clock: Some(Clock::Instructions),
        ..PLAIN
    },
    Target {
        name: "P5",
        what: "packets per second relative to Open vSwitch's userspace GRE",
        bound: Bound::AtLeast(20.0),
        case: "ovs",
        with: &[("traffic", "udp"), ("way", "xgre-tc")],
        ..PLAIN
    },
    Target {
        name: "P6",
        what: "round-trip time added to plain veth, median, in microseconds",
        bound: Bound::AtMost(5.0),
        case: "latency",
        with: &[("way", "xgre")],
        field: "added_us",
        ..PLAIN
    },
    Target {
        name: "P7",
        what: "entering 1,000,000 bindings, in milliseconds",
        bound: Bound::AtMost(1000.0),
        case: "load",
        with: &[("keys", "1000000")],
        field: "ms",
        ..PLAIN
    },
    Target {
        name: "P8",
        what: "`xgre tenant add` among 100,000 tenants, in milliseconds",
        bound: Bound::AtMost(50.0),
        case: "cli",
        with: &[("tenants", "100000")],
        field: "ms",
        ..PLAIN
    },
    Target {
        name: "P7",
        what: "the same of 100,000 tenants on ten of 1,000 tunnels each, in milliseconds",
        bound: Bound::AtMost(1000.0),
        case: "scale",
        with: &[("what", "bindings loaded")],
        field: "ms",
        ..PLAIN
    },
    Target {
        name: "P8",
        what: "`xgre tenant add` there, in milliseconds",
        bound: Bound::AtMost(50.0),
        case: "scale",
        with: &[("what", "tenant add")],
        field: "ms",
        ..PLAIN
    },
    Target {
        name: "P9",
        what: "instructions that the verifier goes through, of its limit: the largest program",
        bound: Bound::AtMost(0.1),
        case: "verifier",
        field: "of_limit",
        clock: None,
        ..PLAIN
    },
];

impl Target {
    /// The figure, its row and the number of its run: the worst of the newest run that has any, or of all
    /// runs where every kernel counts.
    fn reached<'r>(&self, runs: &'r [Run]) -> Option<Reached<'r>> {
        let figures = |(number, run): (usize, &'r Run)| -> Vec<Reached<'r>> {
            let divisor = match self.over {
                None => Some(1.0),
                Some((case, with, field)) => {
                    let row = run.rows.iter().find(|row| matches(row, case, with));
                    row.and_then(|row| row.number(field))
                }
            };
            let rows = run.rows.iter().filter(|row| matches(row, self.case, self.with));
            let figure =
                |row: &'r Row| Some((number, row, significant(row.number(self.field)? / divisor?)));
            rows.filter_map(figure).collect()
        };
        let counts = |(_, run): &(usize, &Run)| self.clock.is_none_or(|clock| clock == run.clock);
        let eligible = runs.iter().enumerate().filter(counts).map(figures);
        let mut runs: Vec<_> = eligible.filter(|figures| !figures.is_empty()).collect();
        if self.clock.is_some() {
            runs = runs.pop().into_iter().collect();
        }
        let worse = |a: &Reached<'_>, b: &Reached<'_>| match self.bound {
            Bound::AtLeast(_) => a.2.total_cmp(&b.2),
            Bound::AtMost(_) => b.2.total_cmp(&a.2),
        };
        runs.into_iter().flatten().min_by(worse)
    }
}

fn matches(row: &Row, case: &str, with: Fields) -> bool {
    let is = |(name, wanted): &(&str, &str)| match row.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(value) => wanted.parse().is_ok_and(|wanted: Value| *value == wanted),
        None => false,
    };
    row.bench == case && with.iter().all(is)
}

/// All targets in a table of Markdown.
pub fn markdown(runs: &[Run]) -> String {
    let mut table = String::from("| | target | | reached | | run |\n|---|---|---|---|---|---|\n");
    for target in TARGETS {
        let reached = target.reached(runs).map(|(run, row, value)| {
            let mut text = format!("**{value}**");
            for (field, name) in target.beside {
                if let Some(value) = row.number(field) {
                    let _ = write!(text, " ({name}: {value})");
                }
            }
            let met = if target.bound.holds(value) { "met" } else { "**MISSED**" };
            format!("{text} | {met} | [{}](#run-{})", run + 1, run + 1)
        });
        let reached = reached.unwrap_or_else(|| "not measured | | ".to_owned());
        let (name, what, bound) = (target.name, target.what, target.bound.text());
        let _ = writeln!(table, "| {name} | {what} | {bound} | {reached} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(clock: Clock, rows: Vec<Row>) -> Run {
        Run { time: 0, clock, conditions: Vec::new(), rows }
    }

    fn latency(added: f64) -> Row {
        Row::new("latency").with("way", "xgre").measured("added_us", added)
    }

    #[test]
    fn the_newest_run_by_the_clock_counts_and_a_miss_is_marked() {
        let runs = [
            run(Clock::Wall, vec![latency(4.0)]),
            run(Clock::Wall, vec![latency(6.0)]),
            run(Clock::Instructions, vec![latency(1.0)]),
        ];
        let table = markdown(&runs);
        let line = table.lines().find(|line| line.starts_with("| P6")).unwrap();
        assert!(line.ends_with("| at most 5 | **6** | **MISSED** | [2](#run-2) |"), "{line}");
        let line = table.lines().find(|line| line.starts_with("| P7")).unwrap();
        assert!(line.contains("not measured"), "{line}");
    }

    #[test]
    fn the_worst_program_of_all_kernels_counts() {
        let program = |of_limit| Row::new("verifier").measured("of_limit", of_limit);
        let runs = [
            run(Clock::Emulated, vec![program(0.03), program(0.09)]),
            run(Clock::Wall, vec![program(0.02)]),
        ];
        let table = markdown(&runs);
        assert!(table.contains("| at most 0.1 | **0.09** | met | [1](#run-1) |"), "{table}");
    }
}
