//! Ports, and what becomes of their devices.

use gre_common::tables::{IfIndex, Port, PortRecord};

use super::Daemon;
use crate::{
    datapath::{Result, port},
    state::State,
};

impl Daemon<'_> {
    /// Puts the programs just loaded on the ports of an earlier run, and forgets those whose device is gone.
    pub(super) async fn attach_ports(&mut self, state: &mut State) -> Result<()> {
        for port in state.ports()? {
            match self.netlink.link_by_index(port.ifindex()).await? {
                Some(link) => {
                    let mode = state.mode_now(port.record.mode)?;
                    if let Some(why) = port::attach(&mut self.programs, self.dir, &link, mode)? {
                        eprintln!("xgre: port {} is left to TC: {why}", port.name);
                    }
                    self.refresh_port(state, link.ifindex).await?;
                }
                None => self.forget_port(state, port.ifindex())?,
            }
        }
        Ok(())
    }

    /// Deletes the port whose device is gone: another device may get its index.
    pub(super) fn forget_port(&self, state: &mut State, ifindex: IfIndex) -> Result<()> {
        for port in state.ports()?.iter().filter(|port| port.ifindex() == ifindex) {
            eprintln!("xgre: the device of port {} is gone; the port is deleted", port.name);
            state.delete_port(port)?;
            port::detach(self.dir, &port.name, ifindex)?;
        }
        Ok(())
    }

    /// Takes over what changed about a port's device or about the other end of its pair.
    pub(super) async fn refresh_port(&self, state: &mut State, changed: IfIndex) -> Result<()> {
        let Some(link) = self.netlink.link_by_index(changed).await? else { return Ok(()) };
        let peer = link.peer.filter(|peer| peer.netnsid.is_none()).map(|peer| peer.ifindex);
        let concerned = |ifindex| ifindex == changed || Some(ifindex) == peer;
        for named in state.ports()?.iter().filter(|port| concerned(port.ifindex())) {
            let Some(device) = self.netlink.link_by_index(named.ifindex()).await? else {
                continue;
            };
            let before = named.record.port;
            let delivery = port::delivery(&self.netlink, &device).await?;
            let mut after = Port { delivery, ..before };
            if named.record.follows_peer != 0 {
                let service = state.tenant_at(named.record.tenant).service;
                let described = port::describe(&self.netlink, &device, service, None).await;
                // A peer that has moved to where it cannot be seen keeps the address it had.
                if let Ok(Port { ends, .. }) = described {
                    after = Port { ends, ..after };
                }
            }
            if after != before {
                state.update_port(&named.name, PortRecord { port: after, ..named.record })?;
            }
        }
        Ok(())
    }
}
