//! Follows the fleet beside the daemon, in a thread of its own: the packets go on whatever happens here.

use std::{
    io,
    net::IpAddr,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::ensure;
use tokio::{
    runtime,
    sync::watch::{self, Sender},
};

use super::{follower::Follower, here::Here, options::Options, standing::Standing, wanted::Me};
use crate::{
    config::{apply, export, fleet::Fleet, model::Model},
    manage::Host,
    netlink::Netlink,
    state::StateDir,
};

/// How long a host stays known that the store has let go.
const HOLD: Duration = Duration::from_secs(300);

/// What the user asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Following {
    /// Follow a fleet: its tenants, as far as this host has ports of them.
    #[command(flatten)]
    pub store: Options,
    /// What this host is called in the fleet.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Its addresses of the underlay. By default the first ones of its uplinks.
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub underlay: Vec<IpAddr>,
    /// Seconds for which a host stays known that the store has let go: it may only have lost the store. By default 300.
    #[arg(long, value_name = "SECONDS")]
    pub hold: Option<u64>,
}

impl Following {
    /// What is not said here the file's table says.
    #[must_use]
    pub fn or(self, table: Option<Fleet>) -> Self {
        let Some(table) = table else { return self };
        Self {
            host: self.host.or_else(|| table.host.clone()),
            underlay: if self.underlay.is_empty() { table.underlay.clone() } else { self.underlay },
            hold: self.hold.or(table.hold),
            store: self.store.or(table),
        }
    }

    /// Whether a fleet is followed.
    ///
    /// # Errors
    /// Half of it is said.
    pub fn is_asked(&self) -> anyhow::Result<bool> {
        let is_somebody = self.host.is_some() || !self.underlay.is_empty() || self.hold.is_some();
        ensure!(
            self.store.is_given() || !is_somebody,
            "--host, --underlay and --hold are for a fleet, and none is named; give --fleet, or [fleet] in the file"
        );
        ensure!(
            !self.store.is_given() || self.host.is_some(),
            "what is this host called in the fleet? Give --host NAME"
        );
        Ok(self.store.is_given())
    }
}

/// What runs.
pub struct Agent {
    end: Sender<bool>,
    thread: JoinHandle<()>,
}

impl Agent {
    /// Begins to follow. `local` is what the host is configured to be besides.
    ///
    /// # Errors
    /// There can be no other thread.
    pub fn start(
        dir: &StateDir,
        asked: &Following,
        me: Me,
        local: Model,
        standing: Standing,
    ) -> io::Result<Self> {
        let (end, ended) = watch::channel(false);
        let hold = asked.hold.map_or(HOLD, Duration::from_secs);
        let follower =
            Follower::new(asked.store.clone(), me, local, hold, Here::new(dir), standing);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || runtime.block_on(follower.run(ended)))?;
        Ok(Self { end, thread })
    }

    /// Says farewell to the store, and ends.
    pub fn stop(self) {
        let _ = self.end.send(true);
        let _ = self.thread.join();
    }
}

/// The addresses by which others reach a host: those given, else the first ones of its uplinks.
///
/// # Errors
/// There are none, or the kernel does not answer.
pub async fn addresses(
    asked: &Following,
    uplinks: &[String],
    netlink: &Netlink,
) -> anyhow::Result<Vec<IpAddr>> {
    if !asked.underlay.is_empty() {
        return Ok(asked.underlay.clone());
    }
    let mut on_uplinks = Vec::new();
    for name in uplinks {
        on_uplinks.extend(netlink.link(name).await?.map(|link| link.ifindex));
    }
    let all = netlink.holdings().await?.addresses;
    let global = all.iter().filter(|it| it.scope == 0 && on_uplinks.contains(&it.ifindex));
    let global: Vec<_> = global.map(|it| it.local).collect();
    let first = |is: fn(&&IpAddr) -> bool| global.iter().find(is).copied();
    let found: Vec<_> =
        [first(|it| it.is_ipv4()), first(|it| it.is_ipv6())].into_iter().flatten().collect();
    ensure!(
        !found.is_empty(),
        "{} has no address by which the fleet could reach this host; give one to it, or name one with --underlay",
        uplinks.join(", ")
    );
    Ok(found)
}

/// Makes what is configured locally so, and deletes nothing: what the fleet said last goes on until it says something else.
///
/// # Errors
/// A change fails; nothing has changed then.
pub async fn apply_local(dir: &StateDir, local: &Model) -> anyhow::Result<()> {
    let host = Host::open(dir)?;
    let mut model = export::model(&host).await?;
    model.extend(local.clone());
    let changes = apply::plan(&host, model).await?;
    apply::apply(host, &changes).await
}
