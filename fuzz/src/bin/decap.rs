//! Any frame on an uplink.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::{
    support::{invariants, plain, world::World},
    worlds,
};

thread_local! {
    static WORLDS: [World; 5] = worlds::uplinks();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    WORLDS.with(|worlds| {
        for world in worlds {
            invariants::on_uplink(world, frame);
            // Chance seldom finds a checksum.
            if let Some(frame) = plain::repaired(frame) {
                invariants::on_uplink(world, &frame);
            }
        }
    });
}
