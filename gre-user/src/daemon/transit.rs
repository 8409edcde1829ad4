//! Interfaces with transit rules, and what becomes of their devices.

use gre_common::tables::IfIndex;

use super::Daemon;
use crate::{
    datapath::{Result, transit},
    state::{State, name},
};

impl Daemon<'_> {
    /// Puts the program just loaded on the interfaces of an earlier run's rules, and forgets devices that are gone.
    pub(super) async fn attach_transit(&mut self, state: &mut State) -> Result<()> {
        for ifindex in state.transit_interfaces()?.into_keys() {
            match self.netlink.link_by_index(ifindex).await? {
                Some(link) => transit::attach(&mut self.programs, self.dir, &link)?,
                None => self.forget_transit(state, ifindex)?,
            }
        }
        for (_, rule) in state.transit_rules()? {
            if rule.target != IfIndex::NONE
                && self.netlink.link_by_index(rule.target).await?.is_none()
            {
                self.forget_transit(state, rule.target)?;
            }
        }
        Ok(())
    }

    /// Deletes the rules of an interface that is gone, and has others drop what they were to send there: another
    /// device may get its index.
    pub(super) fn forget_transit(&self, state: &mut State, ifindex: IfIndex) -> Result<()> {
        let interface = state.transit_interfaces()?.remove(&ifindex);
        for (key, rule) in state.transit_rules()? {
            if key.ifindex == ifindex {
                state.delete_transit_rule(&key, &name::text(&rule.iface))?;
            } else if rule.target == ifindex {
                let target = name::text(&rule.target_name);
                eprintln!(
                    "xgre: {target} is gone; packets that a transit rule sends there are dropped"
                );
                state.unset_transit_target((key, rule))?;
            }
        }
        if let Some(name) = interface {
            eprintln!("xgre: {name} is gone; its transit rules are deleted");
            state.forget_unused_transit(ifindex)?;
            transit::detach(self.dir, &name, ifindex)?;
        }
        Ok(())
    }
}
