//! Tables of packets through the real programs in the kernel: one run, one verdict, one counter. A trace of
//! each packet has to say the same.

mod agreement;
mod budget;
mod captures;
mod programs;
mod receipt;
mod sending;
mod tables;
mod traced;
mod transit;

use std::process::ExitCode;

use testbed::suite::documented;

fn main() -> ExitCode {
    let rooms = [
        receipt::cases(),
        sending::cases(),
        transit::cases(),
        traced::cases(),
        captures::cases(),
        budget::cases(),
    ];
    let mut cases: Vec<_> = rooms.into_iter().flatten().collect();
    cases.push(documented("packets", &[], &cases));
    testbed::suite::main(cases)
}
