//! `xgre run`

use std::path::PathBuf;

use anyhow::ensure;
use clap::ValueEnum;

use crate::{
    config::file,
    daemon::{self, Config, Fleet},
    datapath::{load::Options, uplink},
    fleet::agent,
    metrics,
    state::{StateDir, share, sizes::Asked},
};

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Interfaces that carry the tunnels' packets.
    #[arg(long, required = true, num_args = 1.., value_name = "IFACE")]
    iface: Vec<String>,
    /// Begin without interfaces that are not there yet, and attach to them when they appear.
    #[arg(long)]
    wait: bool,
    /// auto: native, or tc where the driver cannot; native: XDP in the driver; generic: XDP behind the
    /// driver, for tests; tc: no XDP, the best choice on veth.
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
    /// Drop GRE packets to a tunnel's address that match no binding, instead of passing them on.
    #[arg(long)]
    strict: bool,
    /// Decide and count, and leave every packet alone: to see beside another endpoint what xgre would do. Uses TC only.
    #[arg(long, conflicts_with_all = ["mode", "steer"])]
    shadow: bool,
    /// inner: spread the flows inside a tunnel, all of whose packets a NIC puts on one CPU, over all CPUs. Needs native
    /// XDP.
    #[arg(long, value_enum)]
    steer: Option<Steer>,
    /// Let users of this group read everything and change tenants, stations and routes without root; tunnels and ports stay
    /// root's.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Leave the programs attached at the end.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    sizes: Asked,
    /// Apply this file, as `xgre apply` does, before saying "ready".
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    metrics: metrics::Wanted,
    #[command(flatten)]
    fleet: agent::Following,
    /// Tell what becomes of every packet, on stderr. Slow.
    #[arg(long)]
    debug_datapath: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Auto,
    Native,
    Generic,
    Tc,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Steer {
    Inner,
}

impl From<Mode> for uplink::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
            Mode::Tc => Self::Tc,
        }
    }
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    ensure!(
        args.steer.is_none() || matches!(args.mode, Mode::Auto | Mode::Native),
        "--steer needs XDP in the driver; leave it out, or use --mode native"
    );
    let file = args.config.map(|path| file::read(&path)).transpose()?;
    let (local, table) = file.map(|it| (it.model, it.fleet)).unzip();
    let asked = args.fleet.or(table.flatten());
    let has_fleet = asked.is_asked()?;
    let fleet = has_fleet.then(|| Fleet { asked, local: local.clone().unwrap_or_default() });
    let config = Config {
        uplinks: args.iface,
        wait: args.wait,
        mode: if args.shadow { uplink::Mode::Shadow } else { args.mode.into() },
        keep: args.keep,
        group: args.group.as_deref().map(share::group).transpose()?,
        metrics: args.metrics,
        load: Options {
            strict: args.strict,
            sizes: args.sizes,
            generic: matches!(args.mode, Mode::Generic),
            steer: args.steer.is_some(),
            shadow: args.shadow,
            fleet: has_fleet,
            debug: args.debug_datapath,
        },
        fleet,
    };
    daemon::run(dir, &config, async |dir| match local {
        Some(local) if has_fleet => agent::apply_local(dir, &local).await,
        Some(local) => super::apply::at_start(dir, local).await,
        None => Ok(()),
    })
    .await
}
