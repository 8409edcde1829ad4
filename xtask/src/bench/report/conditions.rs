//! What machine it was, and what was measured.

use std::{
    env, fs,
    path::Path,
    process::Command,
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::run::Run;
use crate::{
    bench::{Args, row::Row},
    workspace::Workspace,
};

/// Where the guest of `cargo xtask vm` has its command.
const GUEST: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/xgre/command";

/// What a nanosecond is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// A nanosecond.
    Wall,
    /// One, of a processor that software emulates: only ratios may mean something.
    Emulated,
    /// One instruction: `cargo xtask vm --icount`.
    Instructions,
}

impl Clock {
    /// Finds out, best before there is anything else to do for the processor.
    pub fn find() -> Self {
        match (in_guest(), counts_instructions()) {
            (false, _) => Self::Wall,
            (true, false) => Self::Emulated,
            (true, true) => Self::Instructions,
        }
    }

    /// For readers.
    const fn text(self) -> &'static str {
        match self {
            Self::Wall => "time",
            Self::Emulated => "time on an emulated processor: figures are no measure of speed",
            Self::Instructions => {
                "instructions: 1 ns is one instruction, Mpps are packets per 1000 of them"
            }
        }
    }
}

/// Whether this is the guest of `cargo xtask vm`.
pub fn in_guest() -> bool {
    Path::new(GUEST).exists()
}

/// The kernel's version, without what its builder calls it; with that of Debian's package where it is Debian's.
fn kernel() -> String {
    let release = first_line("/proc/sys/kernel/osrelease");
    let version = release.split('-').next().unwrap_or_default();
    let build = first_line("/proc/sys/kernel/version");
    match build.split_once("Debian ") {
        Some((_, package)) => {
            let package = package.split_whitespace().next().unwrap_or_default();
            format!("{version} (Debian {package})")
        }
        None => version.to_owned(),
    }
}

/// A run with its results.
pub fn describe(workspace: &Workspace, args: &Args, clock: Clock, rows: Vec<Row>) -> Result<Run> {
    let cpus = thread::available_parallelism()?;
    let arguments = arguments();
    let conditions = [
        ("kernel", kernel()),
        ("processor", format!("{cpus} x {}", processor())),
        ("figures are", clock.text().to_owned()),
        ("spectre_v2", vulnerability("spectre_v2")),
        ("return stack", vulnerability("spec_rstack_overflow")),
        ("driver", driver(args)),
        (
            "mode",
            "decap, nic: native XDP; encap, tcp, latency, ovs: TC; path: as its rows say"
                .to_owned(),
        ),
        ("rounds", format!("{} of {} ms for each candidate, in turns", args.runs, args.millis)),
        ("date", date()),
        ("commit", commit(workspace)),
        ("command", command(clock, &arguments)),
        ("arguments", arguments),
    ];
    let conditions = conditions.map(|(name, value)| (name.to_owned(), value)).into();
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Run { time, clock, conditions, rows })
}

/// A loop of known length: with `-icount shift=0` it takes a nanosecond for each instruction, to the digit. A real
/// processor is several times faster, an emulated one without `-icount` slower, and neither repeats.
#[cfg(target_arch = "x86_64")]
fn counts_instructions() -> bool {
    const ROUNDS: u64 = 1_000_000;
    let within_a_percent = || {
        let begin = Instant::now();
        // SAFETY: counts a register down.
        unsafe {
            std::arch::asm!("2: dec {0}", "jnz 2b", inout(reg) ROUNDS => _, options(nomem, nostack));
        }
        let ratio = begin.elapsed().as_nanos() as f64 / (2 * ROUNDS) as f64;
        (0.99..1.01).contains(&ratio)
    };
    (0..5).filter(|_| within_a_percent()).count() >= 4
}

#[cfg(not(target_arch = "x86_64"))]
fn counts_instructions() -> bool {
    false
}

/// What follows `bench`, without the place of the report.
fn arguments() -> String {
    let mut arguments = env::args().skip_while(|word| word != "bench").skip(1);
    let mut words = Vec::new();
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--report" => drop(arguments.next()),
            _ if word.starts_with("--report=") => {}
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// What to type to see the same.
fn command(clock: Clock, arguments: &str) -> String {
    let release = first_line("/proc/sys/kernel/osrelease");
    let version: Vec<_> = release.split('.').take(2).collect();
    let vm = format!("vm --kernel {} ", version.join("."));
    let inside = match clock {
        Clock::Wall => String::new(),
        Clock::Emulated => vm + "-- ",
        Clock::Instructions => vm + "--icount -- ",
    };
    format!("cargo xtask {inside}bench {arguments}").trim_end().to_owned()
}

fn driver(args: &Args) -> String {
    let veth = "veth, between network namespaces of one machine".to_owned();
    match &args.iface[..] {
        [send, receive] => format!("{veth}; nic: {}, {}", driver_of(send), driver_of(receive)),
        _ => veth,
    }
}

fn driver_of(device: &str) -> String {
    let link = fs::read_link(format!("/sys/class/net/{device}/device/driver"));
    let driver = link.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    driver.unwrap_or_else(|| "unknown".to_owned())
}

fn date() -> String {
    let output = Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn commit(workspace: &Workspace) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(&workspace.root).args(args).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    // Reports are written beside the code that they tell of.
    let others = ["status", "--porcelain", "--", ".", ":!docs/benchmarks"];
    let changed = git(&others).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned()
}

fn vulnerability(name: &str) -> String {
    first_line(&format!("/sys/devices/system/cpu/vulnerabilities/{name}"))
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
