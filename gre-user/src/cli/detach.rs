//! `xgre detach`

use anyhow::ensure;

use crate::{datapath, netlink::Netlink, state::StateDir};

pub async fn run(dir: &StateDir) -> anyhow::Result<()> {
    ensure!(dir.exists(), crate::state::Error::NoState(dir.path().to_owned()));
    let daemon = dir.lock_daemon()?;
    ensure!(
        daemon.is_some(),
        "`xgre run` still manages the state at {}; end it first",
        dir.path().display()
    );
    Ok(datapath::detach::everything(dir, &Netlink::connect()?).await?)
}
