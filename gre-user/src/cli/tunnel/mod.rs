//! `xgre tunnel`
//!
//! - [`add`] makes one of what the user typed.
//! - [`show`] prints them.

mod add;
mod show;

use clap::Subcommand;

use crate::state::{State, StateDir};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a tunnel.
    Add(add::Args),
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
        Verb::Add(args) => add::run(dir, &args).await,
        Verb::Del { name } => Ok(State::open(dir)?.delete_tunnel(&name)?),
        Verb::List { json } => show::print(State::open(dir)?.tunnels(), json),
        Verb::Show { name, json } => show::print(vec![State::open(dir)?.tunnel(&name)?], json),
    }
}
