//! `cargo xtask test`: every check and test, one after the other, and one line that sums them up.

use std::{
    io::{BufRead, BufReader, Write, stdout},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    book, build, fuzz, process, say,
    tally::Tally,
    toolchain::{Install, debian, rustup},
    tools::{self, Tool},
    workspace::Workspace,
};

const INTEGRATION: &str = "integration tests";
const NONE: &str = "none has the filter in its name";

/// How long each fuzz target runs.
const FUZZING_SECONDS: u32 = 12;

/// Tenths of what `systemd-analyze security` says of the service at most; docs/install.md has it too.
const EXPOSURE: u32 = 27;

/// Commands the integration tests run besides [`tools::NETWORK`].
const TEST_TOOLS: &[Tool] = &[
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("promtool", "prometheus"),
    ("tmux", "tmux"),
    ("bpftool", "bpftool"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
];

/// Arguments of `test`.
#[derive(clap::Args)]
pub struct Args {
    /// Only the integration tests whose name contains this
    filter: Option<String>,
    /// How long the soak test runs, a minute by default, and the fleet's faults by chance at least
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u32>,
    /// Only these integration tests, as they were built; `vm` says so to its guest
    #[arg(long, value_name = "FILE", hide = true)]
    built: Vec<PathBuf>,
    #[command(flatten)]
    install: Install,
}

/// Brings what the integration tests run.
pub fn bring(install: Install) -> Result<()> {
    tools::bring(&[tools::NETWORK, TEST_TOOLS].concat(), "what the integration tests run", install)
}

/// Runs everything, goes on after failures, ends with the sum.
pub fn verb(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let mut session =
        Session { workspace, install: args.install, tally: Tally::default(), failed: vec![] };
    if !args.built.is_empty() {
        say::skipped("all other checks", "they are the same on every kernel");
        for binary in &args.built {
            session.built_tests(binary, args.filter.as_deref());
        }
        if session.tally == Tally::default() {
            say::skipped(INTEGRATION, NONE);
        }
        return session.end();
    }
    if args.filter.is_none() {
        session.formatting();
    }
    // The checks after this one compile the command, which carries the eBPF programs.
    let built = session.build();
    if args.filter.is_none() {
        session.clippy();
        session.docs();
        session.book();
        session.unit();
        session.dependencies();
        session.unit_tests();
        session.fuzzing();
    }
    if built {
        session.integration_tests(args.filter.as_deref(), args.soak);
    } else {
        // What an earlier build left would pass for this one.
        session.skip(INTEGRATION, "xgre did not build");
    }
    session.end()
}

struct Session<'a> {
    workspace: &'a Workspace,
    install: Install,
    tally: Tally,
    failed: Vec<&'static str>,
}

impl Session<'_> {
    fn formatting(&mut self) {
        let what = "formatting";
        if self.has_component(what, "rustfmt", "fmt") {
            self.check(what, self.workspace.cargo().args(["fmt", "--all", "--check"]));
        }
    }

    fn build(&mut self) -> bool {
        let result = build::all(self.workspace, self.install);
        if let Err(error) = &result {
            say::error(error);
        }
        self.count("build", Tally::of(result.is_ok()));
        result.is_ok()
    }

    fn clippy(&mut self) {
        let what = "clippy";
        if self.has_component(what, "clippy", "clippy") {
            let mut cargo = build::with_object(self.workspace);
            cargo.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
            self.check(what, &mut cargo);
        }
    }

    fn docs(&mut self) {
        let mut cargo = build::with_object(self.workspace);
        cargo
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings");
        self.check("documentation", &mut cargo);
    }

    fn book(&mut self) {
        let what = "book";
        match book::available() {
            Ok(()) => self.check(what, &mut book::build(self.workspace)),
            Err(error) => self.skip(what, &error.to_string()),
        }
    }

    /// What the service may do, which is never to become more.
    fn unit(&mut self) {
        let (what, program) = ("exposure of the service", "systemd-analyze");
        // A machine without systemd gets none for this.
        let not_installing = Install { allowed: false };
        if let Err(error) = tools::bring(&[(program, "systemd")], "it judges", not_installing) {
            return self.skip(what, &error.to_string());
        }
        let mut analyze = Command::new(program);
        analyze
            .args(["security", "--no-pager", "--offline=true"])
            .arg(format!("--threshold={EXPOSURE}"))
            .arg(self.workspace.root.join("dist/xgre.service"));
        self.check(what, &mut analyze);
    }

    fn dependencies(&mut self) {
        let (what, advisories) = ("licences, bans and sources", "advisories");
        if !self.has_deny() {
            let why = "cargo-deny is not installed; type `cargo install cargo-deny --locked`";
            self.skip(what, why);
            return self.skip(advisories, why);
        }
        let deny = |arguments: &[&str]| {
            let mut cargo = self.workspace.cargo();
            cargo.arg("deny").args(arguments);
            cargo
        };
        let [mut rest, mut fetch, mut check] = [
            deny(&["check", "licenses", "bans", "sources"]),
            deny(&["--log-level", "off", "fetch", "db"]),
            deny(&["check", "--disable-fetch", "advisories"]),
        ];
        self.check(what, &mut rest);
        if fetch.status().is_ok_and(|status| status.success()) {
            self.check(advisories, &mut check);
        } else {
            self.skip(advisories, "the database of advisories is out of reach");
        }
    }

    fn unit_tests(&mut self) {
        let mut cargo = build::with_object(self.workspace);
        cargo
            .args(["test", "--no-fail-fast", "--workspace"])
            .args(["--exclude=gre-ebpf", "--exclude=testbed"]);
        self.tests("unit tests", &mut cargo);
    }

    fn fuzzing(&mut self) {
        let what = "fuzzing";
        if let Err(error) = fuzz::bring(self.install) {
            return self.skip(what, &error.to_string());
        }
        let tally = match fuzz::targets(self.workspace) {
            Ok(targets) => fuzz::run(self.workspace, &targets, FUZZING_SECONDS),
            Err(error) => {
                say::error(&error);
                Tally::FAIL
            }
        };
        self.count(what, tally);
    }

    fn integration_tests(&mut self, filter: Option<&str>, soak: Option<u32>) {
        // The tests skip themselves, each one counted, when something they need is missing.
        if !debian::is_root() {
            let command = say::as_root("test");
            let why = format!("they make network namespaces, which needs root: {command}");
            say::skipped(INTEGRATION, &why);
        }
        if let Err(error) = bring(self.install) {
            say::error(&error);
        }
        let mut cargo = build::with_object(self.workspace);
        cargo
            .args(["test", "--no-fail-fast", "--package", "testbed", "--tests"])
            .env("XGRE", self.workspace.xgre());
        if let Some(seconds) = soak {
            cargo.env("XGRE_SOAK", seconds.to_string());
        }
        if let Some(filter) = filter {
            cargo.args(["--", filter]);
        }
        let before = self.tally;
        self.tests(INTEGRATION, &mut cargo);
        if self.tally == before {
            say::skipped(INTEGRATION, NONE);
        }
    }

    /// One of the binaries that cargo runs for [`Self::integration_tests`], without cargo.
    fn built_tests(&mut self, binary: &Path, filter: Option<&str>) {
        let mut command = Command::new(binary);
        command
            .args(filter)
            .current_dir(self.workspace.root.join("tests"))
            .env("XGRE", self.workspace.xgre());
        self.tests(INTEGRATION, &mut command);
    }

    /// Has cargo this subcommand, from a component of the toolchain that rustup may add?
    fn has_component(&mut self, what: &str, component: &str, subcommand: &str) -> bool {
        let has = self.has_subcommand(subcommand)
            || self.install.allowed && rustup::add(component) && self.has_subcommand(subcommand);
        if !has {
            let why =
                format!("{component} is not installed; type `rustup component add {component}`");
            self.skip(what, &why);
        }
        has
    }

    /// Has cargo the subcommand `deny`, which takes a few minutes to build?
    fn has_deny(&self) -> bool {
        if !self.has_subcommand("deny") && self.install.allowed {
            say::step(
                "installing cargo-deny (a few minutes): it checks licences, bans and sources",
            );
            let mut install = self.workspace.cargo();
            // What does not build is told by whoever misses it.
            let _ = install.args(["install", "cargo-deny", "--locked"]).status();
        }
        self.has_subcommand("deny")
    }

    fn has_subcommand(&self, subcommand: &str) -> bool {
        let mut cargo = self.workspace.cargo();
        cargo.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        cargo.status().is_ok_and(|status| status.success())
    }

    fn check(&mut self, what: &'static str, command: &mut Command) {
        say::step(what);
        let result = process::run(command);
        self.count(what, Tally::of(result.is_ok()));
    }

    fn tests(&mut self, what: &'static str, command: &mut Command) {
        say::step(what);
        let tally = stream(command).unwrap_or_else(|error| {
            say::error(&error);
            Tally::FAIL
        });
        self.count(what, tally);
    }

    fn skip(&mut self, what: &str, why: &str) {
        say::skipped(what, why);
        self.tally += Tally::SKIP;
    }

    fn count(&mut self, what: &'static str, tally: Tally) {
        if tally.failed > 0 {
            say::failed(what);
            self.failed.push(what);
        }
        self.tally += tally;
    }

    fn end(self) -> Result<ExitCode> {
        let ok = self.failed.is_empty();
        if !ok {
            say::failed(&self.failed.join(", "));
        }
        writeln!(stdout(), "{}", self.tally)?;
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Runs test binaries, passes their output on line by line, and adds up what they report.
///
/// A run that fails without a failed test (it did not compile, or crashed) counts as one failure.
fn stream(command: &mut Command) -> Result<Tally> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let lines = BufReader::new(child.stdout.take().context("no pipe")?);
    let mut tally = Tally::default();
    for line in lines.split(b'\n') {
        let line = line?;
        tally += Tally::parse(&String::from_utf8_lossy(&line)).unwrap_or_default();
        let mut out = stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    if !child.wait()?.success() && tally.failed == 0 {
        tally += Tally::FAIL;
    }
    Ok(tally)
}
