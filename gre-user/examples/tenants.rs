//! Many tenants at once, through the library: for benchmarks. The state is that of `XGRE_STATE`.
//!
//! - `tenants add COUNT TUNNEL [IFINDEX]` enters tenants in a state that `xgre run` made, and prints how many
//!   seconds that took. Number n is called `tenant-n` and has key n + 1. With the index of an interface,
//!   packets of all of them are redirected there.
//! - `tenants received` prints how many packets and bytes all tenants have received.

use std::{env, time::Instant};

use anyhow::{Context, Result, bail};
use gre_common::{
    tables::{Counters, Delivery, IfIndex, Port, Service},
    wire::{ethernet::Ends, gre::GreKey},
};
use gre_user::state::{State, StateDir, tenant};

fn main() -> Result<()> {
    let dir = StateDir::new(env::var_os("XGRE_STATE").context("XGRE_STATE is not set")?);
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["add", count, tunnel] => add(&dir, count.parse()?, tunnel, Port::NONE),
        ["add", count, tunnel, ifindex] => {
            add(&dir, count.parse()?, tunnel, redirected_to(IfIndex(ifindex.parse()?)))
        }
        ["received"] => received(&dir),
        _ => bail!("usage: tenants add COUNT TUNNEL [IFINDEX] | tenants received"),
    }
}

fn add(dir: &StateDir, count: u32, tunnel: &str, port: Port) -> Result<()> {
    let begin = Instant::now();
    let mut state = State::open(dir)?;
    for number in 0..count {
        let key = Some(GreKey(number + 1));
        let new = tenant::New {
            service: Service::L3,
            in_key: key,
            out_key: key,
            sources: Vec::new(),
            rate: None,
        };
        let id = state.add_tenant(&format!("tenant-{number}"), &[tunnel], &new)?;
        if port != Port::NONE {
            state.set_port(id, port);
        }
    }
    println!("{}", begin.elapsed().as_secs_f64());
    Ok(())
}

fn received(dir: &StateDir) -> Result<()> {
    let (state, mut sum) = (State::open(dir)?, Counters::ZERO);
    let events = state.events()?;
    for tenant in state.tenants() {
        sum += state.tenant_totals(tenant.id, &events)?.received;
    }
    println!("{} {}", sum.packets, sum.bytes);
    Ok(())
}

fn redirected_to(ifindex: IfIndex) -> Port {
    let (station, own) = ([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]);
    Port { ifindex, delivery: Delivery::REDIRECT, ends: Ends::new(station, own) }
}
