//! The same frames to xgre and to another receiver of GRE: what comes out must be the same, but for what
//! `docs/conformance.md` tells.
//!
//! - `receiver`: a host that gets frames, and what became of each; `arrivals`: the socket that sees it
//! - `tenants`: what both hosts are set up for; `linux`, `open_vswitch`: how the other one is
//! - `table`, `mutation`: the frames; `underlay`: the same over IPv6
//! - `facts`: what a frame says, read without xgre's code; `differences`: which differences are meant
//! - `comparison`: frame by frame

mod arrivals;
mod comparison;
mod differences;
mod facts;
mod linux;
mod mutation;
mod open_vswitch;
mod receiver;
mod table;
mod tenants;
mod underlay;

use std::process::ExitCode;

fn main() -> ExitCode {
    let rooms = [linux::cases(), open_vswitch::cases(), differences::cases()];
    testbed::suite::main(rooms.into_iter().flatten().collect())
}
