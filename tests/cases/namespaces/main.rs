//! Whole hosts in network namespaces: xgre against itself, Open vSwitch, the kernel and its users.

mod bad_input;
mod book;
mod bookkeeping;
mod capture;
mod changes;
mod config;
mod containers;
mod crossing;
mod damaged;
mod doctor;
mod documents;
mod events;
mod fleet;
mod fragments;
mod guards;
mod import;
mod ipsec;
mod isolation;
mod keepalive;
mod keys;
mod lifetime;
mod linux;
mod mesh;
mod monitoring;
mod mtu;
mod next_hop;
mod next_hop6;
mod open_vswitch;
mod origins;
mod path_mtu;
mod peers;
mod port_xdp;
mod ports;
mod routes;
mod service;
mod setup;
mod shadow;
mod slow_path;
mod soak;
mod statistics;
mod steering;
mod trace;
mod transit;
mod uplink;
mod uplinks;

use std::process::ExitCode;

use testbed::suite::documented;

fn main() -> ExitCode {
    let rooms = [
        peers::cases(),
        isolation::cases(),
        ipsec::cases(),
        open_vswitch::cases(),
        origins::cases(),
        linux::cases(),
        mesh::cases(),
        monitoring::cases(),
        uplink::cases(),
        uplinks::cases(),
        lifetime::cases(),
        service::cases(),
        shadow::cases(),
        capture::cases(),
        next_hop::cases(),
        next_hop6::cases(),
        mtu::cases(),
        statistics::cases(),
        bad_input::cases(),
        book::cases(),
        bookkeeping::cases(),
        config::cases(),
        import::cases(),
        changes::cases(),
        containers::cases(),
        port_xdp::cases(),
        ports::cases(),
        slow_path::cases(),
        soak::cases(),
        fragments::cases(),
        guards::cases(),
        routes::cases(),
        keepalive::cases(),
        keys::cases(),
        path_mtu::cases(),
        steering::cases(),
        trace::cases(),
        transit::cases(),
        documents::cases(),
        events::cases(),
        doctor::cases(),
        damaged::cases(),
        fleet::cases(),
    ];
    let mut cases: Vec<_> = rooms.into_iter().flatten().collect();
    cases.push(documented("namespaces", origins::NAMES, &cases));
    testbed::suite::main(cases)
}
