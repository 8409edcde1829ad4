//! Bindings before and after.

use std::collections::HashMap;

use gre_common::{
    tables::{Binding, BindingKey, KeyField, TenantId, TunnelId, TunnelOptions},
    wire::address::Address,
};

use super::{
    super::tenant::{binding_key, binding_options, describe_key},
    Error, Result, State,
    sides::{Side, Tenants},
    underlay::Underlay,
};

/// A line of the table of bindings, and what it is to be.
pub(super) struct Line {
    pub key: BindingKey,
    /// The tunnel's local address.
    pub local: Address,
    pub in_key: KeyField,
    pub before: Option<Place>,
    pub after: Option<Binding>,
}

/// A line that is there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub place: u32,
    pub binding: Binding,
}

/// How a line becomes what it is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is entered, for there is none with its key.
    Enters,
    /// It is, or one word of it changes.
    Stays,
    /// Another one takes its place.
    Replaced,
    /// It goes.
    Leaves,
}

impl Line {
    pub fn way(&self) -> Way {
        match (&self.before, &self.after) {
            (None, _) => Way::Enters,
            (Some(_), None) => Way::Leaves,
            (Some(Place { binding: before, .. }), Some(after)) => {
                let words = [
                    before.tenant != after.tenant,
                    before.tunnel != after.tunnel,
                    before.options != after.options,
                ];
                let changed = words.into_iter().filter(|differs| *differs).count();
                let is_word = before.port == after.port && changed <= 1;
                if is_word && before.tenant == after.tenant { Way::Stays } else { Way::Replaced }
            }
        }
    }

    /// Whose it was, where that is not who has it now.
    pub fn loser(&self) -> Option<TenantId> {
        let after = self.after.map(|binding| binding.tenant);
        self.before.map(|it| it.binding.tenant).filter(|tenant| Some(*tenant) != after)
    }

    /// Whose it will be, where that is not who had it.
    pub fn winner(&self) -> Option<TenantId> {
        let before = self.before.map(|it| it.binding.tenant);
        self.after.map(|binding| binding.tenant).filter(|tenant| Some(*tenant) != before)
    }
}

/// The lines of all these tenants.
///
/// # Errors
/// Two receive the same.
pub(super) fn all(
    state: &State,
    underlay: &Underlay<'_>,
    tenants: &[Tenants],
) -> Result<Vec<Line>> {
    let bindings = &state.maps.bindings;
    let mut lines: HashMap<BindingKey, Line> = HashMap::new();
    for side in tenants.iter().filter_map(|it| it.before.as_ref()) {
        for &id in &side.tunnels {
            let tunnel = state.tunnel_at(id);
            for in_key in side.in_keys() {
                let key = binding_key(id, &tunnel, in_key);
                let Some(place) = bindings.place_of(&key) else { continue };
                let before = Some(Place { place, binding: bindings.at(place) });
                lines.insert(key, Line { key, local: tunnel.local, in_key, before, after: None });
            }
        }
    }
    for it in tenants {
        let Some(after) = &it.after else { continue };
        let keys =
            |id: &TunnelId| after.in_keys().map(move |in_key| (*id, in_key)).collect::<Vec<_>>();
        for (id, in_key) in after.tunnels.iter().flat_map(keys) {
            let tunnel = underlay.after(id);
            let key = binding_key(id, &tunnel, in_key);
            let local = tunnel.local;
            let line = lines.entry(key);
            let fresh = || Line { key, local, in_key, before: None, after: None };
            let line = line.or_insert_with(fresh);
            let stranger = || bindings.get(&key).filter(|_| line.before.is_none());
            if let Some(owner) = line.after.or_else(stranger) {
                let named = tenants
                    .iter()
                    .find(|it| it.after.as_ref().is_some_and(|side| side.id == owner.tenant));
                return Err(Error::Bound {
                    tenant: named
                        .map_or_else(|| state.tenant_name(owner.tenant), |it| it.name.clone()),
                    key: describe_key(in_key.into()),
                    tunnel: underlay.name(id),
                });
            }
            line.after = Some(binding(key, after, id, tunnel.options));
        }
    }
    Ok(lines.into_values().collect())
}

fn binding(key: BindingKey, side: &Side, tunnel: TunnelId, options: TunnelOptions) -> Binding {
    let options = binding_options(options, &side.tenant, side.has_members())
        .with(TunnelOptions::SWITCHED, side.ports.len() > 1);
    Binding { options, ..Binding::new(key, side.id, tunnel, side.tenant.port) }
}
