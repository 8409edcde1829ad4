//! What is stacked on the uplinks.

use gre_common::tables::IfIndex;

use super::Daemon;
use crate::{datapath::Result, netlink::monitor::Change, state::State};

impl Daemon<'_> {
    /// Finds out by which interfaces the uplinks' packets may come, where these changes have to do with it. No changes
    /// mean that some may have gone unseen.
    pub(super) async fn refresh_arrivals(&self, state: &State, changes: &[Change]) -> Result<()> {
        let uplinks: Vec<IfIndex> = state.uplinks()?.iter().map(|uplink| uplink.ifindex).collect();
        let mut outdated = changes.is_empty() || !self.arrivals.are_of(&uplinks);
        for change in changes {
            // Listing all interfaces for every port that is made would take long where there are thousands.
            outdated |= match *change {
                Change::Lost => true,
                Change::LinkGone(ifindex) => self.arrivals.uplink(ifindex).is_some(),
                Change::Link(ifindex) => match self.netlink.link_by_index(ifindex).await? {
                    Some(link) => self.arrivals.concerns(&link),
                    None => false,
                },
                Change::Route | Change::Neighbour { .. } | Change::IpsecPolicy => false,
            };
        }
        if outdated {
            self.arrivals.set(&self.netlink.links().await?, &uplinks);
        }
        Ok(())
    }
}
