//! Has a host be what the store says, session after session.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    mem,
    time::Duration,
};

use tokio::{
    sync::watch::Receiver,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    entry::{Endpoint, Status},
    mirror::Mirror,
    options::Options,
    pace::Pace,
    session::Session,
    standing::Standing,
    wanted::{Me, Wanted, wanted},
};
use crate::config::model::Model;

/// How often interfaces are looked for that were not there, what was refused is tried again, and the fleet is told what this host makes
/// of it.
const LOOK: Duration = Duration::from_secs(1);
/// How often everything is compared, for what others have changed.
const COMPARE: Duration = Duration::from_secs(10);
/// How long the store is left alone after an error, at most: twice as long each time.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// See [`LEAST_PAUSE`].
const MOST_PAUSE: Duration = Duration::from_secs(16);
/// How long the end waits for the store.
const FAREWELL: Duration = Duration::from_secs(2);

/// Who is behind ports: by tenant and interface.
pub type Endpoints = BTreeMap<(String, String), Endpoint>;

/// What is made as it is wanted.
#[expect(async_fn_in_trait, reason = "a follower stays in its thread")]
pub trait Datapath {
    /// Makes it so, and leaves out of what is wanted what cannot be. False: nothing can be made so.
    ///
    /// # Errors
    /// What there is cannot be found out.
    async fn make(&mut self, wanted: &mut Wanted) -> anyhow::Result<bool>;

    /// Who is behind the ports that were made.
    ///
    /// # Errors
    /// It cannot be found out.
    async fn endpoints(&self, wanted: &Wanted) -> anyhow::Result<Endpoints>;

    /// Whether there is an interface that was missing.
    ///
    /// # Errors
    /// It cannot be found out.
    async fn have_come(&self) -> anyhow::Result<bool>;
}

/// A host of the fleet.
pub struct Follower<D> {
    store: Options,
    mirror: Mirror,
    me: Me,
    /// What it is configured to be besides.
    local: Model,
    /// What it makes of what it knows.
    status: Status,
    standing: Standing,
    datapath: D,
}

impl<D: Datapath> Follower<D> {
    /// Begins with nothing. Hosts that the store lets go stay known for `hold`.
    pub fn new(
        store: Options,
        me: Me,
        local: Model,
        hold: Duration,
        datapath: D,
        standing: Standing,
    ) -> Self {
        Self {
            store,
            mirror: Mirror::new(hold),
            me,
            local,
            status: Status::default(),
            standing,
            datapath,
        }
    }

    /// Follows until it is told to end.
    pub async fn run(mut self, mut ended: Receiver<bool>) {
        let (mut told, mut pause) = (String::new(), LEAST_PAUSE);
        while !*ended.borrow() {
            let begin = Instant::now();
            let over = self.session(&mut ended).await;
            self.standing.change(|it| it.is_there = false);
            let Err(error) = over else { continue };
            let error = format!("{error:#}");
            let has_lasted = begin.elapsed() > MOST_PAUSE;
            if has_lasted || error != told {
                eprintln!("xgre: the fleet goes on as it was last known: {error}");
                told = error;
            }
            pause = if has_lasted { LEAST_PAUSE } else { MOST_PAUSE.min(pause * 2) };
            // Hosts shall not come all at once.
            let share = f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX);
            let _ = timeout(pause.mul_f64(share), ended.changed()).await;
        }
    }

    /// One session with the store.
    async fn session(&mut self, ended: &mut Receiver<bool>) -> anyhow::Result<()> {
        let mut session = Session::begin(&self.store, self.me.clone()).await?;
        session.align(&mut self.mirror).await?;
        eprintln!("xgre: following the fleet as host {}", self.me.name);
        self.standing.change(|it| (it.is_there, it.sessions) = (true, it.sessions + 1));
        let [mut look, mut compare] = [LOOK, COMPARE].map(|every| {
            let mut ticks = interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let mut pace = Pace::new(Instant::now());
        pace.change(Instant::now());
        // Whether what is wanted could not be made so.
        let mut retry = false;
        loop {
            let has_changed = tokio::select! {
                _ = ended.changed() => {
                    // Who does not answer sees the lease run out.
                    let _ = timeout(FAREWELL, session.end()).await;
                    return Ok(());
                }
                () = pace.due() => {
                    let begin = Instant::now();
                    session.align(&mut self.mirror).await?;
                    retry = !self.act(&mut session).await?;
                    pace.done(begin, Instant::now());
                    false
                }
                changed = session.next(&mut self.mirror) => changed?,
                _ = look.tick() => {
                    if session.has_news(&self.status) {
                        session.tell(&self.status).await?;
                    }
                    let aged = self.mirror.age(Instant::now().into_std());
                    retry || aged || self.datapath.have_come().await?
                }
                _ = compare.tick() => {
                    session.tell(&self.status).await?;
                    true
                }
            };
            if has_changed {
                pace.change(Instant::now());
            }
        }
    }

    /// Makes what is wanted so, and tells the fleet. False: it could not be made so.
    async fn act(&mut self, session: &mut Session) -> anyhow::Result<bool> {
        let mut wanted = wanted(&self.mirror, &self.me, &self.local);
        let is_made = self.datapath.make(&mut wanted).await?;
        if is_made {
            let endpoints = self.datapath.endpoints(&wanted).await?;
            wanted.problems.extend(session.publish(&self.mirror, &endpoints).await?);
        }
        let tenants = wanted.ports.values().map(|port| &port.tenant);
        let status = Status {
            revision: session.revision(),
            tenants: tenants.collect::<BTreeSet<_>>().len(),
            endpoints: wanted.ports.len(),
            peers: wanted.peers,
            problems: wanted.problems,
        };
        let before = mem::replace(&mut self.status, status);
        let Status { revision, peers, problems, .. } = &self.status;
        let new = tell_problems(&before.problems, problems);
        self.standing.change(|it| {
            (it.revision, it.peers, it.problems) = (*revision, *peers, problems.len());
            it.told += new as u64;
        });
        Ok(is_made)
    }
}

/// Prints problems that are new, and that others are over. Returns how many are new.
fn tell_problems(before: &BTreeSet<String>, now: &BTreeSet<String>) -> usize {
    for problem in now.difference(before) {
        eprintln!("xgre: fleet: {problem}");
    }
    for problem in before.difference(now) {
        eprintln!("xgre: fleet: no more: {problem}");
    }
    now.difference(before).count()
}
