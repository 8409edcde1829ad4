//! Any frame at a tenant's port that may open a TCP connection.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::{
    support::{
        invariants::syn,
        world::{BLUE, GREEN, World},
    },
    worlds,
};

thread_local! {
    static WORLDS: [World; 3] = worlds::narrow();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    WORLDS.with(|worlds| {
        for world in worlds {
            for tenant in [BLUE, GREEN] {
                syn::asks_for_what_fits(world, tenant, frame);
                syn::nothing_else_is_read(world, tenant, frame);
            }
        }
    });
}
