//! What `xgre run` does: attach, follow the kernel's stack until interrupted, detach.
//!
//! - [`uplinks`] attaches the uplinks, and attaches again one that comes back.
//! - [`arrivals`] tells the slow path what is stacked on the uplinks.
//! - [`ports`] attaches the ports of an earlier run, and follows their devices; [`transit`] does so where there are
//!   transit rules.
//! - [`path_mtu`] believes routers, for a while.
//! - [`ipsec`] has the kernel encrypt what it wants to.
//! - [`log`] prints what the programs tell with `--debug-datapath`.
//! - [`service`] tells a service manager.

mod arrivals;
mod ipsec;
mod log;
mod path_mtu;
mod ports;
mod service;
mod transit;
mod uplinks;

use std::{os::fd::OwnedFd, time::Duration};

use nix::{fcntl::Flock, unistd::Gid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::service::Watchdog;
use crate::{
    config::model::Model,
    datapath::{
        Error, Result, detach, flood,
        load::{Options, Programs},
        privilege,
        ring::Rings,
        uplink::Mode,
    },
    fleet::{
        agent::{self, Agent},
        standing::Standing,
        wanted::Me,
    },
    metrics,
    netlink::{
        Netlink,
        monitor::{Change, Monitor},
    },
    resolver,
    slowpath::{
        SlowPath, Sockets, Underlay,
        arrivals::Arrivals,
        handed_up,
        ipsec::Sender,
        reports::{self, Reports},
    },
    state::{State, StateDir, live::Live},
};

/// How often everything is resolved anew, for what the kernel does not announce: a learned path MTU expires. And how often
/// stations are forgotten that programs do not believe any more.
const REFRESH: Duration = Duration::from_secs(60);
/// How long changes are collected before they are acted on: a link that goes up brings several.
const SETTLE: Duration = Duration::from_millis(20);

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names of the interfaces that carry the tunnels' packets.
    pub uplinks: Vec<String>,
    /// Begin without those that are not there yet, and attach to them when they appear.
    pub wait: bool,
    /// How packets are taken off them.
    pub mode: Mode,
    /// Leave the programs attached at the end.
    pub keep: bool,
    /// Who may use the maps besides root.
    pub group: Option<Gid>,
    /// Where metrics are served.
    pub metrics: metrics::Wanted,
    /// How to load the programs.
    pub load: Options,
    /// The fleet that is followed.
    pub fleet: Option<Fleet>,
}

/// A fleet, and what the host is configured to be besides.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// What is followed, and as whom.
    pub asked: agent::Following,
    /// What is configured locally.
    pub local: Model,
}

/// Runs until interrupted. What `configure` does comes before "ready".
///
/// # Errors
/// Something cannot be loaded, attached or configured; what this run attached is taken off again.
pub async fn run(
    dir: &StateDir,
    config: &Config,
    configure: impl AsyncFnOnce(&StateDir) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    privilege::check_load()?;
    let netlink = Netlink::connect()?;
    // Before anything is looked up, so that no change goes unseen.
    let monitor = Monitor::connect().await?;
    uplinks::check(dir, &netlink, config).await?;
    let me = in_fleet(config, &netlink).await?;
    // Who leaves packets alone sends none, and nobody's answer changes by his being there.
    let is_shadow = config.load.shadow;
    let sockets = (!is_shadow).then(Sockets::open).transpose()?;
    let underlay = (!is_shadow).then(Underlay::open).transpose().map_err(Error::SlowPath)?;
    let metrics = metrics::Listener::bind(&config.metrics)?;

    let existed = dir.exists();
    // An earlier run's, which was killed or ended with --keep.
    let was_attached = existed && State::open(dir).is_ok_and(|state| has_uplinks(&state));
    dir.create()?;
    let started = Daemon::start(dir, config, netlink.clone(), underlay).await;
    if started.is_err() && !existed {
        dir.remove()?;
    }
    let mut daemon = started?;
    let rings = handed_up::open(daemon.programs.object()).unwrap_or_else(|error| {
        eprintln!("xgre: what does not fit is dropped instead of fragmented: {error}");
        Rings::default()
    });
    privilege::reduce()?;
    let live = Live::open(dir, config.load.strict)?;
    let (sender, reports) = reports::channel();
    let start = |sockets| SlowPath::start(sockets, rings, live, daemon.arrivals.clone(), sender);
    let slow_path = sockets.map(start).transpose()?;
    if let Err(error) = configure(dir).await {
        drop(slow_path);
        if !was_attached {
            detach::programs(dir, &mut State::open(dir)?, &netlink).await?;
        }
        if !existed {
            dir.remove()?;
        }
        return Err(error);
    }
    let standing = me.as_ref().map(|me| (me.name.clone(), Standing::default()));
    if let Some(metrics) = metrics {
        let address = metrics.serve(dir, &config.uplinks, standing.clone())?;
        println!("metrics at http://{address}/metrics");
    }
    let start = |(fleet, me): (&Fleet, Me)| {
        let standing = standing.map(|(_, it)| it).unwrap_or_default();
        Agent::start(dir, &fleet.asked, me, fleet.local.clone(), standing)
    };
    let agent = config.fleet.as_ref().zip(me).map(start).transpose()?;
    println!("ready");
    service::ready();

    daemon.serve(monitor, reports).await?;
    if let Some(agent) = agent {
        agent.stop();
    }
    // Before the programs go: it would take what they have not seen.
    drop(slow_path);
    if !config.keep {
        detach::programs(dir, &mut State::open(dir)?, &netlink).await?;
    }
    Ok(())
}

/// Who this host is in the fleet that it follows, if it follows one.
async fn in_fleet(config: &Config, netlink: &Netlink) -> anyhow::Result<Option<Me>> {
    let Some(Fleet { asked, .. }) = &config.fleet else { return Ok(None) };
    let name = asked.host.clone().unwrap_or_default();
    let addresses = agent::addresses(asked, &config.uplinks, netlink).await?;
    Ok(Some(Me { name, addresses }))
}

fn has_uplinks(state: &State) -> bool {
    state.uplinks().is_ok_and(|uplinks| !uplinks.is_empty())
}

/// What lives as long as the daemon.
struct Daemon<'a> {
    dir: &'a StateDir,
    config: &'a Config,
    netlink: Netlink,
    programs: Programs,
    logger: Option<log::Logger>,
    arrivals: Arrivals,
    learned: path_mtu::Learned,
    /// By which packets get to IPsec, until [`Self::ipsec`] has it; `None` where packets are left alone.
    underlay: Option<Underlay>,
    /// `None` while there are no policies.
    ipsec: Option<Sender>,
    signals: [Signal; 2],
    _lock: Flock<OwnedFd>,
}

impl<'a> Daemon<'a> {
    async fn start(
        dir: &'a StateDir,
        config: &'a Config,
        netlink: Netlink,
        underlay: Option<Underlay>,
    ) -> Result<Self> {
        let lock = dir.lock_daemon()?;
        let lock = lock.ok_or_else(|| Error::Running(dir.path().display().to_string()))?;
        let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let mut programs = Programs::load(dir, config.load)?;
        if let Some(group) = config.group {
            for closed in dir.share(group)? {
                let path = closed.display();
                eprintln!(
                    "xgre: the group cannot search {path}; let it with `chmod o+x {path}`, or use --state"
                );
            }
        }
        let logger = config.load.debug.then(|| log::start(&mut programs)).transpose()?;
        let arrivals = Arrivals::default();
        let learned = path_mtu::Learned::default();
        let mut daemon = Self {
            dir,
            config,
            netlink,
            programs,
            logger,
            arrivals,
            learned,
            underlay,
            ipsec: None,
            signals,
            _lock: lock,
        };

        let mut state = State::open(dir)?;
        state.register_unknown_interface()?;
        let attached = daemon.attach(&mut state).await;
        if attached.is_err() && state.uplinks()?.is_empty() {
            // No earlier run's either: the ports' programs would send packets that no one answers to.
            detach::programs(dir, &mut state, &daemon.netlink).await?;
        }
        attached.map(|()| daemon)
    }

    async fn attach(&mut self, state: &mut State) -> Result<()> {
        self.attach_ports(state).await?;
        self.attach_transit(state).await?;
        flood::attach(&mut self.programs, self.dir, state, &self.netlink).await?;
        self.attach_uplinks(state).await?;
        self.refresh_arrivals(state, &[]).await?;
        let policies = self.refresh_ipsec(state).await?;
        resolver::resolve_all(state, &self.netlink, &policies).await
    }

    /// Follows the kernel's stack until interrupted.
    async fn serve(&mut self, mut monitor: Monitor, mut reports: Reports) -> Result<()> {
        let mut watchdog = Watchdog::connect();
        let mut refresh = tokio::time::interval(REFRESH);
        let mut ageing = tokio::time::interval(REFRESH);
        loop {
            let [interrupt, terminate] = &mut self.signals;
            let changes = tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = watchdog.alive() => continue,
                _ = refresh.tick() => Vec::new(),
                _ = ageing.tick() => {
                    let dir = self.dir.clone();
                    tokio::task::spawn_blocking(move || {
                        let aged = State::age_stations(&dir);
                        aged.map_err(Error::from).unwrap_or_else(cannot_follow);
                    });
                    continue;
                }
                () = log::flush(self.logger.as_mut()) => continue,
                reports = reports.next() => {
                    self.learn_path_mtus(&reports).unwrap_or_else(cannot_follow);
                    Vec::new()
                }
                change = monitor.next() => if let Some(change) = change {
                    settle(&mut monitor, change).await
                } else {
                    monitor = Monitor::connect().await?;
                    Vec::new()
                },
            };
            // The traffic flows on whatever happens here; the next change or refresh tries again.
            self.follow(&changes).await.unwrap_or_else(cannot_follow);
        }
        service::stopping();
        Ok(())
    }

    /// Brings the state in line with the kernel's stack.
    async fn follow(&mut self, changes: &[Change]) -> Result<()> {
        let mut state = State::open(self.dir)?;
        self.forget_path_mtus(&mut state);
        for change in changes {
            match *change {
                Change::LinkGone(ifindex) => {
                    if ifindex == state.flood_device()? {
                        flood::attach(&mut self.programs, self.dir, &mut state, &self.netlink)
                            .await?;
                    }
                    self.forget_port(&mut state, ifindex)?;
                    self.forget_transit(&mut state, ifindex)?;
                    self.forget_uplink(&mut state, ifindex)?;
                }
                Change::Link(ifindex) => {
                    self.refresh_port(&mut state, ifindex).await?;
                    self.refresh_uplink(&mut state, ifindex).await?;
                }
                _ => resolver::heed(&mut state, &self.netlink, change).await?,
            }
        }
        self.attach_returned_uplinks(&mut state).await?;
        self.refresh_arrivals(&state, changes).await?;
        let policies = self.refresh_ipsec(&mut state).await?;
        resolver::resolve_all(&mut state, &self.netlink, &policies).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used with unwrap_or_else")]
fn cannot_follow(error: Error) {
    eprintln!("xgre: cannot follow a change: {error}");
}

/// The changes that come together with the first one.
async fn settle(monitor: &mut Monitor, first: Change) -> Vec<Change> {
    let mut changes = vec![first];
    let settled = tokio::time::sleep(SETTLE);
    tokio::pin!(settled);
    loop {
        tokio::select! {
            () = &mut settled => return changes,
            change = monitor.next() => match change {
                Some(change) if changes.contains(&change) => {}
                Some(change) => changes.push(change),
                None => return changes,
            }
        }
    }
}
