//! What the caller must be allowed, and what it gives up.

use caps::{CapSet, Capability, CapsHashSet};

use super::{Error, Result};

/// Needed for as long as the datapath is managed: maps and links, interfaces and neighbours.
const MANAGE: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN];
/// Needed only to load: the verifier lets programs of others not compare packet pointers.
const LOAD: [Capability; 1] = [Capability::CAP_PERFMON];

/// Whether the programs may be loaded.
///
/// # Errors
/// A capability is missing.
pub fn check_load() -> Result<()> {
    let held = effective()?;
    if held.contains(&Capability::CAP_SYS_ADMIN) && held.contains(&Capability::CAP_NET_ADMIN) {
        return Ok(());
    }
    let missing: Vec<_> = MANAGE
        .iter()
        .chain(&LOAD)
        .filter(|cap| !held.contains(cap))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Privilege(missing.join(", "))) }
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
