//! Which CPUs the inner flows are spread over.

use aya::{
    Ebpf,
    maps::{Array, MapError, xdp::CpuMap},
    programs::ProgramFd,
    util::online_cpus,
};

use super::{Error, Result};

/// Frames that may wait for a CPU. What comes when as many wait is lost.
const QUEUE: u32 = 2048;

/// The CPUs that take part: all that are online.
///
/// # Errors
/// The kernel does not tell.
pub(super) fn cpus() -> Result<Vec<u32>> {
    online_cpus().map_err(|(_, error)| Error::Cpus(error))
}

/// Makes a queue to each CPU, at whose other end the program runs.
///
/// # Errors
/// The kernel refuses.
pub(super) fn make_queues(ebpf: &mut Ebpf, cpus: &[u32], program: &ProgramFd) -> Result<()> {
    let missing = |name: &str| Error::Load(MapError::InvalidName { name: name.to_owned() }.into());
    let queues = ebpf.map_mut("CPU_QUEUES").ok_or_else(|| missing("CPU_QUEUES"))?;
    let mut queues = CpuMap::try_from(queues).map_err(map_error)?;
    for &cpu in cpus {
        queues.set(cpu, QUEUE, Some(program), 0).map_err(|error| match error {
            aya::maps::xdp::XdpMapError::MapError(error) => map_error(error),
            aya::maps::xdp::XdpMapError::ChainedProgramNotSupported => {
                map_error(MapError::ProgIdNotSupported)
            }
        })?;
    }
    let list = ebpf.map_mut("STEER_CPUS").ok_or_else(|| missing("STEER_CPUS"))?;
    let mut list = Array::<_, u32>::try_from(list).map_err(map_error)?;
    for (index, &cpu) in (0..).zip(cpus) {
        list.set(index, cpu, 0).map_err(map_error)?;
    }
    Ok(())
}

fn map_error(error: MapError) -> Error {
    Error::Load(error.into())
}
