//! What has to change for one configuration to become another.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use super::model::{Id, Item, Model};

/// A change, as a person thinks of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It goes.
    Delete(Item),
    /// It changes while traffic flows.
    Modify {
        /// What it is.
        before: Item,
        /// What it will be.
        after: Item,
    },
    /// Another comes in its place, which is counted anew. `before` and `after` are the same where only something that it
    /// needs changes.
    Remake {
        /// What it is.
        before: Item,
        /// What it will be.
        after: Item,
    },
    /// It comes.
    Add(Item),
}

impl Change {
    /// What changes.
    pub fn id(&self) -> Id {
        match self {
            Self::Delete(item)
            | Self::Modify { before: item, .. }
            | Self::Remake { before: item, .. }
            | Self::Add(item) => item.id(),
        }
    }

    /// What is there; `None`: nothing.
    pub const fn before(&self) -> Option<&Item> {
        match self {
            Self::Delete(before) | Self::Modify { before, .. } | Self::Remake { before, .. } => {
                Some(before)
            }
            Self::Add(_) => None,
        }
    }

    /// What will be there; `None`: nothing.
    pub const fn after(&self) -> Option<&Item> {
        match self {
            Self::Add(after) | Self::Modify { after, .. } | Self::Remake { after, .. } => {
                Some(after)
            }
            Self::Delete(_) => None,
        }
    }

    /// What takes it back.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Delete(item) => Self::Add(item),
            Self::Modify { before, after } => Self::Modify { before: after, after: before },
            Self::Remake { before, after } => Self::Remake { before: after, after: before },
            Self::Add(item) => Self::Delete(item),
        }
    }
}

/// "cannot add tunnel to-b", for an error.
impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Delete(_) => "delete",
            Self::Modify { .. } | Self::Remake { .. } => "change",
            Self::Add(_) => "add",
        };
        write!(f, "cannot {verb} {}", self.id())
    }
}

/// What has to change: what goes, what changes, what comes.
pub fn difference(before: &Model, after: &Model) -> Vec<Change> {
    let mut changes: Vec<_> = before
        .iter()
        .rev()
        .filter(|(id, _)| !after.contains_key(*id))
        .map(|(_, item)| Change::Delete(item.clone()))
        .collect();
    let mut remade = BTreeSet::new();
    // What others need comes first, so all that is made anew is known when one needs it.
    for (id, new) in after {
        let Some(old) = before.get(id) else { continue };
        let (before, after) = (old.clone(), new.clone());
        let rests_on = |items: &BTreeSet<Id>| new.needs().iter().any(|need| items.contains(need));
        if rests_on(&remade) || old != new && !old.can_become(new) {
            remade.insert(id.clone());
            changes.push(Change::Remake { before, after });
        } else if old != new {
            changes.push(Change::Modify { before, after });
        }
    }
    let added = after.iter().filter(|(id, _)| !before.contains_key(*id));
    changes.extend(added.map(|(_, item)| Change::Add(item.clone())));
    changes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gre_common::{tables::FieldPolicy, wire::gre::GreKey};
    use proptest::{collection::vec, prelude::*};

    use super::{Change, difference};
    use crate::{
        config::model::{
            Claim, Item, Model, Port, Tenant, Transit, Tunnel,
            transit::{Action, Packets},
        },
        value::{Df, Ecn, Key, PortMode, Service, Switch, Tos, Ttl},
    };

    fn tunnel(number: u8, remote: u8, ttl: u8, csum: bool) -> Item {
        Item::Tunnel(Tunnel {
            name: format!("t{number}"),
            local: [192, 0, 2, 1].into(),
            remote: [192, 0, 2, remote].into(),
            ttl: Ttl(FieldPolicy::fixed(ttl)),
            tos: Tos::default(),
            ecn: Ecn::default(),
            df: Df::default(),
            csum,
            seq: false,
            mtu: None,
            mss_clamp: Switch::default(),
            pmtudisc: Switch::default(),
            keepalive: None,
        })
    }

    fn tenant(name: u8, key: u32, tunnel: u8) -> Item {
        let key = Some(Key(GreKey(key)));
        let tunnels = vec![format!("t{tunnel}")];
        let name = format!("n{name}");
        Item::Tenant(Tenant {
            name,
            in_key: key,
            second_in_key: None,
            out_key: key,
            tunnels,
            service: Service::L3,
            sources: Vec::new(),
            rate: None,
        })
    }

    fn port(name: u8, tenant: u8, create: bool) -> Item {
        let (tenant, name) = (format!("n{tenant}"), format!("p{name}"));
        Item::Port(Port { tenant, name, create, vlan: None, mac: None, mode: PortMode::Auto })
    }

    fn transit(key: u32, drops: bool) -> Item {
        let iface = "eth0".to_owned();
        let packets = Packets { iface, key: Some(Key(GreKey(key))), remote: None, local: None };
        let action = if drops { Action::Drop } else { Action::Count };
        Item::Transit(Transit { packets, action })
    }

    fn any_item() -> impl Strategy<Value = Item> {
        prop_oneof![
            (0..3_u8, 2..6_u8, 63..65_u8, any::<bool>())
                .prop_map(|(name, remote, ttl, csum)| tunnel(name, remote, ttl, csum)),
            (0..4_u8, 0..4_u32, 0..3_u8).prop_map(|(name, key, on)| tenant(name, key, on)),
            (0..4_u8, 0..4_u8, any::<bool>()).prop_map(|(name, of, create)| port(name, of, create)),
            (0..3_u32, any::<bool>()).prop_map(|(key, drops)| transit(key, drops)),
        ]
    }

    /// What a file may say.
    fn any_model() -> impl Strategy<Value = Model> {
        vec(any_item(), 0..20).prop_map(|mut items| {
            items.sort_by_key(|item| item.id().kind);
            let mut model = Model::new();
            for item in items {
                let taken: BTreeSet<Claim> = model.values().flat_map(Item::claims).collect();
                let is_free = item.claims().iter().all(|claim| !taken.contains(claim));
                let is_possible = item.needs().iter().all(|need| model.contains_key(need));
                if is_free && is_possible {
                    model.entry(item.id()).or_insert(item);
                }
            }
            model
        })
    }

    /// What a host makes of it, if all of it can be.
    fn take(model: &mut Model, change: &Change) -> Result<(), String> {
        let there = model.remove(&change.id());
        if there.as_ref() != change.before() {
            return Err(format!("{change}: {there:?} is there"));
        }
        if let Some(after) = change.after() {
            model.insert(after.id(), after.clone());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn changes_lead_there_and_back(before in any_model(), after in any_model()) {
            let changes = difference(&before, &after);
            let mut model = before.clone();
            for change in &changes {
                prop_assert_eq!(take(&mut model, change), Ok(()));
            }
            prop_assert_eq!(&model, &after);
            for change in changes.iter().rev().cloned().map(Change::inverse) {
                prop_assert_eq!(take(&mut model, &change), Ok(()));
            }
            prop_assert_eq!(&model, &before);
        }

        #[test]
        fn the_way_back_is_the_difference_of_the_way_back(
            before in any_model(), after in any_model(),
        ) {
            let sorted = |changes: Vec<Change>| {
                let changes = changes.into_iter().map(|change| (change.id(), format!("{change:?}")));
                changes.collect::<BTreeSet<_>>()
            };
            let inverse = difference(&before, &after).into_iter().map(Change::inverse).collect();
            prop_assert_eq!(sorted(inverse), sorted(difference(&after, &before)));
        }

        #[test]
        fn nothing_changes_into_itself(model in any_model()) {
            prop_assert_eq!(difference(&model, &model), []);
        }

        /// Only what is another thing under its old name, and what rests on that, is counted anew.
        #[test]
        fn what_stays_is_changed_in_place(before in any_model(), after in any_model()) {
            let changes = difference(&before, &after);
            let remade: BTreeSet<_> = changes
                .iter()
                .filter(|change| matches!(change, Change::Remake { .. }))
                .map(Change::id)
                .collect();
            for change in &changes {
                if let Change::Remake { before, after } = change {
                    let rests_on = after.needs().iter().any(|need| remade.contains(need));
                    prop_assert!(rests_on || !before.can_become(after), "{:?}", change);
                }
                if let Change::Modify { before, after } = change {
                    prop_assert!(before.can_become(after) && before != after, "{:?}", change);
                }
            }
        }
    }

    fn model(items: &[Item]) -> Model {
        items.iter().map(|item| (item.id(), item.clone())).collect()
    }

    #[test]
    fn what_rests_on_something_made_anew_is_made_anew() {
        let (tunnel, port) = (tunnel(0, 2, 64, false), port(0, 0, true));
        let old = tenant(0, 10, 0);
        let Item::Tenant(other) = old.clone() else { panic!("a tenant") };
        let new = Item::Tenant(Tenant { service: Service::L2, ..other });
        let before = model(&[tunnel.clone(), old.clone(), port.clone()]);
        let after = model(&[tunnel, new.clone(), port.clone()]);
        let remake = |before: &Item, after: &Item| Change::Remake {
            before: before.clone(),
            after: after.clone(),
        };
        assert_eq!(difference(&before, &after), [remake(&old, &new), remake(&port, &port)]);
    }
}
