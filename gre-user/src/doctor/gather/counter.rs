//! What became of packets: now, and a second later.

use std::{collections::BTreeMap, time::Duration};

use gre_common::{
    tables::{Hook, IfIndex},
    verdict::DropReason,
};

use crate::{
    doctor::facts::Counter,
    state::{self, State, StateDir},
};

/// How long we look.
const WHILE: Duration = Duration::from_secs(1);

type Drops = BTreeMap<DropReason, u64>;

/// Packets and drops, by tenant and uplink.
#[derive(Debug, Default)]
pub struct Sample(BTreeMap<String, (u64, Drops)>);

/// What happened so far, and while we looked.
///
/// # Errors
/// The kernel refuses.
pub async fn counters(dir: &StateDir, before: &Sample) -> state::Result<Vec<Counter>> {
    tokio::time::sleep(WHILE).await;
    let Sample(after) = Sample::take(&State::open(dir)?)?;
    let counter = |(subject, (packets, drops)): (String, (u64, Drops))| {
        let earlier = before.0.get(&subject);
        let recent = drops.iter().map(|(&reason, &count)| {
            let before = earlier.and_then(|(_, drops)| drops.get(&reason));
            (reason, count.saturating_sub(before.copied().unwrap_or(0)))
        });
        let recent = recent.filter(|(_, count)| *count > 0).collect();
        Counter { subject, packets, drops: drops.into_iter().collect(), recent }
    };
    Ok(after.into_iter().map(counter).collect())
}

impl Sample {
    /// The counters as they are.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn take(state: &State) -> state::Result<Self> {
        let mut sample = BTreeMap::new();
        let events = state.events()?;
        for tenant in state.tenants() {
            let totals = state.tenant_totals(tenant.id, &events)?;
            let drops: Drops = totals.drops.into_iter().collect();
            let packets =
                totals.received.packets + totals.sent.packets + drops.values().sum::<u64>();
            sample.insert(format!("tenant {}", tenant.name), (packets, drops));
        }
        for uplink in state.uplinks()? {
            sample.insert(uplink.name.clone(), at_hooks(state, uplink.ifindex)?);
        }
        Ok(Self(sample))
    }
}

/// What nobody was charged with at an uplink.
fn at_hooks(state: &State, ifindex: IfIndex) -> state::Result<(u64, Drops)> {
    let (mut packets, mut drops) = (0, Drops::new());
    for hook in [Hook::UPLINK_XDP, Hook::UPLINK_CPU, Hook::UPLINK_TC, Hook::SLOW_PATH] {
        let totals = state.hook_totals(hook, ifindex)?;
        packets += totals.passed_total();
        for (reason, count) in totals.drops {
            packets += count;
            *drops.entry(reason).or_default() += count;
        }
    }
    Ok((packets, drops))
}
