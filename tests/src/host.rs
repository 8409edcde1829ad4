//! A host: a namespace, a place for xgre's state, and xgre itself.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    command::{self, Outcome},
    isolation::Bpffs,
    netns::Netns,
};

/// Longest wait for a daemon to say `ready`, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test: the environment's `XGRE`, else what `cargo xtask build` made.
pub fn xgre_binary() -> PathBuf {
    std::env::var_os("XGRE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/xgre")),
        PathBuf::from,
    )
}

/// A host that runs xgre.
#[derive(Debug)]
pub struct Host {
    /// Its network.
    pub ns: Netns,
    bpffs: Bpffs,
}

impl Host {
    /// A host without interfaces.
    pub fn new() -> Self {
        Self { ns: Netns::new(), bpffs: Bpffs::new() }
    }

    /// The folder that `--state` names. xgre creates it.
    pub fn state(&self) -> PathBuf {
        self.bpffs.path.join("xgre")
    }

    /// Makes a file that is gone with the process, and tells where it is.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.bpffs.path.with_extension(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// A folder for files, gone with the process.
    pub fn folder(&self) -> PathBuf {
        let path = self.bpffs.path.with_extension("files");
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Runs `xgre ARGS` (words separated by spaces) to its end.
    pub fn xgre(&self, args: &str) -> Outcome {
        let binary = xgre_binary();
        let mut command = command::bounded(binary.to_str().expect("a path in UTF-8"));
        command.args(args.split_whitespace()).env("XGRE_STATE", self.state());
        command::run(self.ns.enter(&mut command))
    }

    /// What `xgre ARGS --json` printed.
    #[track_caller]
    pub fn json(&self, args: &str) -> Value {
        let text = self.xgre(&format!("{args} --json")).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Everything configured, for comparison.
    #[track_caller]
    pub fn configuration(&self) -> [Value; 3] {
        ["tunnel list", "tenant list", "port list"].map(|list| self.json(list))
    }

    /// A tenant's part of the statistics.
    #[track_caller]
    pub fn tenant_stats(&self, tenant: &str) -> Value {
        named(&self.json("stats")["tenants"], tenant)
    }

    /// An uplink's part of the statistics.
    #[track_caller]
    pub fn uplink_stats(&self, uplink: &str) -> Value {
        named(&self.json("stats")["uplinks"], uplink)
    }

    /// Starts `xgre run ARGS` and waits until it is ready.
    #[track_caller]
    pub fn start(&self, args: &str) -> Daemon {
        self.start_with(args, &[])
    }

    /// The same with variables in its environment.
    #[track_caller]
    pub fn start_with(&self, args: &str, variables: &[(&str, &str)]) -> Daemon {
        let mut command = Command::new(xgre_binary());
        command
            .arg("run")
            .args(args.split_whitespace())
            .current_dir(self.folder())
            .env("XGRE_STATE", self.state())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command::die_with_parent(self.ns.enter(&mut command)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", xgre_binary().display()));
        Daemon::wait_until_ready(child)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn named(list: &Value, name: &str) -> Value {
    list.as_array()
        .and_then(|list| list.iter().find(|item| item["name"] == name))
        .unwrap_or_else(|| panic!("no {name} in {list}"))
        .clone()
}

/// A running `xgre run`, killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// What it printed before it was ready: a line per uplink.
    pub greeting: Vec<String>,
}

impl Daemon {
    #[track_caller]
    fn wait_until_ready(mut child: Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut this = Self { child, lines, greeting: Vec::new() };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match this.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => return this,
                Ok(line) => this.greeting.push(line),
                Err(_) => {
                    let printed = this.greeting.join("\n");
                    panic!("xgre run is not ready: {printed}\n{}", this.complaints())
                }
            }
        }
    }

    /// Ends it by force and gives what it wrote on stderr.
    fn complaints(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a running daemon");
        self.child.wait().expect("a child");
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    #[track_caller]
    pub fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("a running daemon");
        let status = self.wait();
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.complaints());
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
