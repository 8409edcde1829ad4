//! Who gives which reason. Every one that is not here is `decap`'s; each must have a row in its table.

use std::collections::HashSet;

use gre_common::verdict::{DropReason, PassReason};

use super::outcome::Outcome;

/// Reasons that only `encap` gives.
pub const ENCAP_PASSES: &[PassReason] = &[PassReason::NoTenant, PassReason::TtlExpired];
/// Reasons that only `encap` gives.
pub const ENCAP_DROPS: &[DropReason] = &[
    DropReason::PacketTooBig,
    DropReason::Unsegmented,
    DropReason::NoRoute,
    DropReason::Unresolved,
];
/// Reasons of where frames go.
pub const BRIDGE_DROPS: &[DropReason] =
    &[DropReason::Source, DropReason::Unreachable, DropReason::SplitHorizon];
/// Reasons that only `transit` gives.
pub const TRANSIT_PASSES: &[PassReason] = &[PassReason::NoRule, PassReason::Malformed];
/// Reasons of the kernel side.
pub const KERNEL_PASSES: &[PassReason] = &[PassReason::LeftToTc];
/// Reasons of the kernel side.
pub const KERNEL_DROPS: &[DropReason] = &[
    DropReason::RateLimit,
    DropReason::RewriteFailed,
    DropReason::RedirectFailed,
    DropReason::Ipsec,
];

/// The reasons that a table has rows for.
pub fn in_rows(
    outcomes: impl Iterator<Item = Outcome>,
) -> (HashSet<PassReason>, HashSet<DropReason>) {
    let mut reasons = (HashSet::new(), HashSet::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Passed(reason) => reasons.0.insert(reason),
            Outcome::Dropped(discard) => reasons.1.insert(discard.reason),
            Outcome::Forwarded(..) => false,
        };
    }
    reasons
}
