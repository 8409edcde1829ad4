//! Many tenants at once, through the library: for benchmarks. The state is that of `XGRE_STATE`.
//!
//! - `tenants add COUNT TUNNEL [IFINDEX]` enters tenants in a state that `xgre run` made, and prints how many
//!   seconds that took. Number n is called `tenant-n` and has key n + 1. With the index of an interface,
//!   packets of all of them are redirected there.
//! - `tenants cloud TENANTS TUNNELS EACH STATIONS` enters tunnels and l2 tenants, each on EACH tunnels with STATIONS stations, and
//!   prints the seconds that tunnels, tenants and stations took.
//! - `tenants received` prints how many packets and bytes all tenants have received.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use gre_common::{
    tables::{Counters, Delivery, FieldPolicy, IfIndex, Port, Service, Tunnel, Via},
    wire::{ethernet::Ends, gre::GreKey},
};
use gre_user::{
    state::{State, StateDir, tenant},
    totals::Reading,
};

fn main() -> Result<()> {
    let dir = StateDir::new(env::var_os("XGRE_STATE").context("XGRE_STATE is not set")?);
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["add", count, tunnel] => add(&dir, count.parse()?, tunnel, Port::NONE),
        ["add", count, tunnel, ifindex] => {
            add(&dir, count.parse()?, tunnel, redirected_to(IfIndex(ifindex.parse()?)))
        }
        ["cloud", tenants, tunnels, each, stations] => {
            cloud(&dir, tenants.parse()?, tunnels.parse()?, each.parse()?, stations.parse()?)
        }
        ["received"] => received(&dir),
        _ => bail!(
            "usage: tenants add COUNT TUNNEL [IFINDEX] | tenants cloud TENANTS TUNNELS EACH STATIONS | tenants received"
        ),
    }
}

fn add(dir: &StateDir, count: u32, tunnel: &str, port: Port) -> Result<()> {
    let begin = Instant::now();
    let mut state = State::open(dir)?;
    for number in 0..count {
        let new = plain(number, Service::L3);
        let id = state.add_tenant(&format!("tenant-{number}"), &[tunnel], &new)?;
        if port != Port::NONE {
            state.set_port(id, port);
        }
    }
    println!("{}", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Tenant n, on whatever tunnels.
fn plain(number: u32, service: Service) -> tenant::New {
    let key = Some(GreKey(number + 1));
    tenant::New {
        service,
        in_key: key,
        second_in_key: None,
        out_key: key,
        sources: Vec::new(),
        rate: None,
    }
}

/// Tunnel n is called `tunnel-n`; tenant n is on those from n on.
fn cloud(dir: &StateDir, tenants: u32, tunnels: u32, each: u32, stations: u32) -> Result<()> {
    let mut state = State::open(dir)?;
    let begin = Instant::now();
    let mut ids = Vec::new();
    for number in 0..tunnels {
        let remote = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number);
        let local = IpAddr::from([192, 0, 2, 1]).into();
        let (remote, ttl) = (IpAddr::from(remote).into(), FieldPolicy::fixed(64));
        let tunnel = Tunnel { local, remote, ttl, ..Tunnel::EMPTY };
        ids.push(state.add_tunnel(&format!("tunnel-{number}"), tunnel)?);
    }
    let of_tunnels = begin.elapsed();
    let begin = Instant::now();
    let mut entered = Vec::new();
    for number in 0..tenants {
        let new = plain(number, Service::L2);
        let own: Vec<_> =
            (0..each).map(|at| format!("tunnel-{}", (number + at) % tunnels)).collect();
        entered.push(state.add_tenant(&format!("tenant-{number}"), &own, &new)?);
    }
    let of_tenants = begin.elapsed();
    let begin = Instant::now();
    for (number, &id) in (0..).zip(&entered) {
        for station in 0..stations {
            let [.., a, b, c] = station.to_be_bytes();
            let via = Via::tunnel(ids[((number + station % each) % tunnels) as usize]);
            state.set_station(id, [2, 0, 0, a, b, c], via)?;
        }
    }
    let times = [of_tunnels, of_tenants, begin.elapsed()];
    println!("{}", times.map(|time| time.as_secs_f64().to_string()).join(" "));
    Ok(())
}

fn received(dir: &StateDir) -> Result<()> {
    let mut sum = Counters::ZERO;
    for tenant in Reading::take(dir)?.tenants {
        sum += tenant.totals.received;
    }
    println!("{} {}", sum.packets, sum.bytes);
    Ok(())
}

fn redirected_to(ifindex: IfIndex) -> Port {
    let (station, own) = ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]);
    Port { ifindex, delivery: Delivery::REDIRECT, ends: Ends::new(station, own) }
}
