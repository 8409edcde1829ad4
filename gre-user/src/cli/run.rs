//! `xgre run`

use std::time::Duration;

use anyhow::Context as _;
use aya_log::EbpfLogger;
use clap::ValueEnum;
use gre_common::tables::UplinkMode;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output;
use crate::{
    datapath::{
        self, Error,
        load::{Options, Programs},
        privilege,
        uplink::{self, Attached},
    },
    netlink::{
        Netlink,
        link::Link,
        monitor::{Change, Monitor},
    },
    resolver,
    state::{State, StateDir},
};

/// How often everything is resolved anew, for what the kernel does not announce: a learned path MTU expires.
const REFRESH: Duration = Duration::from_secs(60);
/// How long changes are collected before they are acted on: a link that goes up brings several.
const SETTLE: Duration = Duration::from_millis(20);

/// How often the datapath's log is printed.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

type Logger = EbpfLogger<&'static dyn log::Log>;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Interfaces that carry the tunnels' packets.
    #[arg(long, required = true, num_args = 1.., value_name = "IFACE")]
    iface: Vec<String>,
    /// auto: XDP in the driver, or TC where the driver cannot.
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
    /// Drop GRE packets to a tunnel's address that match no binding, instead of passing them on.
    #[arg(long)]
    strict: bool,
    /// Leave the programs attached at the end.
    #[arg(long)]
    keep: bool,
    /// Room for this many tenants, ports and tunnels [default: 16384].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_tenants: Option<u32>,
    /// Tell what becomes of every packet, on stderr. Slow.
    #[arg(long)]
    debug_datapath: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Auto,
    Native,
    Generic,
    Tc,
}

impl From<Mode> for uplink::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
            Mode::Tc => Self::Tc,
        }
    }
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    privilege::check_load()?;
    let netlink = Netlink::connect()?;
    // Before anything is looked up, so that no change goes unseen.
    let mut monitor = Monitor::connect()?;
    let links = find_uplinks(dir, &netlink, &args).await?;

    let existed = dir.exists();
    dir.create()?;
    let started = start(dir, &netlink, &links, &args).await;
    if started.is_err() && !existed {
        dir.remove()?;
    }
    let mut daemon = started?;
    privilege::reduce()?;
    output::print(&"ready")?;

    daemon.serve(dir, &netlink, &mut monitor).await?;
    if !args.keep {
        let mut state = State::open(dir)?;
        datapath::detach::programs(dir, &mut state, &netlink).await?;
    }
    Ok(())
}

/// The interfaces, if all of them may become uplinks.
async fn find_uplinks(dir: &StateDir, netlink: &Netlink, args: &Args) -> anyhow::Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    for name in &args.iface {
        let link = netlink.link(name).await?;
        let link = link.ok_or_else(|| Error::UnknownInterface(name.clone()))?;
        uplink::check(dir, &link, args.mode.into())?;
        if links.iter().all(|other| other.ifindex != link.ifindex) {
            links.push(link);
        }
    }
    Ok(links)
}

/// What must live as long as the daemon.
struct Daemon {
    _lock: nix::fcntl::Flock<std::os::fd::OwnedFd>,
    logger: Option<Logger>,
    signals: [Signal; 2],
}

/// Loads and attaches everything. On an error, what this run attached is taken off again.
async fn start(
    dir: &StateDir,
    netlink: &Netlink,
    links: &[Link],
    args: &Args,
) -> anyhow::Result<Daemon> {
    let lock = dir.lock_daemon()?;
    let lock = lock.ok_or_else(|| Error::Running(dir.path().display().to_string()))?;
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let options =
        Options { strict: args.strict, max_tenants: args.max_tenants, debug: args.debug_datapath };
    let mut programs = Programs::load(dir, options)?;
    let logger = args.debug_datapath.then(|| start_logger(&mut programs)).transpose()?;

    let mut state = State::open(dir)?;
    state.register_unknown_interface()?;
    reattach_ports(dir, &mut state, netlink, &mut programs).await?;
    attach_uplinks(dir, &mut state, links, &mut programs, args.mode.into())?;
    resolver::resolve_all(&mut state, netlink).await?;
    Ok(Daemon { _lock: lock, logger, signals })
}

/// Attaches to every uplink, and detaches from those of an earlier run that are none any more.
fn attach_uplinks(
    dir: &StateDir,
    state: &mut State,
    links: &[Link],
    programs: &mut Programs,
    mode: uplink::Mode,
) -> anyhow::Result<()> {
    let before = state.uplinks()?;
    let earlier = |link: &Link| before.iter().find(|uplink| uplink.ifindex == link.ifindex);
    for (done, link) in links.iter().enumerate() {
        let entered = uplink::attach(programs, dir, link, mode, earlier(link).map(|u| u.mode))
            .and_then(|attached| {
                state.set_uplink(&attached.uplink)?;
                Ok(attached)
            });
        match entered {
            Ok(attached) => output::print(&describe(&attached, link))?,
            Err(error) => {
                for link in links[..=done].iter().filter(|link| earlier(link).is_none()) {
                    uplink::detach(dir, &link.name, link.ifindex)?;
                    state.delete_uplink(link.ifindex)?;
                }
                return Err(error.into());
            }
        }
    }
    let gone = |ifindex| links.iter().all(|link| link.ifindex != ifindex);
    for uplink in before.iter().filter(|uplink| gone(uplink.ifindex)) {
        uplink::detach(dir, &uplink.name, uplink.ifindex)?;
        state.delete_uplink(uplink.ifindex)?;
    }
    Ok(())
}

fn describe(attached: &Attached, link: &Link) -> String {
    let name = &link.name;
    let why = attached.fallback.as_deref();
    match attached.uplink.mode {
        UplinkMode::NATIVE => format!("{name}: native XDP, TC behind it"),
        UplinkMode::GENERIC => format!("{name}: generic XDP, TC behind it (as asked for)"),
        _ => format!("{name}: TC only ({})", why.unwrap_or("as asked for")),
    }
}

/// Puts the programs just loaded on the ports of an earlier run, and forgets ports whose device is gone.
async fn reattach_ports(
    dir: &StateDir,
    state: &mut State,
    netlink: &Netlink,
    programs: &mut Programs,
) -> anyhow::Result<()> {
    for port in state.ports()? {
        match netlink.link_by_index(port.record.ifindex).await? {
            Some(link) => datapath::port::attach(programs, dir, &link)?,
            None => {
                eprintln!("xgre: the device of port {} is gone; the port is deleted", port.name);
                datapath::port::detach(dir, &port.name, port.record.ifindex)?;
                state.delete_port(&port)?;
            }
        }
    }
    Ok(())
}

fn start_logger(programs: &mut Programs) -> anyhow::Result<Logger> {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        .filter_module("gre_ebpf", log::LevelFilter::Debug)
        .format_target(false)
        .init();
    EbpfLogger::init(programs.object()).context("cannot read the datapath's log")
}

impl Daemon {
    /// Follows the kernel's stack until interrupted.
    async fn serve(
        &mut self,
        dir: &StateDir,
        netlink: &Netlink,
        monitor: &mut Monitor,
    ) -> anyhow::Result<()> {
        let [interrupt, terminate] = &mut self.signals;
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                change = monitor.next() => match change {
                    Some(change) => follow(dir, netlink, collect(monitor, change).await).await?,
                    None => {
                        *monitor = Monitor::connect()?;
                        follow(dir, netlink, Vec::new()).await?;
                    }
                },
                _ = refresh.tick() => follow(dir, netlink, Vec::new()).await?,
                () = flush(self.logger.as_mut()) => {}
            }
        }
    }
}

/// The changes that come together with the first one.
async fn collect(monitor: &mut Monitor, first: Change) -> Vec<Change> {
    let mut changes = vec![first];
    let settled = tokio::time::sleep(SETTLE);
    tokio::pin!(settled);
    loop {
        tokio::select! {
            () = &mut settled => return changes,
            change = monitor.next() => match change {
                Some(change) => changes.push(change),
                None => return changes,
            }
        }
    }
}

/// Brings the state in line with the kernel's stack.
async fn follow(dir: &StateDir, netlink: &Netlink, changes: Vec<Change>) -> anyhow::Result<()> {
    let mut state = State::open(dir)?;
    for change in &changes {
        resolver::confirm(&state, netlink, change).await?;
        let Change::LinkGone(ifindex) = *change else { continue };
        for port in state.ports()?.iter().filter(|port| port.record.ifindex == ifindex) {
            eprintln!("xgre: the device of port {} is gone; the port is deleted", port.name);
            state.delete_port(port)?;
            datapath::port::detach(dir, &port.name, ifindex)?;
        }
        for uplink in state.uplinks()?.iter().filter(|uplink| uplink.ifindex == ifindex) {
            eprintln!("xgre: the uplink {} is gone; run again when it is back", uplink.name);
            uplink::detach(dir, &uplink.name, ifindex)?;
            state.delete_uplink(ifindex)?;
        }
    }
    resolver::resolve_all(&mut state, netlink).await?;
    Ok(())
}

/// Prints what the programs have told in a moment; never returns where they tell nothing.
async fn flush(logger: Option<&mut Logger>) {
    let Some(logger) = logger else { return std::future::pending().await };
    tokio::time::sleep(LOG_INTERVAL).await;
    logger.flush();
}
