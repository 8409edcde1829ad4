//! What the caller must be allowed, and what it gives up.

use caps::{CapSet, Capability, CapsHashSet};

use super::{Error, Result};

/// Needed for as long as the datapath is managed: maps and links, interfaces and neighbours.
const MANAGE: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN];
/// Needed only at the start: the verifier lets programs of others not compare packet pointers, and the slow path
/// opens its sockets and rings.
const START: [Capability; 2] = [Capability::CAP_PERFMON, Capability::CAP_NET_RAW];

/// Whether the programs may be loaded.
///
/// # Errors
/// A capability is missing.
pub fn check_load() -> Result<()> {
    missing().map_or(Ok(()), |missing| Err(Error::Privilege(missing)))
}

/// The capabilities that the caller lacks to load programs; `None`: it has all.
pub fn missing() -> Option<String> {
    let held = effective().unwrap_or_default();
    // CAP_SYS_ADMIN stands for what was split off it in Linux 5.8.
    let stands_in = |cap: &Capability| {
        matches!(cap, Capability::CAP_BPF | Capability::CAP_PERFMON)
            && held.contains(&Capability::CAP_SYS_ADMIN)
    };
    let missing: Vec<_> = MANAGE
        .iter()
        .chain(&START)
        .filter(|cap| !held.contains(cap) && !stands_in(cap))
        .map(ToString::to_string)
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// Gives up every capability that managing the datapath does not need.
///
/// # Errors
/// The kernel refuses.
pub fn reduce() -> Result<()> {
    let keep: CapsHashSet =
        effective()?.intersection(&MANAGE.into_iter().collect()).copied().collect();
    caps::clear(None, CapSet::Inheritable).map_err(refused)?;
    caps::set(None, CapSet::Effective, &keep).map_err(refused)?;
    caps::set(None, CapSet::Permitted, &keep).map_err(refused)?;
    Ok(())
}

fn effective() -> Result<CapsHashSet> {
    caps::read(None, CapSet::Effective).map_err(refused)
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn refused(error: caps::errors::CapsError) -> Error {
    Error::Privilege(error.to_string())
}
