//! `cargo xtask fuzz`: frames of chance for the decisions, led by which code they reach.
//!
//! The fuzzer is libFuzzer, folders and flags are those of `cargo fuzz`. It needs no nightly compiler, because the
//! code under it is safe Rust: no sanitizer has anything to watch, and coverage alone is on stable.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;
use gre_fuzz::seeds;
use testbed::capture::hex;

use crate::{
    build, say,
    tally::Tally,
    toolchain::{self, Install},
    tools::{self, Tool},
    workspace::Workspace,
};

/// Where the targets are.
const PACKAGES: [&str; 2] = ["gre-fuzz", "gre-fuzz-user"];

const COMPILER: &[Tool] = &[("c++", "g++")];

/// What `cargo fuzz --sanitizer none` builds with.
const RUSTFLAGS: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// A frame that takes longer than this, in seconds, has found an endless loop.
const PATIENCE: u32 = 10;

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this target, a file in fuzz/src/bin
    target: Option<String>,
    /// How long, each
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    #[command(flatten)]
    install: Install,
}

/// Builds and runs; what was found is kept.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    bring(args.install)?;
    build::programs(workspace, args.install)?;
    let mut targets = targets(workspace)?;
    if let Some(wanted) = &args.target {
        let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        targets.retain(|target| target.name == *wanted);
        ensure!(!targets.is_empty(), "there is no target {wanted}; there are {}", names.join(", "));
    }
    let tally = run(workspace, &targets, args.seconds);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings what the fuzzer is built with.
pub fn bring(install: Install) -> Result<()> {
    tools::bring(COMPILER, "a C++ compiler builds the fuzzer", install)
}

/// A fuzz target, built.
pub struct Target {
    name: String,
    binary: PathBuf,
}

/// Builds every target. [`Workspace::ebpf_object`] must be there.
pub fn targets(workspace: &Workspace) -> Result<Vec<Target>> {
    say::step("building the fuzz targets");
    // Those of userspace carry the programs.
    let mut cargo = build::with_object(workspace);
    cargo
        .args(["build", "--release", "--quiet", "--bins"])
        .args(PACKAGES.map(|package| format!("--package={package}")))
        // With a target of its own the flags are not for what runs during the build.
        .args(["--target", &toolchain::host()?])
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", RUSTFLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the fuzz targets did not build");
    let mut targets = vec![];
    for message in Message::parse_stream(&output.stdout[..]) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        let Some(binary) = artifact.executable else { continue };
        targets.push(Target { name: artifact.target.name, binary: binary.into() });
    }
    targets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(targets)
}

/// Runs each target for so many seconds, and goes on when one finds something.
pub fn run(workspace: &Workspace, targets: &[Target], seconds: u32) -> Tally {
    let mut tally = Tally::default();
    for target in targets {
        let result = target.run(workspace, seconds);
        if let Err(error) = &result {
            say::failed(&format!("fuzz target {}", target.name));
            say::error(error);
        }
        tally += Tally::of(result.is_ok());
    }
    tally
}

impl Target {
    fn run(&self, workspace: &Workspace, seconds: u32) -> Result<()> {
        let name = &self.name;
        say::step(&format!("fuzzing {name} for {seconds} s"));
        // Where `cargo fuzz` looks for them.
        let [corpus, found] =
            ["corpus", "artifacts"].map(|folder| Path::new("fuzz").join(folder).join(name));
        let seeds =
            seeds::write(name, &workspace.root.join(&corpus)).context("cannot write the seeds")?;
        fs::create_dir_all(workspace.root.join(&found))?;

        let mut command = Command::new(&self.binary);
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={PATIENCE}"))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args(["-verbosity=0", "-print_final_stats=1"])
            .arg(&corpus)
            .current_dir(&workspace.root)
            // Those of the fuzzer say nothing; whoever replays the frame gets better ones.
            .env("RUST_BACKTRACE", "0");
        let output = command.output().context("cannot run the fuzzer")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let report = Report::parse(&said);
        if !output.status.success() {
            eprintln!("{said}");
        }
        if let Some(path) = report.found {
            let frame = fs::read(workspace.root.join(&path))?;
            bail!(
                "a frame broke a rule:\n    {}\n  \
                 It is kept. Replay it, and when that is mended make it a row of a test:\n    \
                 cargo run --bin {name} {}",
                hex(&frame),
                path.display()
            );
        }
        ensure!(output.status.success(), "the fuzzer ended with {}", output.status);
        // It would not say so if it had not found the seeds.
        ensure!(report.frames > seeds, "{} frames only, of {seeds} seeds", report.frames);
        say::note(&format!("{} frames, {} of them worth keeping", report.frames, report.kept));
        Ok(())
    }
}

/// What a run of the fuzzer came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    frames: usize,
    kept: usize,
    found: Option<PathBuf>,
}

impl Report {
    /// Reads what the fuzzer says.
    fn parse(text: &str) -> Self {
        let all = |prefix| text.lines().filter_map(move |line| Some(line.split_once(prefix)?.1));
        let count = |prefix| all(prefix).find_map(|count| count.trim().parse().ok()).unwrap_or(0);
        Self {
            frames: count("stat::number_of_executed_units:"),
            kept: count("stat::new_units_added:"),
            found: all("Test unit written to ").map(PathBuf::from).next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_fuzzer_says() {
        let text = "
thread panicked at fuzz/src/bin/decap.rs:1:1:
artifact_prefix='a/'; Test unit written to a/crash-00
stat::number_of_executed_units: 3077411
stat::average_exec_per_sec:     384676
stat::new_units_added:          604
";
        let found = Some("a/crash-00".into());
        assert_eq!(Report::parse(text), Report { frames: 3_077_411, kept: 604, found });
    }

    #[test]
    fn knows_when_nothing_was_found() {
        assert_eq!(Report::parse("Done 5 runs in 1 second(s)"), Report::default());
    }
}
