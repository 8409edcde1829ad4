//! Loads the object.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    programs::{ProgramError, SchedClassifier, Xdp},
};
use gre_common::tables::Hook;

use super::{Error, Result};
use crate::state::{self, State, StateDir};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gre-ebpf"));

/// The maps that are pinned, which is all but the logger's ring, and how each grows with the number of
/// tenants: entries for every tenant, and entries besides. Without either its size is fixed.
const MAPS: [(&str, u32, u32); 15] = [
    ("BINDINGS", 1, 0),
    ("LOCAL_KEYS", 1, 0),
    ("LOCALS", 1, 0),
    ("TENANTS", 1, 0),
    ("TUNNELS", 1, 0),
    ("PORT_TENANTS", 1, 0),
    ("PORT_DEVICES", 1, 0),
    ("TENANT_COUNTERS", 1, 0),
    // A tenant in trouble meets a few different reasons.
    ("TENANT_EVENTS", 4, 0),
    // Every port has a hook; the rest is for uplinks.
    ("HOOK_COUNTERS", 1, 1024),
    ("META", 0, 0),
    ("TUNNEL_NAMES", 1, 0),
    ("TENANT_NAMES", 1, 0),
    ("PORTS", 1, 0),
    ("UPLINKS", 0, 0),
];

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Drop GRE to a local address that matches no binding.
    pub strict: bool,
    /// Room for this many tenants, ports and tunnels; `None`: the default, or what there is.
    pub max_tenants: Option<u32>,
    /// XDP is to run behind the driver.
    pub generic: bool,
    /// Have the programs tell about every packet.
    pub debug: bool,
}

/// The loaded programs.
pub struct Programs {
    ebpf: Ebpf,
    /// The XDP program that this kernel takes.
    xdp: &'static str,
}

impl Programs {
    /// Loads the programs into the kernel, adopts or makes the maps, and pins both.
    ///
    /// # Errors
    /// The state is of another version or size, or the kernel refuses.
    pub fn load(dir: &StateDir, options: Options) -> Result<Self> {
        let adopted = dir.map("META").exists();
        let cookie = if adopted { state::check_schema(dir)?.cookie } else { random() };
        if adopted {
            check_size(dir, options.max_tenants)?;
        }
        let mut ebpf = open_object(dir, options, cookie)?;
        if !adopted {
            State::initialize(dir, cookie)?;
        }
        let xdp = load_programs(&mut ebpf)?;
        let mut programs = Self { ebpf, xdp };
        programs.pin(dir)?;
        Ok(programs)
    }

    /// The program for XDP on an uplink.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn xdp(&mut self) -> Result<&mut Xdp> {
        program(&mut self.ebpf, self.xdp)
    }

    /// The program for a TC hook.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn tc(&mut self, hook: Hook) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, hook.name())
    }

    /// The object, from which the logger takes its ring.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn pin(&mut self, dir: &StateDir) -> Result<()> {
        for hook in Hook::ALL {
            let path = dir.program(hook.name());
            remove_pin(&path)?;
            if hook == Hook::UPLINK_XDP {
                self.xdp()?.pin(&path)?;
            } else {
                self.tc(hook)?.pin(&path)?;
            }
        }
        Ok(())
    }
}

/// The standard library's own random numbers, from the kernel.
fn random() -> [u8; 4] {
    (RandomState::new().build_hasher().finish() as u32).to_ne_bytes()
}

fn open_object(dir: &StateDir, options: Options, cookie: [u8; 4]) -> Result<Ebpf> {
    let level = if options.debug { aya_log::Level::Debug as u8 } else { 0 };
    let strict = u8::from(options.strict);
    let generic = u8::from(options.generic);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(aya_log::LEVEL, &level, true)
        .override_global("STRICT", &strict, true)
        .override_global("GENERIC", &generic, true)
        .override_global("COOKIE", &cookie, true);
    for (name, per_tenant, besides) in MAPS {
        loader.map_pin_path(name, dir.map(name));
        if let Some(tenants) = options.max_tenants
            && per_tenant > 0
        {
            let entries = tenants.saturating_mul(per_tenant).saturating_add(besides);
            loader.map_max_entries(name, entries);
        }
    }
    Ok(loader.load(OBJECT)?)
}

/// Maps that were there keep their size, whatever is asked for.
fn check_size(dir: &StateDir, asked: Option<u32>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let found = State::open(dir)?.max_tenants();
    if found == asked { Ok(()) } else { Err(Error::Size { found, asked }) }
}

/// Loads every program, and tells which of the XDP programs the kernel took: before Linux 5.18 it knows
/// no XDP fragments.
fn load_programs(ebpf: &mut Ebpf) -> Result<&'static str> {
    for hook in [Hook::UPLINK_TC, Hook::PORT_TC] {
        let loaded = program::<SchedClassifier>(ebpf, hook.name())?.load();
        loaded.map_err(Error::program(format!("load {}", hook.name())))?;
    }
    let [with_frags, linear] = ["uplink_xdp", "uplink_xdp_linear"];
    if program::<Xdp>(ebpf, with_frags)?.load().is_ok() {
        return Ok(with_frags);
    }
    let loaded = program::<Xdp>(ebpf, linear)?.load();
    loaded.map_err(Error::program(format!("load {linear}")))?;
    Ok(linear)
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(Error::NotLoaded)?;
    program.try_into().map_err(Error::program(format!("find the program {name}")))
}

/// Removes a pin; absent is fine.
pub(super) fn remove_pin(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Remove { path: path.display().to_string(), source: error })
        }
        _ => Ok(()),
    }
}
