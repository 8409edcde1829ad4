//! Many hosts of a fleet in one process, for benchmarks: the code that follows the store is the real one, and so is the store;
//! only the datapath is none. Prints one object of JSON.
//!
//! Each host has so many ports, each of another tenant; a tenant that has ports has five, at as many hosts. All others are defined
//! and idle.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts become averages, of which four digits matter"
)]

mod cloud;
mod nothing;
mod store;

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gre_user::{
    config::model::Model,
    fleet::{follower::Follower, options::Options, standing::Standing, wanted::Me},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Map, Value};
use tokio::{
    runtime,
    sync::watch::{self, Receiver},
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use cloud::{Cloud, Host, Move};
use nothing::Nothing;
use store::Store;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often is looked whether all hosts know.
const LOOK: Duration = Duration::from_millis(5);
/// How long before one port moves.
const PAUSE: Duration = Duration::from_millis(500);
/// How long hosts stay known that the store has let go.
const HOLD: Duration = Duration::from_secs(300);
const KIB: f64 = 1024.0;
/// How long nothing happens.
const REST: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    store: Options,
    #[arg(long)]
    hosts: Host,
    #[arg(long)]
    tenants: usize,
    /// Of each host.
    #[arg(long)]
    ports: usize,
    /// Ports that move one after the other.
    #[arg(long)]
    moves: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // A connection for each host.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let cloud = Cloud::new(args.hosts, args.ports)?;
    ensure!(cloud.tenants() <= args.tenants, "too few tenants");
    let standings = (0..args.hosts).map(|_| Standing::default()).collect();
    let store = Store::new(args.store.clone());
    let fleet = Fleet { args, store, cloud: Rc::new(RefCell::new(cloud)), standings };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = LocalSet::new().block_on(&runtime, fleet.measure())?;
    println!("{}", Value::Object(measured));
    Ok(())
}

/// Figures by their names.
type Figures = Map<String, Value>;

struct Fleet {
    args: Args,
    store: Store,
    cloud: Rc<RefCell<Cloud>>,
    standings: Vec<Standing>,
}

impl Fleet {
    async fn measure(&self) -> Result<Figures> {
        let mut all = self.define().await?;
        let (end, ended) = watch::channel(false);
        let (mut followers, figures) = self.start(&ended).await?;
        all.extend(figures);
        all.extend(self.move_one_by_one().await?);
        all.extend(self.move_many().await?);
        end.send(true)?;
        timeout(PATIENCE, async { while followers.join_next().await.is_some() {} }).await?;
        let sessions: u64 = self.standings.iter().map(|it| it.figures().sessions).sum();
        all.insert("sessions_lost".to_owned(), (sessions - self.args.hosts as u64).into());
        Ok(all)
    }

    async fn define(&self) -> Result<Figures> {
        say(&format!("{} tenants are defined", self.args.tenants));
        let begin = Instant::now();
        let ports = self.cloud.borrow().slots();
        self.store.define(self.args.tenants, ports).await?;
        Ok(figures([("load_s", begin.elapsed().as_secs_f64())]))
    }

    /// All hosts at once; then nothing happens for a while.
    async fn start(&self, ended: &Receiver<bool>) -> Result<(JoinSet<()>, Figures)> {
        say(&format!("{} hosts start at once", self.args.hosts));
        let (before, memory) = (self.store.counted().await?, own_memory()?);
        self.cloud.borrow_mut().expect_all();
        let begin = Instant::now();
        let followers = self.followers(ended);
        converge(&self.cloud).await?;
        let (start, started) = (begin.elapsed(), self.store.counted().await?);
        let own = own_memory()?.saturating_sub(memory);
        say("nothing happens");
        sleep(REST).await;
        let rested = self.store.counted().await?;
        let figures = figures([
            ("start_s", start.as_secs_f64()),
            ("watches", self.per_host(rested.watchers - before.watchers)),
            ("start_kib", self.per_host(started.sent - before.sent) / KIB),
            ("rest_bytes_per_s", self.per_host(rested.sent - started.sent) / REST.as_secs_f64()),
            ("host_kib", self.per_host(own as f64) / KIB),
        ]);
        Ok((followers, figures))
    }

    fn followers(&self, ended: &Receiver<bool>) -> JoinSet<()> {
        let mut followers = JoinSet::new();
        for (host, standing) in self.standings.iter().enumerate() {
            let address = u32::from(Ipv4Addr::new(10, 0, 0, 1)) + host as u32;
            let me = Me { name: cloud::host(host), addresses: vec![IpAddr::V4(address.into())] };
            let nothing = Nothing::new(host, self.cloud.clone());
            let store = self.args.store.clone();
            let follower = Follower::new(store, me, Model::new(), HOLD, nothing, standing.clone());
            followers.spawn_local(follower.run(ended.clone()));
        }
        followers
    }

    async fn move_one_by_one(&self) -> Result<Figures> {
        let mut times = Vec::new();
        for number in 0..self.args.moves {
            say(&format!("port {number} of {} moves", self.args.moves));
            sleep(PAUSE).await;
            let of = self.cloud.borrow_mut().relocate(number * 7 % self.args.hosts, 1);
            let begin = Instant::now();
            self.store.carry_out(&of).await?;
            converge(&self.cloud).await?;
            times.push(self.cloud.borrow().last().duration_since(begin).as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let middle = times.get(times.len() / 2).context("nothing moves")?;
        Ok(figures([("move_ms", *middle), ("slowest_ms", times[times.len() - 1])]))
    }

    async fn move_many(&self) -> Result<Figures> {
        say("a tenth of the hosts is emptied");
        let moves: Vec<Move> = {
            let mut cloud = self.cloud.borrow_mut();
            let hosts = 0..self.args.hosts.div_ceil(10);
            hosts.flat_map(|host| cloud.relocate(host, usize::MAX)).collect()
        };
        let before = self.store.counted().await?;
        let begin = Instant::now();
        self.store.carry_out(&moves).await?;
        let written = begin.elapsed();
        converge(&self.cloud).await?;
        let known = self.cloud.borrow().last().duration_since(begin);
        let after = self.store.counted().await?;
        let mut figures = figures([
            ("written_s", written.as_secs_f64()),
            ("converged_s", known.as_secs_f64()),
            ("moves_kib", self.per_host(after.sent - before.sent) / KIB),
            ("store_mib", after.memory / KIB / KIB),
        ]);
        figures.insert("moves".to_owned(), moves.len().into());
        Ok(figures)
    }

    fn per_host(&self, amount: f64) -> f64 {
        amount / self.args.hosts as f64
    }
}

fn figures<const N: usize>(named: [(&str, f64); N]) -> Figures {
    named.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()
}

/// Waits until all hosts know where everything is.
async fn converge(cloud: &Rc<RefCell<Cloud>>) -> Result<()> {
    let all = async {
        while !cloud.borrow().is_known() {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, all).await.with_context(|| cloud.borrow().left())
}

/// The memory of this process, in bytes.
fn own_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// Tells what is under way.
fn say(what: &str) {
    eprintln!("{what}");
}
