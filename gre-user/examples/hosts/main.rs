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
use serde_json::json;
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
    let cloud = Rc::new(RefCell::new(Cloud::new(args.hosts, args.ports)?));
    ensure!(cloud.borrow().tenants() <= args.tenants, "too few tenants");
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(&args, &cloud))
}

async fn measure(args: &Args, cloud: &Rc<RefCell<Cloud>>) -> Result<()> {
    let store = Store::new(args.store.clone());
    say(&format!("{} tenants are defined", args.tenants));
    let begin = Instant::now();
    let ports = cloud.borrow().slots();
    store.define(args.tenants, ports).await?;
    let load = begin.elapsed();

    say(&format!("{} hosts start at once", args.hosts));
    let (before, memory) = (store.counted().await?, own_memory()?);
    cloud.borrow_mut().expect_all();
    let begin = Instant::now();
    let (end, ended) = watch::channel(false);
    let standings: Vec<_> = (0..args.hosts).map(|_| Standing::default()).collect();
    let mut followers = start(args, cloud, &standings, &ended);
    converge(cloud).await?;
    let (start, started) = (begin.elapsed(), store.counted().await?);
    let own = own_memory()?.saturating_sub(memory);

    say("nothing happens");
    sleep(REST).await;
    let rested = store.counted().await?;

    let mut times = Vec::new();
    for number in 0..args.moves {
        say(&format!("port {number} of {} moves", args.moves));
        sleep(PAUSE).await;
        let of = cloud.borrow_mut().relocate(number * 7 % args.hosts, 1);
        let begin = Instant::now();
        store.carry_out(&of).await?;
        converge(cloud).await?;
        times.push(cloud.borrow().last().duration_since(begin).as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);

    say("a tenth of the hosts is emptied");
    let moved: Vec<Move> = {
        let mut cloud = cloud.borrow_mut();
        (0..args.hosts.div_ceil(10)).flat_map(|host| cloud.relocate(host, usize::MAX)).collect()
    };
    let before_moves = store.counted().await?;
    let begin = Instant::now();
    store.carry_out(&moved).await?;
    let written = Instant::now();
    converge(cloud).await?;
    let known = cloud.borrow().last();
    let after_moves = store.counted().await?;

    end.send(true)?;
    timeout(PATIENCE, async { while followers.join_next().await.is_some() {} }).await?;

    let sessions: u64 = standings.iter().map(|it| it.figures().sessions).sum();
    let per_host = |amount: f64| amount / args.hosts as f64;
    let middle = times.get(times.len() / 2).copied();
    println!(
        "{}",
        json!({
            "hosts": args.hosts,
            "tenants": args.tenants,
            "sessions_lost": sessions - args.hosts as u64,
            "load_s": load.as_secs_f64(),
            "start_s": start.as_secs_f64(),
            "move_ms": middle,
            "slowest_ms": times.last(),
            "moves": moved.len(),
            "written_s": written.duration_since(begin).as_secs_f64(),
            "converged_s": known.duration_since(begin).as_secs_f64(),
            "watches": per_host(rested.watchers - before.watchers),
            "start_kib": per_host(started.sent - before.sent) / 1024.0,
            "rest_bytes_per_s": per_host(rested.sent - started.sent) / REST.as_secs_f64(),
            "moves_kib": per_host(after_moves.sent - before_moves.sent) / 1024.0,
            "host_kib": per_host(own as f64) / 1024.0,
            "store_mib": after_moves.memory / f64::from(1 << 20),
        })
    );
    Ok(())
}

fn start(
    args: &Args,
    cloud: &Rc<RefCell<Cloud>>,
    standings: &[Standing],
    ended: &Receiver<bool>,
) -> JoinSet<()> {
    let mut followers = JoinSet::new();
    for (host, standing) in standings.iter().enumerate() {
        let address = u32::from(Ipv4Addr::new(10, 0, 0, 1)) + host as u32;
        let me = Me { name: cloud::host(host), addresses: vec![IpAddr::V4(address.into())] };
        let nothing = Nothing::new(host, cloud.clone());
        let hold = Duration::from_secs(300);
        let store = args.store.clone();
        let follower = Follower::new(store, me, Model::new(), hold, nothing, standing.clone());
        followers.spawn_local(follower.run(ended.clone()));
    }
    followers
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
