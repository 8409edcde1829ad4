//! Taking over from the kernel's GRE devices and from Open vSwitch: ping, import, the steps as they are printed, ping.
//!
//! - [`linux`]: the kernel's devices. [`open_vswitch`]: a real one.

mod linux;
mod open_vswitch;

use serde_json::Value;
use testbed::{Daemon, Host, Netns, OpenVswitch, Outcome, Ping, suite::Case};

use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("import: no GRE device", nothing)];
    cases.extend(linux::cases());
    cases.extend(open_vswitch::cases());
    cases
}

/// A host that is taken over, and how its tools find Open vSwitch.
pub struct Old<'h> {
    host: &'h Host,
    environment: String,
}

/// What an import printed: the document and the file.
pub struct Imported {
    document: Value,
    file: String,
    complaints: String,
}

impl<'h> Old<'h> {
    fn new(host: &'h Host) -> Self {
        Self { host, environment: "env".to_owned() }
    }

    pub fn with(host: &'h Host, ovs: &OpenVswitch<'_>) -> Self {
        Self { host, environment: format!("env OVS_RUNDIR={}", ovs.run_dir().display()) }
    }

    fn run(&self, line: &str) -> Outcome {
        self.host.ns.exec(&format!("{} {line}", self.environment))
    }

    #[track_caller]
    pub fn import(&self, what: &str) -> Imported {
        let binary = testbed::host::xgre_binary();
        let import = format!("{} import {what}", binary.display());
        let document = self.run(&format!("{import} --json")).ok();
        let document = serde_json::from_str(&document).expect("JSON");
        let outcome = self.run(&import);
        let complaints = outcome.stderr.clone();
        Imported { document, file: outcome.ok(), complaints }
    }

    /// Goes over to it, by the steps as they were printed.
    #[track_caller]
    pub fn go_over(&self, imported: &Imported) -> Daemon {
        let path = self.host.file("imported.toml", &imported.file);
        self.host.xgre(&format!("check {}", path.display())).ok();
        let steps = &imported.document["steps"];
        for command in texts(&steps["before"]) {
            self.run(&command).ok();
        }
        let run = steps["run"].as_str().expect("a command");
        let arguments = run.strip_prefix("xgre run ").expect("the command");
        let daemon = self.host.start(&arguments.replace("FILE", &path.display().to_string()));
        for command in texts(&steps["after"]) {
            self.run(&command).ok();
        }
        daemon
    }
}

impl Imported {
    /// Whether something was told: its name, and a part of what and why.
    #[track_caller]
    fn tells(&self, about: &str, what: &str) {
        let notes = self.document["notes"].as_array().expect("a list");
        let is_it = |note: &&Value| note["about"] == about && text(&note["what"]).contains(what);
        let note = notes.iter().find(is_it);
        let note = note.unwrap_or_else(|| panic!("nothing of {about} and {what} in {notes:#?}"));
        let remedy = text(&note["remedy"]);
        let line = format!("xgre: not carried over: {about}: {}; {remedy}", text(&note["what"]));
        assert!(self.complaints.lines().any(|it| it == line), "{line} in {}", self.complaints);
        assert!(!remedy.is_empty(), "{line}");
    }

    #[track_caller]
    fn assert_items(&self, kind: &str, expected: &Value) {
        assert_eq!(self.document[kind], *expected, "{:#}", self.document);
    }

    /// The steps are also in the file, for whoever has only that.
    #[track_caller]
    fn assert_steps_in_file(&self) {
        let steps = &self.document["steps"];
        let steps = [texts(&steps["before"]), vec![text(&steps["run"])], texts(&steps["after"])];
        let comments = self.file.lines().filter_map(|line| line.strip_prefix("#   "));
        assert_eq!(comments.collect::<Vec<_>>(), steps.concat());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(text).collect()
}

fn reached(ping: Ping<'_>, from: &Netns) {
    let once = ping.times(1, 10);
    eventually("a first answer", || once.run(from).received == 1);
    ping.all_answered(from);
}

fn nothing() {
    let host = Host::new();
    let error = host.xgre("import ip").err();
    assert_eq!(
        error,
        "xgre: this network namespace has no GRE device that can be carried over; run this on the host, and in the \
         network namespace, where the tunnels end"
    );
}
