//! Follows the fleet beside the daemon, in a thread of its own: the packets go on whatever happens here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gre_common::tables::Via;
use tokio::{
    runtime,
    sync::watch::{self, Receiver, Sender},
    time::{MissedTickBehavior, interval},
};

use super::{
    entry::{Endpoint, Port, Status},
    mirror::Mirror,
    options::Options,
    session::Session,
    wanted::{Me, Wanted, wanted},
};
use crate::{
    config::{
        apply, export,
        model::{Item, Model},
    },
    manage::Host,
    netlink::{Netlink, link::Link},
    state::{State, StateDir},
    value::Mac,
};

/// How long a host is taken for there after it was heard last.
const TTL: Duration = Duration::from_secs(15);
/// How often it is heard.
const PULSE: Duration = Duration::from_secs(4);
/// How often interfaces are looked for that were not there, and what was refused is tried again.
const LOOK: Duration = Duration::from_secs(1);
/// How often everything is compared, for what others have changed.
const COMPARE: Duration = Duration::from_secs(10);
/// How long the store is left alone after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for the store.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the user asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Following {
    /// Follow a fleet: its tenants, as far as this host has ports of them.
    #[command(flatten)]
    pub store: Options,
    /// What this host is called in the fleet.
    #[arg(long, value_name = "NAME", requires = "endpoints")]
    pub host: Option<String>,
    /// Its addresses of the underlay. By default the first ones of its uplinks.
    #[arg(long, value_name = "IP", value_delimiter = ',', requires = "host")]
    pub underlay: Vec<IpAddr>,
    /// Seconds for which a host stays known that the store has let go: it may only have lost the store.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "host")]
    pub hold: u64,
}

/// What runs.
pub struct Agent {
    end: Sender<bool>,
    thread: JoinHandle<()>,
}

impl Agent {
    /// Begins to follow. `local` is what the host is configured to be besides.
    ///
    /// # Errors
    /// There can be no other thread.
    pub fn start(dir: &StateDir, asked: &Following, me: Me, local: Model) -> io::Result<Self> {
        let (end, ended) = watch::channel(false);
        let follower = Follower {
            dir: dir.clone(),
            store: asked.store.clone(),
            mirror: Mirror::new(Duration::from_secs(asked.hold)),
            me,
            local,
            told: Wanted::default(),
            absent: BTreeSet::new(),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || runtime.block_on(follower.run(ended)))?;
        Ok(Self { end, thread })
    }

    /// Says farewell to the store, and ends.
    pub fn stop(self) {
        let _ = self.end.send(true);
        let _ = self.thread.join();
    }
}

/// The addresses by which others reach a host: those given, else the first ones of its uplinks.
///
/// # Errors
/// There are none, or the kernel does not answer.
pub async fn addresses(
    asked: &Following,
    uplinks: &[String],
    netlink: &Netlink,
) -> anyhow::Result<Vec<IpAddr>> {
    if !asked.underlay.is_empty() {
        return Ok(asked.underlay.clone());
    }
    let mut on_uplinks = Vec::new();
    for name in uplinks {
        on_uplinks.extend(netlink.link(name).await?.map(|link| link.ifindex));
    }
    let all = netlink.holdings().await?.addresses;
    let global = all.iter().filter(|it| it.scope == 0 && on_uplinks.contains(&it.ifindex));
    let global: Vec<_> = global.map(|it| it.local).collect();
    let first = |is: fn(&&IpAddr) -> bool| global.iter().find(is).copied();
    let found: Vec<_> =
        [first(|it| it.is_ipv4()), first(|it| it.is_ipv6())].into_iter().flatten().collect();
    ensure!(
        !found.is_empty(),
        "{} has no address by which the fleet could reach this host; give one to it, or name one with --underlay",
        uplinks.join(", ")
    );
    Ok(found)
}

/// Makes what is configured locally so, and deletes nothing: what the fleet said last goes on until it says something else.
///
/// # Errors
/// A change fails; nothing has changed then.
pub async fn apply_local(dir: &StateDir, local: &Model) -> anyhow::Result<()> {
    let host = Host::open(dir)?;
    let mut model = export::model(&host).await?;
    model.extend(local.clone());
    let changes = apply::plan(&host, model).await?;
    apply::apply(host, &changes).await
}

struct Follower {
    dir: StateDir,
    store: Options,
    mirror: Mirror,
    me: Me,
    local: Model,
    /// What was wanted last.
    told: Wanted,
    /// Interfaces that were not there.
    absent: BTreeSet<String>,
}

impl Follower {
    async fn run(mut self, mut ended: Receiver<bool>) {
        while !*ended.borrow() {
            if let Err(error) = self.session(&mut ended).await {
                eprintln!("xgre: the fleet goes on as it was last known: {error:#}");
                let _ = tokio::time::timeout(PAUSE, ended.changed()).await;
            }
        }
    }

    /// One session with the store.
    async fn session(&mut self, ended: &mut Receiver<bool>) -> anyhow::Result<()> {
        let mut session = Session::begin(&self.store, self.me.clone(), TTL).await?;
        session.align(&mut self.mirror).await?;
        eprintln!("xgre: following the fleet as host {}", self.me.name);
        let [mut pulse, mut look, mut compare] = [PULSE, LOOK, COMPARE].map(|every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        // Whether what is wanted is still to be made so, and whether it could not be.
        let (mut must_act, mut retry) = (true, false);
        loop {
            if must_act {
                retry = !self.act(&mut session).await?;
                must_act = false;
            }
            tokio::select! {
                _ = ended.changed() => {
                    // Who does not answer sees the lease run out.
                    let _ = tokio::time::timeout(FAREWELL, session.end()).await;
                    return Ok(());
                }
                changed = session.next(&mut self.mirror) => {
                    must_act |= changed? | session.settle(&mut self.mirror).await?;
                    must_act |= session.align(&mut self.mirror).await?;
                }
                _ = pulse.tick() => session.keep().await?,
                _ = look.tick() => {
                    let aged = self.mirror.age(Instant::now());
                    must_act |= retry || aged || self.have_come().await?;
                }
                _ = compare.tick() => must_act = true,
            }
        }
    }

    /// Whether there is an interface that was not there.
    async fn have_come(&self) -> anyhow::Result<bool> {
        if self.absent.is_empty() {
            return Ok(false);
        }
        let there = interfaces().await?;
        Ok(self.absent.iter().any(|name| there.contains_key(name)))
    }

    /// Makes what is wanted so, and tells the fleet. False: it could not be made so.
    async fn act(&mut self, session: &mut Session) -> anyhow::Result<bool> {
        let mut wanted = wanted(&self.mirror, &self.me, &self.local);
        self.leave_absent(&mut wanted, &interfaces().await?);
        let is_made = self.make(&mut wanted).await;
        if is_made {
            let endpoints = endpoints(&self.dir, &wanted).await?;
            wanted.problems.extend(session.publish(&self.mirror, &endpoints).await?);
        }
        self.tell_problems(&wanted);
        let tenants = wanted.ports.values().map(|port| &port.tenant);
        let status = Status {
            revision: session.revision(),
            tenants: tenants.collect::<BTreeSet<_>>().len(),
            endpoints: wanted.ports.len(),
            peers: wanted.peers,
            problems: wanted.problems.iter().cloned().collect(),
        };
        self.told = wanted;
        session.tell(status).await?;
        Ok(is_made)
    }

    /// Makes the state what is wanted. Where that cannot be, one port may be what stands in the way of all: those that are new come
    /// one after the other then, and what cannot be is left out. False: nothing can be made so.
    async fn make(&self, wanted: &mut Wanted) -> bool {
        if make(&self.dir, &wanted.model).await.is_ok() {
            return true;
        }
        let is_new = |name: &&String| !self.told.ports.contains_key(*name);
        let new: Vec<_> = wanted.ports.keys().filter(is_new).cloned().collect();
        let mut left_out = Vec::new();
        for name in new {
            let port = wanted.ports.get(&name).cloned();
            left_out.extend(port.map(|port| (wanted.leave_out(&name), name, port)));
        }
        if let Err(error) = make(&self.dir, &wanted.model).await {
            wanted.problems.insert(format!("{error:#}"));
            return false;
        }
        for (items, name, port) in left_out {
            wanted.model.extend(items);
            wanted.ports.insert(name.clone(), port);
            if let Err(error) = make(&self.dir, &wanted.model).await {
                wanted.leave_out(&name);
                wanted.problems.insert(format!("{error:#}"));
            }
        }
        true
    }

    /// Leaves out what needs an interface that is not there yet.
    fn leave_absent(&mut self, wanted: &mut Wanted, there: &BTreeMap<String, Link>) {
        let needed = wanted.model.values().flat_map(Item::interfaces);
        let absent = needed.filter(|name| !there.contains_key(*name)).map(str::to_owned);
        self.absent = absent.collect();
        for name in &self.absent {
            wanted.leave_out(name);
            wanted.problems.insert(format!("there is no interface {name} yet"));
        }
    }

    /// Prints problems that are new, and that others are over.
    fn tell_problems(&self, wanted: &Wanted) {
        for problem in wanted.problems.difference(&self.told.problems) {
            eprintln!("xgre: fleet: {problem}");
        }
        for problem in self.told.problems.difference(&wanted.problems) {
            eprintln!("xgre: fleet: no more: {problem}");
        }
    }
}

/// Makes the state what is wanted, or changes nothing.
async fn make(dir: &StateDir, model: &Model) -> anyhow::Result<()> {
    let host = Host::open(dir)?;
    let changes = apply::plan(&host, model.clone()).await.context("cannot follow the fleet")?;
    if changes.is_empty() {
        return Ok(());
    }
    apply::apply(host, &changes).await.context("cannot follow the fleet")
}

/// Who is behind this host's ports: as declared, else the station that a created device has, else the only one that was heard there.
async fn endpoints(
    dir: &StateDir,
    wanted: &Wanted,
) -> anyhow::Result<BTreeMap<(String, String), Endpoint>> {
    let links = interfaces().await?;
    let is_to_learn = |port: &Port| !port.create && port.endpoint.mac.is_none();
    let stations =
        if wanted.ports.values().any(is_to_learn) { State::stations_of(dir)? } else { Vec::new() };
    let heard = |link: &Link| {
        let at = Via::port(link.ifindex);
        let mut there = stations.iter().filter(|(_, via)| *via == at).map(|(key, _)| key.mac());
        there.next().filter(|_| there.next().is_none())
    };
    let endpoint = |(iface, port): (&String, &Port)| {
        let link = links.get(iface);
        let found = link.and_then(|link| if port.create { link.mac } else { heard(link) });
        let mac = port.endpoint.mac.or(found.map(Mac));
        let endpoint = Endpoint { mac, addresses: port.endpoint.addresses.clone() };
        ((port.tenant.clone(), iface.clone()), endpoint)
    };
    Ok(wanted.ports.iter().map(endpoint).collect())
}

/// The interfaces that there are, by their names.
async fn interfaces() -> anyhow::Result<BTreeMap<String, Link>> {
    let links = Netlink::connect()?.links().await?;
    Ok(links.into_iter().map(|link| (link.name.clone(), link)).collect())
}
