//! What the programs cost the kernel: instructions the verifier goes through, bytes of machine code.
//!
//! A program grows unseen, a line at a time. So `budget.txt` records what each one costs, and a change that
//! makes one dearer has to change the record too.

use std::{collections::BTreeMap, env, fmt::Write, fs};

use aya::programs::ProgramInfo;
use testbed::{
    suite::{Case, Need},
    topology::sensor,
};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/packets/budget.txt");

/// Writes the record instead of comparing with it.
const WRITE: &str = "XGRE_RECORD";

/// In percent of the record. Compilers differ a little.
const ROOM: u64 = 105;

/// A tenth of what the verifier goes through at most (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u32 = 1_000_000 / 10;

/// Two figures of a program, by its name: verified instructions and bytes of machine code.
type Costs = BTreeMap<String, [u32; 2]>;

pub fn cases() -> Vec<Case> {
    // Verifiers differ by far, and so do the processors' instructions.
    let known = cfg!(target_arch = "x86_64") && !recorded(&record(), &kernel()).is_empty();
    let known = known || env::var_os(WRITE).is_some();
    let nothing = "nothing is recorded for this kernel in tests/cases/packets/budget.txt";
    vec![
        Case::new("budget: a tenth of the verifier's limit", below_limit),
        Case::new("budget: as recorded", as_recorded).needs(Need::That(known, nothing)),
    ]
}

fn below_limit() {
    for (program, [verified, _]) in costs() {
        assert!(verified < LIMIT, "{program}: {verified} instructions verified, limit {LIMIT}");
        if verified == 0 {
            eprintln!("SKIPPED the limit of {program}: this kernel does not say what it verified");
        }
    }
}

fn as_recorded() {
    let (kernel, record, costs) = (kernel(), record(), costs());
    let lines = lines(&kernel, &costs);
    if env::var_os(WRITE).is_some() {
        return write(&kernel, &record, &lines);
    }
    let mut wrong = String::new();
    let recorded = recorded(&record, &kernel);
    for (program, cost) in costs {
        let budget = recorded.get(&program).copied().unwrap_or_default();
        for ((what, cost), budget) in
            ["verified instructions", "bytes of machine code"].into_iter().zip(cost).zip(budget)
        {
            assert_ne!(cost, 0, "{program}: Linux {kernel} does not tell the {what}");
            if u64::from(cost) * 100 > u64::from(budget) * ROOM {
                writeln!(wrong, "{program} has {cost} {what}, recorded are {budget}")
                    .expect("room");
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "on Linux {kernel}\n{wrong}\
         If it is worth that (another compiler does it too), record it as {RECORD} says:\n{lines}"
    );
}

/// What the programs cost here.
fn costs() -> Costs {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0");
    let pins = fs::read_dir(host.state().join("programs")).expect("pinned programs");
    pins.map(|pin| {
        let pin = pin.expect("a pin");
        let info = ProgramInfo::from_pin(pin.path()).expect("a pinned program");
        let verified = info.verified_instruction_count().unwrap_or(0);
        (pin.file_name().display().to_string(), [verified, info.size_jitted()])
    })
    .collect()
}

/// The kernel's version without its patches, for example `6.1`.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn record() -> String {
    fs::read_to_string(RECORD).expect(RECORD)
}

/// The lines of a kernel are its version, a program and its two figures.
fn recorded(record: &str, kernel: &str) -> Costs {
    let words = record.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&kernel))
        .map(|words| {
            let [_, program, verified, code] = words[..] else { panic!("{RECORD}: {words:?}") };
            (program.to_owned(), [verified, code].map(|figure| figure.parse().expect(RECORD)))
        })
        .collect()
}

fn lines(kernel: &str, costs: &Costs) -> String {
    let line = |(program, [verified, code]): (&String, &[u32; 2])| {
        format!("{kernel:8}{program:12}{verified:>8}{code:>14}\n")
    };
    costs.iter().map(line).collect()
}

/// The record with these lines in place of the kernel's old ones, or at the end.
fn write(kernel: &str, record: &str, lines: &str) {
    let of_kernel = |line: &&str| line.split_whitespace().next() == Some(kernel);
    let mut all: Vec<&str> = record.lines().collect();
    let at = all.iter().position(of_kernel).unwrap_or(all.len());
    all.retain(|line| !of_kernel(line));
    all.splice(at..at, lines.lines());
    fs::write(RECORD, all.join("\n") + "\n").expect(RECORD);
}
