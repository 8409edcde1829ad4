//! What a person does to the project: `cargo xtask build | run | test | fuzz | bench | vm | dist | book | picture`.
//!
//! - `workspace`: where the project is and which toolchain it asks for
//! - `toolchain/`: finds that toolchain, or installs it
//! - `build`, `run`, `test`, `fuzz`: one file per verb
//! - `bench/`: how fast it is
//! - `vm/`: any of it inside another kernel
//! - `dist/`: what is given away: a Debian package, an archive, and what is in them
//! - `book`: the documents as a book
//! - `demo/`: two hosts and a ping, for `run --demo`
//! - `tools`: what the system must have for demo and tests
//! - `picture`: a terminal's screen as a picture, for documents
//! - `process`: runs other programs
//! - `tally`: adds up what the test runners report
//! - `say`: how xtask speaks to the terminal

mod bench;
mod book;
mod build;
mod demo;
mod dist;
mod fuzz;
mod picture;
mod process;
mod run;
mod say;
mod tally;
mod test;
mod toolchain;
mod tools;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, runs and tests xgre. Each verb brings the tools it needs with it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the eBPF programs and the command: target/release/xgre
    Build(build::Args),
    /// Build, then run xgre on an interface, or show it with --demo
    Run(run::Args),
    /// Run every check and test; with FILTER only the integration tests whose name contains it
    Test(test::Args),
    /// Give the decisions frames of chance; with TARGET only that part of them
    Fuzz(fuzz::Args),
    /// Measure how fast it is; with CASE only those cases
    Bench(bench::Args),
    /// Make a picture (SVG) of a terminal's screen: tmux capture-pane -e -p | cargo xtask picture
    Picture(picture::Args),
    /// Make a book of docs/ with mdBook: target/book
    Book,
    /// Make a Debian package and a portable archive: target/dist
    Dist(dist::Args),
    /// Boot a Debian kernel and run one of these verbs, or any command, inside
    Vm(vm::Args),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    match verb {
        Verb::Build(args) => build::verb(&workspace, &args),
        Verb::Run(args) => run::verb(&workspace, &args),
        Verb::Test(args) => test::verb(&workspace, &args),
        Verb::Fuzz(args) => fuzz::verb(&workspace, &args),
        Verb::Bench(args) => bench::verb(&workspace, &args),
        Verb::Picture(args) => picture::verb(&args),
        Verb::Book => book::verb(&workspace),
        Verb::Dist(args) => dist::verb(&workspace, &args),
        Verb::Vm(args) => vm::verb(&workspace, &args),
    }
}
