//! Uplinks, at the start and when one comes back.

use gre_common::tables::{Hook, IfIndex, UplinkMode};

use super::{Config, Daemon};
use crate::{
    datapath::{
        Error, Result, tc,
        uplink::{self, Attached, Mode},
    },
    netlink::{Netlink, link::Link},
    state::{self, State, StateDir},
};

/// Whether all interfaces exist and may become uplinks.
pub(super) async fn check(dir: &StateDir, netlink: &Netlink, config: &Config) -> Result<()> {
    let ours = State::open(dir).and_then(|state| state.uplinks()).unwrap_or_default();
    for name in &config.uplinks {
        let Some(link) = find(netlink, name, config.wait).await? else { continue };
        uplink::check(dir, &link, config.mode)?;
        if ours.iter().all(|uplink| uplink.ifindex != link.ifindex) {
            tc::check_alone(netlink, Hook::UPLINK_TC, &link).await?;
        }
        if config.mode == Mode::Generic {
            check_above(netlink, &link).await?;
        }
    }
    Ok(())
}

/// Refuses an interface whose packets come with VLAN tags that generic XDP does not see.
async fn check_above(netlink: &Netlink, link: &Link) -> Result<()> {
    let is_above = |it: &Link| it.below == Some(link.ifindex) && it.kind.as_deref() == Some("vlan");
    match netlink.links().await?.into_iter().find(is_above) {
        Some(vlan) => Err(Error::TagBeside { interface: link.name.clone(), vlan: vlan.name }),
        None => Ok(()),
    }
}

/// Where native XDP works if not on this device: on what is below it.
async fn instead(netlink: &Netlink, link: &Link) -> Result<Option<String>> {
    let is_below = |it: &Link| it.master == Some(link.ifindex) || link.below == Some(it.ifindex);
    let below = netlink.links().await?.into_iter().filter(is_below).map(|it| it.name);
    let below = below.collect::<Vec<_>>().join(" ");
    Ok(match link.kind.as_deref() {
        _ if below.is_empty() => None,
        Some("bridge") => Some("for XDP name its port to the underlay".to_owned()),
        _ => Some(format!("for XDP name what is below it: --iface {below}")),
    })
}

/// An uplink, which may be absent where it is waited for.
async fn find(netlink: &Netlink, name: &str, wait: bool) -> Result<Option<Link>> {
    match netlink.link(name).await? {
        None if !wait => Err(Error::NoUplink(name.to_owned())),
        link => Ok(link),
    }
}

impl Daemon<'_> {
    /// Attaches to every uplink, and detaches from those of an earlier run that are none any more. On an
    /// error, the uplinks that are new in this run are detached again.
    pub(super) async fn attach_uplinks(&mut self, state: &mut State) -> Result<()> {
        let before = state.uplinks()?;
        let attached = self.attach_each(state, &before).await;
        let stays = |uplink: &state::uplink::Named| match attached {
            Ok(()) => self.config.uplinks.contains(&uplink.name),
            Err(_) => before.iter().any(|earlier| earlier.ifindex == uplink.ifindex),
        };
        for uplink in state.uplinks()?.iter().filter(|uplink| !stays(uplink)) {
            uplink::detach(self.dir, &uplink.name, uplink.ifindex)?;
            state.delete_uplink(uplink.ifindex)?;
        }
        attached
    }

    async fn attach_each(
        &mut self,
        state: &mut State,
        before: &[state::uplink::Named],
    ) -> Result<()> {
        for name in &self.config.uplinks {
            let Some(link) = find(&self.netlink, name, self.config.wait).await? else {
                println!("{name}: waiting for it to appear");
                continue;
            };
            let earlier = before.iter().find(|uplink| uplink.ifindex == link.ifindex);
            self.attach_uplink(state, &link, earlier.map(|uplink| uplink.mode)).await?;
        }
        Ok(())
    }

    /// Attaches to the uplinks that were gone and are back.
    pub(super) async fn attach_returned_uplinks(&mut self, state: &mut State) -> Result<()> {
        let present = state.uplinks()?;
        for name in &self.config.uplinks {
            if present.iter().any(|uplink| uplink.name == *name) {
                continue;
            }
            if let Some(link) = self.netlink.link(name).await? {
                uplink::check(self.dir, &link, self.config.mode)?;
                tc::check_alone(&self.netlink, Hook::UPLINK_TC, &link).await?;
                self.attach_uplink(state, &link, None).await?;
            }
        }
        Ok(())
    }

    /// Forgets the uplink whose device is gone.
    pub(super) fn forget_uplink(&self, state: &mut State, ifindex: IfIndex) -> Result<()> {
        for uplink in state.uplinks()?.iter().filter(|uplink| uplink.ifindex == ifindex) {
            eprintln!("xgre: the uplink {} is gone; waiting for it to come back", uplink.name);
            uplink::detach(self.dir, &uplink.name, ifindex)?;
            state.delete_uplink(ifindex)?;
        }
        Ok(())
    }

    /// Learns whether XDP may redirect to an uplink, of which something changed.
    pub(super) async fn refresh_uplink(&self, state: &mut State, changed: IfIndex) -> Result<()> {
        if !state.uplinks()?.iter().any(|uplink| uplink.ifindex == changed) {
            return Ok(());
        }
        if let Some(link) = self.netlink.link_by_index(changed).await? {
            state.set_transmits(changed, self.netlink.transmits_xdp(&link).await?)?;
        }
        Ok(())
    }

    async fn attach_uplink(
        &mut self,
        state: &mut State,
        link: &Link,
        before: Option<UplinkMode>,
    ) -> Result<()> {
        let mode = self.config.mode;
        let mut attached = uplink::attach(&mut self.programs, self.dir, link, mode, before);
        let text = match &mut attached {
            Ok(Attached { fallback, .. }) => fallback.as_mut(),
            Err(Error::Mode { remedy, .. }) => Some(remedy),
            Err(_) => None,
        };
        if let Some(text) = text
            && let Some(instead) = instead(&self.netlink, link).await?
        {
            *text = format!("{text}; {instead}");
        }
        let attached = attached?;
        state.set_uplink(&attached.uplink)?;
        self.refresh_uplink(state, link.ifindex).await?;
        println!("{}", describe(&attached));
        Ok(())
    }
}

/// One line that tells what an uplink got, and why.
fn describe(Attached { uplink, fallback }: &Attached) -> String {
    let name = &uplink.name;
    match uplink.mode {
        UplinkMode::NATIVE => format!("{name}: native XDP, TC behind it"),
        UplinkMode::SHADOW => format!("{name}: TC only, packets are counted and left alone"),
        UplinkMode::GENERIC => format!("{name}: generic XDP, TC behind it (as asked for)"),
        _ => format!("{name}: TC only ({})", fallback.as_deref().unwrap_or("as asked for")),
    }
}
