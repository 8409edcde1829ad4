//! Follows the kernel's IPsec policies.

use gre_common::tables::TunnelOptions;

use super::Daemon;
use crate::{
    datapath::Result,
    netlink::ipsec::{Direction, Policies},
    slowpath::ipsec::{Device, Sender},
    state::{State, live::Live},
};

impl Daemon<'_> {
    /// Makes a way to IPsec where there are policies, and has the programs leave to the kernel what those are about.
    /// Returns the policies.
    pub(super) async fn refresh_ipsec(&mut self, state: &mut State) -> Result<Policies> {
        let policies = self.netlink.ipsec_policies().await?;
        for it in state.tunnels() {
            let (local, remote) = (it.tunnel.local.into(), it.tunnel.remote.into());
            let protected = policies.about(Direction::In, remote, local).is_some();
            if protected != it.tunnel.options.has(TunnelOptions::IPSEC) {
                state.set_ipsec(it.id, protected);
            }
        }
        if policies.is_empty() || self.underlay.is_none() {
            return Ok(policies);
        }
        let device = Device::make(&self.netlink).await?;
        let live = Live::open(self.dir, self.config.load.strict)?;
        if let Some(underlay) = self.underlay.take() {
            self.ipsec = Some(Sender::start(device, underlay, live)?);
        }
        Ok(policies)
    }
}
