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

/// What a device may tell: payload bytes of each packet that a merged packet stands for, or 0, and whether it took a VLAN
/// tag out.
const TOLD: [(usize, bool); 4] = [(0, true), (1, false), (1448, false), (1448, true)];

thread_local! {
    static ENDS: [[World; 2]; 3] = worlds::ends();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    ENDS.with(|ends| {
        for [sender, receiver] in ends {
            for tenant in CAST {
                invariants::on_port(sender, receiver, tenant, frame);
                for (segment, stripped_vlan) in TOLD {
                    let told = Told { frame, segment, stripped_vlan };
                    invariants::on_port_told(sender, tenant, &told);
                }
            }
        }
    });
}
