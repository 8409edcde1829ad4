//! Spreads the inner flows of a tunnel over CPUs (`run --steer inner`).
//!
//! The outer addresses of a tunnel are always the same, so a NIC puts all of its packets on one queue and one CPU.

use aya_ebpf::{
    Global,
    bindings::xdp_action::XDP_PASS,
    btf_maps::{Array, CpuMap},
    helpers::bpf_get_smp_processor_id,
    macros::btf_map,
};
use gre_common::{decap::Decap, packet::Packet as _};

use crate::packet::XdpPacket;

/// Set to the number of CPUs there may be when steering is on.
const CPUS_MAX: usize = 1;

/// Queues to CPUs, by their number; `uplink_cpu` runs at the other end.
#[btf_map]
pub static CPU_QUEUES: CpuMap<CPUS_MAX> = CpuMap::new();
/// The CPUs that take part.
#[btf_map]
pub static STEER_CPUS: Array<u32, CPUS_MAX> = Array::new();

/// How many there are; 0: steering is off. Set at load.
#[unsafe(no_mangle)]
static STEER: Global<u32> = Global::new(0);

/// Sends a frame, unchanged, to the CPU of its inner flow; `None`: it stays here.
#[inline(always)]
pub fn to_other_cpu(packet: &XdpPacket<'_>, plan: &Decap<'_>) -> Option<u32> {
    let cpus = STEER.load();
    if cpus == 0 {
        return None;
    }
    // SAFETY: the helper takes no argument and cannot fail.
    let here = unsafe { bpf_get_smp_processor_id() };
    let inner = plan.inner_ip;
    let bytes = plan.strip..plan.strip + plan.inner_len;
    let hash = packet.flow_hash(inner.version, inner.offset, bytes);
    let share = (u64::from(hash) * u64::from(cpus)) >> 32;
    let cpu = *STEER_CPUS.get(share as u32)?;
    if cpu == here {
        return None;
    }
    CPU_QUEUES.redirect(cpu, u64::from(XDP_PASS)).ok()
}
