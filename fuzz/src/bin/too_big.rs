//! Any frame at a tenant's port that may not fit: the answer to it, or its fragments.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::{
    support::{invariants::too_big, plain},
    worlds,
};

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    // Chance seldom finds a checksum.
    let sound = plain::with_sound_header(frame);
    worlds::in_each_narrow(|world, tenant| {
        for frame in [Some(frame), sound.as_deref()].into_iter().flatten() {
            too_big::is_told_rightly(world, tenant, frame);
            too_big::is_cut_rightly(world, tenant, frame);
        }
    });
}
