//! Open vSwitch as a peer: a real one, in a namespace, with its userspace datapath and, where the kernel has the module, that.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::{self, Outcome},
    isolation::scratch_dir,
    netns::Netns,
};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PATIENCE: Duration = Duration::from_secs(15);

/// An ovsdb-server and an ovs-vswitchd in a namespace, with a run directory of their own.
#[derive(Debug)]
pub struct OpenVswitch<'n> {
    ns: &'n Netns,
    dir: PathBuf,
    daemons: Vec<Child>,
}

impl<'n> OpenVswitch<'n> {
    /// Whether the machine has it.
    ///
    /// # Errors
    /// Says what to install.
    pub fn available() -> Result<(), String> {
        let missing = ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"]
            .into_iter()
            .find(|program| !command::exists(program));
        match missing {
            Some(program) => Err(format!("needs {program} (Debian: openvswitch-switch)")),
            None if !Path::new(SCHEMA).exists() => Err(format!("needs {SCHEMA}")),
            None => Ok(()),
        }
    }

    /// Whether the kernel has its datapath, and devices for GRE ports. The machine is asked, not searched.
    ///
    /// # Errors
    /// Says what was refused.
    pub fn kernel_datapath() -> Result<(), String> {
        Self::available()?;
        let ns = Netns::new();
        ["ip link add probe0 type gretap external", "ovs-dpctl add-dp probe1"]
            .into_iter()
            .try_for_each(|command| {
                let Outcome { status, stderr, .. } = ns.exec(command);
                let why = || format!("`{command}`: {}", stderr.replace('\n', " "));
                status.success().then_some(()).ok_or_else(why)
            })
    }

    /// Starts it.
    pub fn start(ns: &'n Netns) -> Self {
        let dir = scratch_dir("ovs");
        let mut this = Self { ns, dir, daemons: Vec::new() };
        let (dir, socket) = (this.dir.display().to_string(), this.database());
        this.run(&format!("ovsdb-tool create {dir}/conf.db {SCHEMA}")).ok();
        this.spawn(&format!(
            "ovsdb-server {dir}/conf.db --remote=p{socket} --log-file={dir}/db.log"
        ));
        this.wait_for("db.sock");
        this.run(&format!("ovs-vsctl --db={socket} --no-wait init")).ok();
        this.spawn(&format!("ovs-vswitchd {socket} --log-file={dir}/vswitchd.log"));
        this.vsctl("show");
        this
    }

    /// `ovs-vsctl ARGS`, waiting until the switch has done it; what it printed.
    #[track_caller]
    pub fn vsctl(&self, args: &str) -> String {
        self.run(&format!("ovs-vsctl --timeout=15 --db={} {args}", self.database())).ok()
    }

    /// `ovs-ofctl ARGS`; what it printed.
    #[track_caller]
    pub fn ofctl(&self, args: &str) -> String {
        self.run(&format!("ovs-ofctl --timeout=15 {args}")).ok()
    }

    /// Where its sockets are: the environment's `OVS_RUNDIR` for its tools.
    pub fn run_dir(&self) -> &Path {
        &self.dir
    }

    fn database(&self) -> String {
        format!("unix:{}/db.sock", self.dir.display())
    }

    fn command(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).env("OVS_RUNDIR", &self.dir).env("OVS_LOGDIR", &self.dir);
        self.ns.enter(&mut command);
        command
    }

    fn run(&self, line: &str) -> Outcome {
        let words: Vec<_> = line.split_whitespace().collect();
        command::run(&mut self.command(command::bounded(words[0]), &words[1..]))
    }

    fn spawn(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut command = self.command(Command::new(words[0]), &words[1..]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command::die_with_parent(&mut command).spawn();
        self.daemons.push(child.unwrap_or_else(|error| panic!("{line}: {error}")));
    }

    fn wait_for(&self, file: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.dir.join(file).exists() {
            let log = || fs::read_to_string(self.dir.join("db.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Open vSwitch is not up: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for OpenVswitch<'_> {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
