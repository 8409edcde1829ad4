//! `cargo xtask run --demo`: two hosts in network namespaces, a keyed tunnel, and a ping that crosses it.
//!
//! Hosts, daemons and state die with the process, however it ends; the testbed sees to that.
//!
//! - `wire`: a captured packet, header by header

mod wire;

use std::{env, process::ExitCode};

use anstream::println;
use anstyle::{AnsiColor, Style};
use anyhow::{Error, Result, ensure};
use testbed::{Capture, Daemon, Host};

use crate::{
    build, say,
    toolchain::{Install, debian},
    tools,
    workspace::Workspace,
};

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();

const PICTURE: &str = "
       host one                                      host two
    +-------------+                               +-------------+
    |    blue0    |         tenant \"blue\"         |    blue0    |
    |  10.9.0.1   |                               |  10.9.0.2   |
    |      |      |                               |      |      |
    |    xgre     |                               |    xgre     |
    |      |      |          GRE, key 10          |      |      |
    |    eth0     | ============================= |    eth0     |
    |  192.0.2.1  |                               |  192.0.2.2  |
    +-------------+                               +-------------+";

/// Builds, then plays the demo.
pub fn verb(workspace: &Workspace, install: Install) -> Result<ExitCode> {
    ensure!(
        debian::is_root(),
        "the demo makes network namespaces, which needs root. Type:\n  {}",
        say::as_root("run --demo")
    );
    tools::bring(tools::NETWORK, "what the demo runs", install)?;
    build::all(workspace, install)?;
    // SAFETY: xtask has a single thread up to here.
    unsafe { env::set_var("XGRE", workspace.xgre()) };
    testbed::isolate().map_err(Error::msg)?;
    play()?;
    Ok(ExitCode::SUCCESS)
}

/// The play itself. A command that fails panics, with what it said.
fn play() -> Result<()> {
    println!("{PICTURE}");
    let (one, two) = testbed::two_hosts();
    let one =
        Side { name: "one", host: one, underlay: ["192.0.2.1", "192.0.2.2"], inner: "10.9.0.1" };
    let two =
        Side { name: "two", host: two, underlay: ["192.0.2.2", "192.0.2.1"], inner: "10.9.0.2" };

    title("Each host attaches xgre to its NIC and puts tenant blue behind key 10");
    let daemons = [&one, &two].map(Side::set_up);

    title("A ping from blue to blue");
    let capture = Capture::start(&one.host.ns, "eth0");
    let ping = format!("ping -c 3 -i 0.2 -W 2 {}", two.inner);
    one.echo(&ping);
    let ping = one.host.ns.exec(&ping);
    let frames = capture.stop();
    let worth_showing = |line: &&str| line.contains("bytes from") || line.contains("packets");
    reply(ping.stdout.lines().filter(worth_showing));

    if let Some(request) = frames.iter().find(|frame| frame.outgoing && frame.gre().is_some()) {
        title("The first request on the wire, as it leaves host one");
        wire::show(&request.bytes)?;
    }

    title("What xgre counted");
    for side in [&one, &two] {
        side.xgre("stats");
    }

    ensure!(ping.stdout.contains(" 0% packet loss"), "not every ping came back");
    daemons.into_iter().for_each(Daemon::stop);
    println!("\n{DIM}Both hosts are gone again; nothing of this machine was touched.{DIM:#}");
    Ok(())
}

/// One of the two hosts.
struct Side {
    name: &'static str,
    host: Host,
    /// Local and remote address of the tunnel.
    underlay: [&'static str; 2],
    /// The tenant's address here.
    inner: &'static str,
}

impl Side {
    fn set_up(&self) -> Daemon {
        self.echo("xgre run --iface eth0");
        let daemon = self.host.start("--iface eth0");
        reply(daemon.greeting.iter().map(String::as_str));

        let [local, remote] = self.underlay;
        self.xgre(&format!("tunnel add wan --local {local} --remote {remote}"));
        self.xgre("tenant add blue --key 10 --tunnel wan");
        self.xgre("port add blue blue0 --create");
        let address = format!("addr add {}/24 dev blue0", self.inner);
        self.echo(&format!("ip {address}"));
        self.host.ns.ip(&address);
        daemon
    }

    /// Runs xgre; shows the command and what it says.
    fn xgre(&self, args: &str) {
        self.echo(&format!("xgre {args}"));
        reply(self.host.xgre(args).ok().lines());
    }

    fn echo(&self, command: &str) {
        println!("    {DIM}{}$ {command}{DIM:#}", self.name);
    }
}

fn title(text: &str) {
    println!("\n  {TITLE}{text}{TITLE:#}\n");
}

fn reply<'a>(lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        println!("{}", format!("      {line}").trim_end());
    }
}
