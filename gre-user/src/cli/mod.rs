//! The command `xgre`: one file per verb.
//!
//! - [`run`] is the daemon.
//! - [`tunnel`], [`tenant`], [`port`], [`route`], [`fdb`], [`neigh`] and [`transit`] read and change the state.
//! - [`stats`] shows the counters, [`top`] how fast they grow, [`trace`] what would become of a packet, [`capture`] what becomes of
//!   those that come, [`events`] what happens, [`doctor`] what is wrong with the host.
//! - [`detach`] takes everything down.
//! - [`check`], [`apply`] and [`export`] are about files; [`import`] makes one of what others do.
//! - [`output`] is what users see.

mod apply;
mod capture;
mod check;
mod detach;
mod doctor;
mod events;
mod export;
mod fdb;
mod fleet;
mod import;
mod neigh;
mod output;
mod port;
mod route;
mod run;
mod stats;
mod tenant;
mod top;
mod trace;
mod transit;
mod tunnel;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::state::StateDir;

/// A GRE tunnel endpoint at the NIC hook: keyed tunnels for many tenants, in XDP and TC.
#[derive(Debug, Parser)]
#[command(name = "xgre", version, propagate_version = true)]
pub struct Cli {
    /// Folder of the state, on a BPF file system; one per network namespace.
    #[arg(
        long,
        global = true,
        env = "XGRE_STATE",
        default_value = "/sys/fs/bpf/xgre",
        value_name = "DIR"
    )]
    state: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Attach to uplinks, and keep next hops resolved until interrupted.
    Run(run::Args),
    /// Tunnels: pairs of local and remote address.
    #[command(subcommand)]
    Tunnel(tunnel::Verb),
    /// Tenants: isolated networks, each with its key.
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Ports: interfaces through which a tenant's packets enter and leave.
    #[command(subcommand)]
    Port(port::Verb),
    /// Where the destinations of l3 tenants with several tunnels or ports are.
    #[command(subcommand)]
    Route(route::Verb),
    /// Neighbours for whom tenants' ports answer.
    #[command(subcommand)]
    Neigh(neigh::Verb),
    /// Where the stations of l2 tenants with several tunnels or ports are.
    #[command(subcommand)]
    Fdb(fdb::Verb),
    /// Rules for GRE packets that merely pass through, whose tunnels end elsewhere.
    #[command(subcommand)]
    Transit(transit::Verb),
    /// Tell whether a configuration file is right. Needs no privilege, and looks at nothing else.
    Check(check::Args),
    /// Make tunnels, tenants, ports and transit rules those of a file, or change nothing.
    Apply(apply::Args),
    /// Print what is configured as a file for apply.
    Export(export::Args),
    /// Print what the kernel's GRE devices or Open vSwitch do as a file for apply. Changes nothing.
    #[command(subcommand)]
    Import(import::Verb),
    /// Counters of tenants, ports and uplinks.
    Stats(stats::Args),
    /// Live rates of tenants, tunnels, drops and uplinks.
    Top(top::Args),
    /// Tell what the programs would do with packets now, and why; changes nothing.
    Trace(trace::Args),
    /// Show packets as they come to the programs, with what becomes of them and why, until interrupted.
    Capture(capture::Args),
    /// Follow what happens, until interrupted: tunnels up and down, stations learned and moved, limits hit, uplinks gone and back.
    Events(events::Args),
    /// Tell what is wrong with this host, and what to do; changes nothing. Fails where there is an error.
    Doctor(doctor::Args),
    /// Many hosts from one source of truth: what the store says that they follow.
    Fleet(fleet::Args),
    /// Take every program off its interface, and remove the state and the devices that xgre made.
    Detach,
}

impl Cli {
    /// Carries the command out, and gives its exit status.
    ///
    /// # Errors
    /// Cause and remedy, for stderr; nothing is half done.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let dir = StateDir::new(self.state);
        match self.verb {
            Verb::Run(args) => run::run(&dir, args).await,
            Verb::Tunnel(verb) => tunnel::run(&dir, verb).await,
            Verb::Tenant(verb) => tenant::run(&dir, verb).await,
            Verb::Port(verb) => port::run(&dir, verb).await,
            Verb::Route(verb) => route::run(&dir, verb),
            Verb::Neigh(verb) => neigh::run(&dir, verb),
            Verb::Fdb(verb) => fdb::run(&dir, verb),
            Verb::Transit(verb) => transit::run(&dir, verb).await,
            Verb::Check(args) => check::run(&args),
            Verb::Apply(args) => apply::run(&dir, &args).await,
            Verb::Export(args) => export::run(&dir, &args).await,
            Verb::Import(verb) => import::run(verb).await,
            Verb::Stats(args) => stats::run(&dir, args).await,
            Verb::Top(args) => top::run(&dir, args).await,
            Verb::Trace(args) => trace::run(&dir, &args).await,
            Verb::Capture(args) => capture::run(&dir, args).await,
            Verb::Events(args) => events::run(&dir, &args).await,
            Verb::Fleet(args) => fleet::run(args).await,
            Verb::Detach => detach::run(&dir).await,
            Verb::Doctor(args) => return doctor::run(&dir, args).await,
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
