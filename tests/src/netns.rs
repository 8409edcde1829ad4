//! A network namespace.

use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::process::CommandExt},
    panic::resume_unwind,
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::command::{self, Outcome};

/// A network namespace that exists as long as this value, and the sockets and processes in it.
#[derive(Debug)]
pub struct Netns {
    file: File,
}

/// Settings that keep a namespace quiet: no unasked packets, addresses usable at once.
const QUIET: &[(&str, &str)] = &[
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
];

impl Netns {
    /// A new namespace with the loopback interface up.
    pub fn new() -> Self {
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            File::open("/proc/thread-self/ns/net").expect("the namespace's file")
        })
        .join()
        .unwrap_or_else(|panic| resume_unwind(panic));
        let this = Self { file };
        for (name, value) in QUIET {
            this.sysctl(name, value);
        }
        this.ip("link set lo up");
        this
    }

    /// A path to the namespace, as `ip link set dev eth0 netns PATH` takes it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Runs a closure inside the namespace, on a thread of its own. Sockets it opens stay inside.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.file, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
                    work()
                })
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Makes a command start inside the namespace.
    pub fn enter<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let file = self.file.try_clone().expect("a file of its own");
        // SAFETY: setns is a plain system call, allowed between fork and exec.
        unsafe { command.pre_exec(move || Ok(setns(&file, CloneFlags::CLONE_NEWNET)?)) }
    }

    /// Runs a command line (words separated by spaces) inside the namespace.
    pub fn exec(&self, line: &str) -> Outcome {
        let mut words = line.split_whitespace();
        let mut command = command::bounded(words.next().expect("a command"));
        command::run(self.enter(command.args(words)))
    }

    /// `ip ARGS`; what it printed.
    #[track_caller]
    pub fn ip(&self, args: &str) -> String {
        self.exec(&format!("ip {args}")).ok()
    }

    /// `ethtool --features DEVICE SETTINGS`, for example `"gro on"` or `"tx off"`.
    #[track_caller]
    pub fn offload(&self, device: &str, settings: &str) {
        self.exec(&format!("ethtool --features {device} {settings}")).ok();
    }

    /// Writes a value under `/proc/sys/net`.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run_in(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A device's MAC address.
    pub fn mac(&self, device: &str) -> [u8; 6] {
        let link = self.json(&format!("link show dev {device}"));
        let text = link[0]["address"].as_str().expect("a MAC address");
        let mut mac = [0; 6];
        for (byte, hex) in mac.iter_mut().zip(text.split(':')) {
            *byte = u8::from_str_radix(hex, 16).expect("a MAC address");
        }
        mac
    }

    /// A device's index.
    pub fn ifindex(&self, device: &str) -> u32 {
        self.run_in(|| nix::net::if_::if_nametoindex(device))
            .unwrap_or_else(|error| panic!("{device}: {error}"))
    }

    /// `ip -json ARGS`, with all details.
    #[track_caller]
    pub fn json(&self, args: &str) -> serde_json::Value {
        serde_json::from_str(&self.ip(&format!("-json -details {args}"))).expect("JSON of ip")
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}
