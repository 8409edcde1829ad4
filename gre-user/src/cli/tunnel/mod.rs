//! `xgre tunnel`
//!
//! - [`show`] prints them.

mod show;

use clap::Subcommand;

use crate::{
    config::model::{Syntax, Tunnel},
    manage::{self, Host},
    state::{State, StateDir},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tunnel.
    Add(Tunnel),
    /// Delete a tunnel that no tenant uses.
    Del {
        /// Its name.
        name: String,
    },
    /// List all tunnels.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one tunnel.
    Show {
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(dir: &StateDir, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Add(tunnel) => {
            tunnel.check(Syntax::Command)?;
            manage::tunnel::add(&mut Host::open(dir)?, &tunnel).await
        }
        Verb::Del { name } => Ok(State::open(dir)?.delete_tunnel(&name)?),
        Verb::List { json } => show::print(State::open(dir)?.tunnels(), json),
        Verb::Show { name, json } => show::print(vec![State::open(dir)?.tunnel(&name)?], json),
    }
}
