//! `xgre capture`

use std::path::PathBuf;

use anyhow::Context as _;
use gre_common::tables::{HandedUp, Sight};

use crate::{
    capture::{
        self, Output, Style, Tally, create,
        wanted::{Asked, Wanted},
    },
    state::{State, StateDir},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only packets of this tenant or tunnel.
    #[arg(value_name = "TENANT|TUNNEL")]
    name: Option<String>,
    /// Only packets that are dropped.
    #[arg(long)]
    drops: bool,
    /// Also packets that are not GRE, and those of ports that are not IP.
    #[arg(long, conflicts_with = "drops")]
    all: bool,
    /// Write a pcapng file, which Wireshark, tshark and tcpdump read; - is the standard output.
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    write: Option<PathBuf>,
    /// End after so many packets.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Take one packet of so many, by chance.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    one_in: u32,
    /// Bytes of each packet at most.
    #[arg(
        short,
        long,
        value_name = "BYTES",
        default_value_t = HandedUp::MAX_LEN as u32,
        value_parser = clap::value_parser!(u32).range(14..=HandedUp::MAX_LEN as i64),
    )]
    snaplen: u32,
    /// Print a JSON document for each packet.
    #[arg(long)]
    json: bool,
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    let asked = Asked {
        name: args.name.as_deref(),
        sight: match (args.drops, args.all) {
            (true, _) => Sight::DROPS,
            (_, true) => Sight::ALL,
            _ => Sight::OURS,
        },
        bytes: args.snaplen,
        one_in: args.one_in,
    };
    let wanted = Wanted::find(&State::open(dir)?, asked)?;
    let output = match &args.write {
        Some(path) => {
            let file = create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Output::Pcapng(file)
        }
        None if args.json => Output::Lines(Style::Json),
        None => Output::Lines(Style::Words),
    };
    let Tally { shown, lost } = capture::capture(dir, &wanted, output, args.count).await?;
    let remedy = if lost > 0 { "; take less of them with --one-in and --snaplen" } else { "" };
    eprintln!("{shown} captured, {lost} lost for want of room{remedy}");
    Ok(())
}
