//! Rules for packets in transit.

use std::{collections::BTreeMap, net::IpAddr};

use gre_common::{
    tables::{Hook, IfIndex, TransitAction, TransitKey, TransitRule},
    wire::{address::Address, gre::GreKey},
};

use super::{Error, Result, Room, State, name, optional, tenant::describe_key};

/// A rule and its packets.
pub type Entry = (TransitKey, TransitRule);

impl State {
    /// Adds a rule, and makes the counters of its interface's hook.
    ///
    /// # Errors
    /// There is one for the same packets, or a map is full.
    pub fn add_transit_rule(&mut self, key: TransitKey, rule: TransitRule) -> Result<()> {
        if let Some(there) = optional(self.maps.transit_rules.get(&key, 0))? {
            return Err(Error::TransitExists {
                packets: describe(&key, &name::text(&rule.iface)),
                action: describe_action(&there),
            });
        }
        self.register_hook(Hook::TRANSIT_TC, key.ifindex)?;
        let max = self.max_tenants();
        let inserted = self.maps.transit_rules.insert(key, rule, 0);
        inserted.map_err(Error::inserting(Room::TRANSIT, max)).or_else(|error| {
            self.forget_unused_transit(key.ifindex)?;
            Err(error)
        })
    }

    /// Replaces what becomes of packets for which there is a rule. What was counted goes on.
    ///
    /// # Errors
    /// There is no such rule. `iface` is what the user calls the interface.
    pub fn change_transit_rule(
        &mut self,
        key: TransitKey,
        rule: TransitRule,
        iface: &str,
    ) -> Result<()> {
        let there = optional(self.maps.transit_rules.get(&key, 0))?;
        let there = there.ok_or_else(|| Error::UnknownTransit(describe(&key, iface)))?;
        let rule = TransitRule { matched: there.matched, ..rule };
        Ok(self.maps.transit_rules.insert(key, rule, 0)?)
    }

    /// Deletes a rule. `iface` is what the user calls the interface.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_transit_rule(&mut self, key: &TransitKey, iface: &str) -> Result<()> {
        optional(self.maps.transit_rules.remove(key))?
            .ok_or_else(|| Error::UnknownTransit(describe(key, iface)))
    }

    /// Whether an interface has no rule; then the counters of its hook go too.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_unused_transit(&mut self, ifindex: IfIndex) -> Result<bool> {
        let unused = !self.transit_interfaces()?.contains_key(&ifindex);
        if unused {
            self.forget_hook(Hook::TRANSIT_TC, ifindex)?;
        }
        Ok(unused)
    }

    /// Has a rule drop what it was to send to an interface that is gone: another may get its index.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unset_transit_target(&mut self, (key, rule): Entry) -> Result<()> {
        let rule = TransitRule { target: IfIndex::NONE, ..rule };
        Ok(self.maps.transit_rules.insert(key, rule, 0)?)
    }

    /// All rules, by interface, key and addresses.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn transit_rules(&self) -> Result<Vec<Entry>> {
        let mut rules =
            self.maps.transit_rules.iter().collect::<std::result::Result<Vec<_>, _>>()?;
        rules.sort_by_key(|(key, rule)| {
            let gre_key = Option::<GreKey>::from(key.key).map(|GreKey(key)| key);
            (rule.iface, gre_key, IpAddr::from(key.local), IpAddr::from(key.remote))
        });
        Ok(rules)
    }

    /// The interfaces that have rules, with the names they had.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn transit_interfaces(&self) -> Result<BTreeMap<IfIndex, String>> {
        let rules = self.transit_rules()?;
        Ok(rules.iter().map(|(key, rule)| (key.ifindex, name::text(&rule.iface))).collect())
    }
}

/// An address of a rule; `None` is any.
pub fn address(address: Address) -> Option<IpAddr> {
    (address != Address::NONE).then(|| address.into())
}

/// "key 10 from any to 192.0.2.1 on eth0"
pub(crate) fn describe(key: &TransitKey, iface: &str) -> String {
    let [remote, local] = [key.remote, key.local]
        .map(|end| address(end).map_or_else(|| "any".to_owned(), |address| address.to_string()));
    format!("{} from {remote} to {local} on {iface}", describe_key(key.key.into()))
}

/// "redirect them to eth1"
pub(crate) fn describe_action(rule: &TransitRule) -> String {
    match rule.action {
        TransitAction::REDIRECT => format!("redirect them to {}", name::text(&rule.target_name)),
        TransitAction::DROP => "drop them".to_owned(),
        _ => "count them".to_owned(),
    }
}
