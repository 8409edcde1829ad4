//! Any frame at a tenant's port that may open a TCP connection.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::{support::invariants::syn, worlds};

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    worlds::in_each_narrow(|world, tenant| {
        syn::asks_for_what_fits(world, tenant, frame);
        syn::nothing_else_is_read(world, tenant, frame);
    });
}
