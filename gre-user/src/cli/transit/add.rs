//! `xgre transit add`

use super::Packets;
use crate::{
    config::model::{Syntax, Transit, transit::Action},
    manage::{self, Host},
    state::StateDir,
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("action").required(true))]
pub struct Args {
    #[command(flatten)]
    packets: Packets,
    /// Count them, and let them go on.
    #[arg(long, group = "action")]
    count: bool,
    /// Discard them.
    #[arg(long, group = "action")]
    drop: bool,
    /// Send them out of this interface, unchanged, MAC addresses included.
    #[arg(long, group = "action", value_name = "IFACE")]
    redirect: Option<String>,
}

impl From<Args> for Transit {
    fn from(args: Args) -> Self {
        let action = match args.redirect {
            Some(target) => Action::Redirect(target),
            None if args.drop => Action::Drop,
            None => Action::Count,
        };
        Self { packets: args.packets.into(), action }
    }
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    let rule = Transit::from(args);
    rule.check(Syntax::Command)?;
    manage::transit::add(&mut Host::open(dir)?, &rule).await
}
