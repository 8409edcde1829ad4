//! What became of packets: now, and a second later.

use std::{collections::BTreeMap, time::Duration};

use gre_common::verdict::DropReason;

use crate::{
    doctor::facts::Counter,
    state::{self, StateDir},
    totals::{HookCount, Reading},
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
    let Sample(after) = Sample::take(dir)?;
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
    pub fn take(dir: &StateDir) -> state::Result<Self> {
        let reading = Reading::take(dir)?;
        let tenants = reading.tenants.into_iter().map(|it| {
            let totals = it.totals;
            let drops: Drops = totals.drops.into_iter().collect();
            let packets =
                totals.received.packets + totals.sent.packets + drops.values().sum::<u64>();
            (format!("tenant {}", it.name), (packets, drops))
        });
        let uplinks = reading.uplinks.into_iter();
        let uplinks = uplinks.map(|it| (it.interface.name, at_hooks(&it.interface.hooks)));
        Ok(Self(tenants.chain(uplinks).collect()))
    }
}

/// What nobody was charged with at an uplink.
fn at_hooks(hooks: &[HookCount]) -> (u64, Drops) {
    let (mut packets, mut drops) = (0, Drops::new());
    for HookCount { totals, .. } in hooks {
        packets += totals.passed_total();
        for &(reason, count) in &totals.drops {
            packets += count;
            *drops.entry(reason).or_default() += count;
        }
    }
    (packets, drops)
}
