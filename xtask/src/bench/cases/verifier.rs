//! What the verifier and the compiler in the kernel make of the programs.

use anyhow::Result;
use aya::programs::{ProgramInfo, SchedClassifier, Xdp};
use aya_obj::programs::XdpAttachType;
use gre_common::tables::Hook;

use crate::bench::{Bench, row::Row, tenants};

/// Most instructions the verifier goes through (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: f64 = 1e6;

/// Reads it of every program.
pub fn run(bench: &Bench<'_>) -> Result<Vec<Row>> {
    bench.doing("load");
    let (host, _wire, _daemon) = tenants::empty(1);
    let mut rows = Vec::new();
    for hook in Hook::ALL {
        let pin = host.state().join("programs").join(hook.name());
        let info: ProgramInfo = if hook.is_xdp() {
            Xdp::from_pin(pin, XdpAttachType::Interface)?.info()?
        } else {
            SchedClassifier::from_pin(pin)?.info()?
        };
        let mut row = Row::new("verifier").with("program", hook.name());
        if let Some(verified) = info.verified_instruction_count() {
            row = row.with("verified", verified).measured("of_limit", f64::from(verified) / LIMIT);
        }
        if let Some(bytes) = info.size_translated() {
            row = row.with("instructions", bytes / 8);
        }
        rows.push(row.with("jit_bytes", info.size_jitted()));
    }
    Ok(rows)
}
