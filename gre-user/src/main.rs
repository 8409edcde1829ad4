//! The command `xgre`.

use std::process::ExitCode;

use clap::Parser as _;
use gre_user::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xgre: {error:#}");
            ExitCode::FAILURE
        }
    }
}
