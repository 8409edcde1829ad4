//! QEMU, by software emulation: it needs no privilege, and behaves the same everywhere.

use std::{
    io::{self, Read, Write, pipe},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle, available_parallelism},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::{prctl, signal::Signal};

use super::{
    archive::{self, Archive},
    kernel::Kernel,
};
use crate::{
    say,
    toolchain::{Install, debian},
    tools::{self, Tool},
    workspace::Workspace,
};

const QEMU: &str = "qemu-system-x86_64";
const TOOLS: &[Tool] = &[(QEMU, "qemu-system-x86"), ("depmod", "kmod"), ("dpkg-deb", "dpkg")];

/// Brings what it takes to make and start a machine.
pub fn bring(workspace: &Workspace, install: Install) -> Result<()> {
    let why = "what the virtual machine takes";
    let Err(error) = tools::bring(TOOLS, why, install) else { return Ok(()) };
    if !install.allowed || !debian::can_install() {
        return Err(error);
    }
    // A machine that has a part of QEMU from the backports takes the others only from there.
    say::note("trying the backports");
    from_backports(workspace).map_err(|backports| error.context(format!("{backports:#}")))
}

fn from_backports(workspace: &Workspace) -> Result<()> {
    let release = archive::code_name()?;
    let suites = [format!("debian {release}"), format!("debian {release}-backports")];
    let folder = workspace.target.join("vm/apt");
    let archive = Archive::open(&folder, &suites.each_ref().map(String::as_str))?;
    archive.install(&TOOLS.iter().map(|(_, package)| *package).collect::<Vec<_>>())?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// A virtual machine for one command.
pub struct Machine<'a> {
    /// What it boots.
    pub kernel: &'a Kernel,
    /// Count instructions for time, on one processor.
    pub icount: bool,
    /// Two network devices, joined by a wire.
    pub wire: bool,
    /// In MiB.
    pub memory: u32,
    /// Switch it off after this time.
    pub limit: Duration,
    /// A folder that the guest may write.
    pub share: Option<PathBuf>,
    /// The files that the guest has.
    pub root: Root,
}

/// Whose files a guest has. It writes into memory only.
pub enum Root {
    /// This machine's, and nothing else runs.
    Here,
    /// Those of another system in this folder, which systemd starts.
    System(PathBuf),
}

impl Root {
    fn folder(&self) -> &Path {
        match self {
            Self::Here => Path::new("/"),
            Self::System(folder) => folder,
        }
    }

    /// What the kernel is told, and the program that comes first.
    fn start(&self) -> (&'static str, &'static str) {
        match self {
            Self::Here => ("", "/bin/sh /run/guest.sh"),
            // systemd-run-generator(8), in place of the services that would start otherwise.
            Self::System(_) => (
                " systemd.firstboot=off systemd.run=\"/bin/sh /run/command.sh\"",
                "/lib/systemd/systemd",
            ),
        }
    }
}

impl Machine<'_> {
    /// Boots, runs a shell script, passes on what it prints, and returns how it ended.
    pub fn run(&self, script: &str) -> Result<ExitCode> {
        let (mut status, guest) = pipe()?;
        let mut qemu = self.qemu(script);
        qemu.stdin(guest).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = qemu.spawn().with_context(|| format!("cannot run {QEMU}"))?;
        // Holds the pipe's writing end, whose closing ends the wait below.
        drop(qemu);
        let copies = pass_on(&mut child);

        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = status.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let status = ended.recv_timeout(self.limit);
        if status.is_err() {
            child.kill()?;
        }
        child.wait()?;
        for copy in copies {
            let _ = copy.join();
        }

        match status.as_deref().map(|text| text.trim().parse::<u8>()) {
            Ok(Ok(status)) => Ok(status.into()),
            Ok(Err(_)) => bail!(
                "the guest ended before its command; the last it said is in {}",
                self.kernel.console().display()
            ),
            Err(_) => bail!("not done after {} minutes; see --timeout", self.limit.as_secs() / 60),
        }
    }

    fn qemu(&self, script: &str) -> Command {
        let mut qemu = Command::new(QEMU);
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-nic", "none", "-cpu", "max", "-m", &self.memory.to_string()])
            .args(["-device", "virtio-rng-pci"]);
        if self.icount {
            qemu.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]);
        } else {
            let processors = available_parallelism().map_or(1, usize::from);
            qemu.args(["-accel", "tcg,thread=multi", "-smp", &processors.to_string()]);
        }

        qemu.arg("-kernel").arg(self.kernel.image());
        qemu.arg("-initrd").arg(self.kernel.initramfs());
        let (told, first) = self.root.start();
        qemu.args(["-append", &format!("console=ttyS0 quiet panic=-1{told}")]);
        let console = self.kernel.console().display().to_string();
        qemu.args(["-serial", &format!("file:{}", escaped(&console))]);

        // Our three standard streams are pipes, and QEMU uses none of them itself.
        qemu.args(["-device", "virtio-serial-pci"]);
        for (name, path) in [("status", "stdin"), ("out", "stdout"), ("err", "stderr")] {
            qemu.args(["-chardev", &format!("file,id={name},path=/dev/{path},append=on")]);
            qemu.args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
        }

        if self.wire {
            for end in ["wire0", "wire1"] {
                qemu.args(["-netdev", &format!("hubport,id={end},hubid=0")]);
                qemu.args(["-device", &format!("virtio-net-pci,netdev={end},romfile=")]);
            }
        }

        share(&mut qemu, "host", self.root.folder(), "readonly=on,multidevs=remap");
        share(&mut qemu, "modules", &self.kernel.modules(), "readonly=on");
        give(&mut qemu, "init", first);
        give(&mut qemu, "command", script);
        if let Some(folder) = &self.share {
            share(&mut qemu, "share", folder, "multidevs=remap");
            give(&mut qemu, "share", &folder.display().to_string());
        }

        // SAFETY: prctl is a plain system call, allowed between fork and exec.
        unsafe { qemu.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        qemu
    }
}

/// A folder that the guest can mount.
fn share(qemu: &mut Command, tag: &str, folder: &Path, how: &str) {
    let folder = escaped(&folder.display().to_string());
    qemu.args(["-fsdev", &format!("local,id={tag},path={folder},security_model=none,{how}")]);
    qemu.args(["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")]);
}

/// A text that the guest can read.
fn give(qemu: &mut Command, name: &str, text: &str) {
    qemu.args(["-fw_cfg", &format!("name=opt/xgre/{name},string={}", escaped(text))]);
}

/// A comma ends a value.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

/// Copies what a child prints to our own output as it comes.
fn pass_on(child: &mut Child) -> Vec<JoinHandle<()>> {
    let out = child.stdout.take().map(|from| thread::spawn(|| copy(from, io::stdout())));
    let err = child.stderr.take().map(|from| thread::spawn(|| copy(from, io::stderr())));
    out.into_iter().chain(err).collect()
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
