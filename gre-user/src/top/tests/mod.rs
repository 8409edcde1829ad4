//! Tests of the room, with rates of a few of everything.

mod draw;
mod model;

use gre_common::verdict::DropReason;

use crate::{
    state::tunnel::Health,
    totals::rates::{DropRate, Rate, Rates, TenantRate, Total, TunnelRate, UplinkRate},
};

fn rate(packets: u64) -> Rate {
    Rate { packets_per_second: packets, bytes_per_second: packets * 1_000 }
}

/// A few of everything; `part` of 20 of what they do at most.
fn rates(part: u64) -> Rates {
    let tenant = |(name, rx, tx, drops): (&str, u64, u64, u64)| TenantRate {
        name: name.to_owned(),
        rx: rate(rx * part),
        tx: rate(tx * part),
        drops_per_second: drops,
    };
    let tunnel = |(name, state, packets): (&str, Health, u64)| TunnelRate {
        name: name.to_owned(),
        state,
        local: [192, 0, 2, 1].into(),
        remote: [192, 0, 2, 2].into(),
        tenants: 3,
        rx: rate(packets * part),
    };
    let drop = |reason: DropReason, number: u64, most_of: Option<&str>| DropRate {
        reason: reason.label(),
        drops_per_second: number,
        total: number * 1_000 + 7,
        most_of: most_of.map(str::to_owned),
        means: reason.description(),
    };
    let [rx, tx] = [rate(1_240 * part), rate(331 * part)];
    Rates {
        seconds: 1.0,
        total: Total { rx, tx, drops_per_second: 40 },
        tenants: [
            ("a-name-that-is-as-long-as-it-gets", 0, 1, 0),
            ("blue", 40, 300, 0),
            ("green", 1_200, 30, 40),
            ("idle", 0, 0, 0),
        ]
        .map(tenant)
        .into(),
        tunnels: [
            ("node2", Health::Up, 1_240),
            ("node3", Health::Down, 0),
            ("node4", Health::NoRoute, 0),
            ("node5", Health::Unresolved, 0),
        ]
        .map(tunnel)
        .into(),
        drops: vec![
            drop(DropReason::WrongRemote, 0, None),
            drop(DropReason::RateLimit, 40, Some("green")),
        ],
        uplinks: vec![UplinkRate {
            name: "eth0".to_owned(),
            mode: "native",
            passed_per_second: 12,
            drops_per_second: 0,
        }],
    }
}
