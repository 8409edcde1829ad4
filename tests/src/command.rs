//! Running commands: bounded in time, with an outcome that says everything.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitStatus},
};

use nix::sys::{prctl, signal::Signal};

/// Longest run of a command, in seconds.
const LIMIT: &str = "60";

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// The command as one would type it.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, trimmed.
    pub stdout: String,
    /// What it complained about, trimmed.
    pub stderr: String,
}

impl Outcome {
    /// What it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// What it complained about.
    #[track_caller]
    pub fn err(self) -> String {
        assert!(!self.status.success(), "should have failed: {self}");
        self.stderr
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "`{command}`: {status}\n{stdout}\n{stderr}")
    }
}

/// A command that ends, by force if need be, within a minute.
pub(crate) fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, program]);
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let line = words.join(" ").replacen(&format!("--kill-after=5 {LIMIT} "), "", 1);
    let output = command.output().unwrap_or_else(|error| panic!("`{line}`: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Outcome {
        command: line,
        status: output.status,
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// Kills the child when the thread that starts it ends.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: prctl is a plain system call, allowed between fork and exec.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) }
}

/// Whether the machine has a program.
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
