//! What has to change for one configuration to become another.

use std::collections::BTreeSet;

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
    /// It is deleted and added again. `before` and `after` are the same where only something that it needs changes.
    Remake {
        /// What it is.
        before: Item,
        /// What it will be.
        after: Item,
    },
    /// It comes.
    Add(Item),
}

/// A change that is done at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing needs it any more.
    Delete(Item),
    /// From the first to the second.
    Modify(Item, Item),
    /// All that it needs is there.
    Add(Item),
}

impl Step {
    /// What takes it back.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Delete(item) => Self::Add(item),
            Self::Modify(before, after) => Self::Modify(after, before),
            Self::Add(item) => Self::Delete(item),
        }
    }
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

/// The changes in an order in which each is possible: nothing is there without what it needs, and nothing comes
/// before what stands in its way has gone.
pub fn steps(changes: &[Change]) -> Vec<Step> {
    let (mut gone, mut modified, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes.iter().cloned() {
        match change {
            Change::Delete(item) => gone.push(item),
            Change::Modify { before, after } => modified.push(Step::Modify(before, after)),
            Change::Remake { before, after } => {
                gone.push(before);
                added.push(after);
            }
            Change::Add(item) => added.push(item),
        }
    }
    gone.sort_by_key(|item| std::cmp::Reverse(item.id()));
    added.sort_by_key(Item::id);
    let gone = gone.into_iter().map(Step::Delete);
    gone.chain(modified).chain(added.into_iter().map(Step::Add)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gre_common::{tables::FieldPolicy, wire::gre::GreKey};
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::{Change, Step, difference, steps};
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

    /// What a host would take, in the order in which it does.
    fn any_model() -> impl Strategy<Value = Model> {
        vec(any_item(), 0..20).prop_map(|mut items| {
            items.sort_by_key(|item| item.id().kind);
            let mut model = Model::new();
            for item in items {
                let _ = take(&mut model, Step::Add(item));
            }
            model
        })
    }

    /// What a host does.
    fn take(model: &mut Model, step: Step) -> Result<(), String> {
        match step {
            Step::Add(item) => {
                let taken: BTreeSet<Claim> = model.values().flat_map(Item::claims).collect();
                let id = item.id();
                if model.contains_key(&id) || item.claims().iter().any(|it| taken.contains(it)) {
                    return Err(format!("{id} is taken"));
                }
                if item.needs().iter().any(|need| !model.contains_key(need)) {
                    return Err(format!("{id} needs more"));
                }
                model.insert(id, item);
            }
            Step::Delete(item) => {
                let id = item.id();
                if model.values().any(|other| other.needs().contains(&id)) {
                    return Err(format!("{id} is needed"));
                }
                if model.remove(&id) != Some(item) {
                    return Err(format!("{id} is another"));
                }
            }
            Step::Modify(before, after) => {
                if !before.can_become(&after) {
                    return Err(format!("{before:?} cannot become {after:?}"));
                }
                if model.insert(after.id(), after) != Some(before) {
                    return Err("it is another".to_owned());
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_step_is_possible(before in any_model(), after in any_model()) {
            let mut model = before.clone();
            for step in steps(&difference(&before, &after)) {
                prop_assert_eq!(take(&mut model, step), Ok(()));
            }
            prop_assert_eq!(model, after);
        }

        #[test]
        fn nothing_changes_into_itself(model in any_model()) {
            prop_assert_eq!(difference(&model, &model), []);
        }

        #[test]
        fn what_was_done_can_be_undone(
            before in any_model(), after in any_model(), fails in any::<prop::sample::Index>(),
        ) {
            let steps = steps(&difference(&before, &after));
            prop_assume!(!steps.is_empty());
            let done = &steps[..fails.index(steps.len())];
            let mut model = before.clone();
            for step in done.iter().cloned().chain(done.iter().rev().cloned().map(Step::inverse)) {
                prop_assert_eq!(take(&mut model, step), Ok(()));
            }
            prop_assert_eq!(model, before);
        }

        #[test]
        fn what_is_the_same_is_left_alone(model in any_model(), ttl in select(vec![63, 64])) {
            let mut after = model.clone();
            for item in after.values_mut() {
                if let Item::Tunnel(tunnel) = item {
                    tunnel.ttl = Ttl(FieldPolicy::fixed(ttl));
                }
            }
            let changes = difference(&model, &after);
            let is_modified = |change: &Change| matches!(change, Change::Modify { .. });
            prop_assert!(changes.iter().all(is_modified), "{:?}", changes);
        }
    }

    fn model(items: &[Item]) -> Model {
        items.iter().map(|item| (item.id(), item.clone())).collect()
    }

    #[test]
    fn what_rests_on_something_made_anew_is_made_anew() {
        let (tenant, port) = (tenant(0, 10, 0), port(0, 0, true));
        let (old, new) = (tunnel(0, 2, 64, false), tunnel(0, 3, 64, false));
        let before = model(&[old.clone(), tenant.clone(), port.clone()]);
        let after = model(&[new.clone(), tenant.clone(), port.clone()]);
        let remake = |before: &Item, after: &Item| Change::Remake {
            before: before.clone(),
            after: after.clone(),
        };
        let changes = difference(&before, &after);
        assert_eq!(changes, [remake(&old, &new), remake(&tenant, &tenant), remake(&port, &port)]);
        assert_eq!(
            steps(&changes),
            [
                Step::Delete(port.clone()),
                Step::Delete(tenant.clone()),
                Step::Delete(old),
                Step::Add(new),
                Step::Add(tenant),
                Step::Add(port),
            ]
        );
    }
}
