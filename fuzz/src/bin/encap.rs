//! Any frame at a tenant's port.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::{
    support::{
        invariants,
        outcome::Told,
        world::{CAST, World},
    },
    worlds,
};

/// Payload bytes of each packet that a merged packet stands for; 0 for a packet that is none.
const SEGMENTS: [usize; 4] = [0, 1, 1400, 1448];

thread_local! {
    static ENDS: [[World; 2]; 3] = worlds::ends();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    ENDS.with(|ends| {
        for [sender, receiver] in ends {
            for tenant in CAST {
                invariants::on_port(sender, receiver, tenant, frame);
                for segment in SEGMENTS {
                    for stripped_vlan in [false, true] {
                        let told = Told { frame, segment, stripped_vlan };
                        invariants::on_port_told(sender, tenant, &told);
                    }
                }
            }
        }
    });
}
