//! A command of xgre's that runs until it is interrupted.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    command,
    host::{Host, xgre_binary},
};

/// Longest wait for a line that says it is at work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command; it is killed when dropped.
#[derive(Debug)]
pub struct Background {
    child: Child,
    printed: Receiver<String>,
}

impl Host {
    /// Starts `xgre ARGS`, and waits until a line on stderr begins with `sign`.
    #[track_caller]
    pub fn background(&self, args: &str, sign: &str) -> Background {
        let mut command = Command::new(xgre_binary());
        command
            .args(args.split_whitespace())
            .current_dir(self.folder())
            .env("XGRE_STATE", self.state())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command::die_with_parent(self.ns.enter(&mut command)).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("xgre {args}: {error}"));
        let mut stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let (sender, printed) = channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            sender.send(text)
        });
        let background = Background { child, printed };
        let complaints = wait_for(stderr, sign);
        assert!(complaints.is_none(), "xgre {args} does not begin: {complaints:?}");
        background
    }
}

/// `None` once such a line has come, else what came instead.
fn wait_for(stderr: ChildStderr, sign: &str) -> Option<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| {
            // What is said after the sign nobody waits for.
            let _ = sender.send(line);
        });
    });
    let mut said = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with(sign) => return None,
            Ok(line) => said += &line,
            Err(_) => return Some(said),
        }
    }
}

impl Background {
    /// Interrupts it as Ctrl-C does, and gives what it printed.
    #[track_caller]
    pub fn interrupt(self) -> String {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits until it ends by itself, and gives what it printed.
    #[track_caller]
    pub fn wait(mut self) -> String {
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}");
        self.printed.recv_timeout(PATIENCE).expect("an end of its output")
    }

    /// As [`interrupt`](Self::interrupt): a JSON document from each line.
    #[track_caller]
    pub fn documents(self) -> Vec<Value> {
        let text = self.interrupt();
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        text.lines().map(parse).collect()
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a running command");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
