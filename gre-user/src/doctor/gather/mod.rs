//! Asks for the facts. Nothing is judged here, and nothing changed.
//!
//! - [`kernel`]: the kernel and its settings. [`device`]: an interface, looked at closely.
//! - [`configured`]: tunnels, tenants and ports, as the state or a file has them.
//! - [`tunnel`], [`port`]: what the host makes of them.
//! - [`endpoint`]: who else answers to GRE packets. [`counter`]: what became of packets.

mod configured;
mod counter;
mod device;
mod endpoint;
mod kernel;
mod port;
mod tunnel;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use gre_common::tables::{Hook, RunOptions};

use self::{configured::Configured, counter::Sample, device::Devices};
use super::facts::{Host, Problem, State as StateFacts, Uplink};
use crate::{
    config::file::{self, Problems},
    datapath::load,
    netlink::Netlink,
    state::{self, State, StateDir, uplink},
};

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    /// Interfaces that are, or are to be, uplinks.
    pub uplinks: Vec<String>,
    /// A configuration instead of the state's.
    pub file: Option<PathBuf>,
}

/// What the pinned maps say.
struct Pinned {
    configured: Configured,
    uplinks: Vec<uplink::Named>,
    sample: Sample,
}

/// Everything there is to know.
///
/// # Errors
/// The kernel does not answer.
pub async fn host(dir: &StateDir, subjects: &Subjects) -> anyhow::Result<Host> {
    let netlink = Netlink::connect()?;
    let mut host =
        Host { kernel: kernel::kernel(dir), links: netlink.links().await?, ..Host::default() };
    let pinned = state(dir, &mut host.state);
    let known = pinned.as_ref().map(|it| it.uplinks.as_slice()).unwrap_or_default();
    let devices = Devices::new(dir, &netlink);
    host.uplinks = uplinks(&devices, &subjects.uplinks, known).await?;
    let configured = match &subjects.file {
        Some(path) => of_file(path, &mut host),
        None => pinned.as_ref().map(|it| it.configured.clone()),
    };
    if let Some(configured) = configured {
        let holdings = netlink.holdings().await?;
        host.tunnels = tunnel::tunnels(&netlink, &configured, &holdings, &host).await?;
        host.ports = port::ports(&devices, &configured, &holdings, &host).await?;
        host.tenants = configured.tenant_facts();
        host.endpoints = endpoint::endpoints(&netlink).await?;
    }
    if let Some(Pinned { sample, .. }) = pinned {
        host.counters = counter::counters(dir, &sample).await?;
    }
    Ok(host)
}

/// What a file has. `None`: the host is told what is wrong with it.
fn of_file(path: &Path, host: &mut Host) -> Option<Configured> {
    match file::read(path) {
        Ok(file) => Some(Configured::of_model(&file.model, &host.links)),
        Err(error) => {
            host.problems = problems(&path.display().to_string(), &error);
            None
        }
    }
}

fn problems(file: &str, error: &anyhow::Error) -> Vec<Problem> {
    let Some(problems) = error.downcast_ref::<Problems>() else {
        return vec![Problem { place: file.to_owned(), message: format!("{error:#}") }];
    };
    let of_file = |(place, message)| Problem { place, message };
    problems.places().map(of_file).collect()
}

/// What the pins tell. `None`: there are none, or none that can be read.
fn state(dir: &StateDir, facts: &mut StateFacts) -> Option<Pinned> {
    facts.dir = dir.path().display().to_string();
    facts.exists = dir.exists();
    if !facts.exists {
        return None;
    }
    for hook in Hook::ALL {
        facts.linked.extend(dir.linked(hook).into_iter().map(|ifindex| (hook.name(), ifindex)));
    }
    match pinned(dir) {
        Ok((options, pinned)) => {
            facts.has_daemon = dir.daemon_runs();
            facts.steers = options.has(RunOptions::STEER);
            let is_attached = !pinned.uplinks.is_empty();
            facts.other_build = other_build(dir).filter(|_| is_attached);
            Some(pinned)
        }
        Err(error) => {
            facts.unreadable = Some(error.to_string());
            None
        }
    }
}

fn pinned(dir: &StateDir) -> state::Result<(RunOptions, Pinned)> {
    let options = state::check_schema(dir)?.run;
    let state = State::open(dir)?;
    let configured = Configured::of_state(&state)?;
    let uplinks = state.uplinks()?;
    // Counting takes the lock.
    drop(state);
    let sample = Sample::take(dir)?;
    Ok((options, Pinned { configured, uplinks, sample }))
}

fn other_build(dir: &StateDir) -> Option<String> {
    let build = dir.build().unwrap_or_else(|| "it does not say which".to_owned());
    (build != load::build()).then_some(build)
}

/// Those of the state, and those that were named.
async fn uplinks(
    devices: &Devices<'_>,
    asked: &[String],
    known: &[uplink::Named],
) -> anyhow::Result<Vec<Uplink>> {
    let names: BTreeSet<_> = known.iter().map(|it| &it.name).chain(asked).collect();
    let mut uplinks = Vec::new();
    for name in names {
        let device = devices.by_name(name).await?;
        // The name may be another device's by now.
        let is_known = |it: &&uplink::Named| {
            it.name == *name
                && device.as_ref().is_none_or(|device| device.link.ifindex == it.ifindex)
        };
        let mode = known.iter().find(is_known).map(|it| it.mode);
        uplinks.push(Uplink { name: name.clone(), device, mode });
    }
    Ok(uplinks)
}
