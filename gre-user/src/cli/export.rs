//! `xgre export`

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Table;

use super::output::{self, JSON_VERSION};
use crate::{config::export, manage::Host, state::StateDir};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the same as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    tables: BTreeMap<&'static str, Vec<Table>>,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    let model = export::model(&Host::open(dir)?).await?;
    if args.json {
        let tables = export::tables(&model)?;
        return output::json(&Document { version: JSON_VERSION, tables });
    }
    output::print(&export::text(&model)?.trim_end())
}
