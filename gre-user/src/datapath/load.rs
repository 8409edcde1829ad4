//! Loads the object.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    programs::{ProgramError, SchedClassifier, Xdp},
};
use gre_common::tables::{DEFAULT_TENANTS, Hook, RunOptions, table};

use super::{Error, Result, steer};
use crate::state::{self, State, StateDir};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gre-ebpf"));

/// A setting that every kernel with IPsec has.
const IPSEC_SETTING: &str = "/proc/sys/net/core/xfrm_acq_expires";

/// How a map's size follows from the number of tenants.
#[derive(Clone, Copy)]
enum Size {
    /// It does not.
    Fixed,
    /// So many entries for each, and so many besides.
    PerTenant(u32, u32),
    /// That of a [`table`].
    Table,
}

/// The maps that are pinned, which is all but the rings and what steers.
const MAPS: [(&str, Size); 28] = [
    ("BINDINGS", Size::Table),
    ("LOCAL_KEYS", Size::Table),
    ("LOCALS", Size::PerTenant(1, 0)),
    ("ENDS6", Size::Table),
    ("TENANTS", Size::PerTenant(1, 0)),
    ("TUNNELS", Size::PerTenant(1, 0)),
    ("PORT_TENANTS", Size::Table),
    ("PORT_DEVICES", Size::PerTenant(1, 0)),
    ("SEQUENCES", Size::PerTenant(1, 0)),
    ("FDB", Size::PerTenant(16, 0)),
    ("FDB_LEARNED", Size::PerTenant(1, 0)),
    ("MEMBERS", Size::PerTenant(4, 1)),
    ("ROUTES", Size::PerTenant(4, 0)),
    ("SOURCES", Size::PerTenant(4, 0)),
    ("NEIGHBOURS", Size::PerTenant(4, 0)),
    ("LIMITS", Size::PerTenant(1, 0)),
    ("TRANSIT_RULES", Size::PerTenant(1, 0)),
    ("ICMP_PACE", Size::PerTenant(1, 0)),
    ("SENT", Size::PerTenant(1, 0)),
    ("FRAGMENTED", Size::PerTenant(1, 0)),
    // A tenant in trouble meets a few different reasons.
    ("TENANT_EVENTS", Size::PerTenant(4, 0)),
    // Every port has one hook or two; the rest is for uplinks.
    ("HOOK_COUNTERS", Size::PerTenant(2, 1024)),
    ("META", Size::Fixed),
    ("TUNNEL_NAMES", Size::Table),
    ("TENANT_NAMES", Size::Table),
    ("PORTS", Size::PerTenant(1, 0)),
    ("UPLINKS", Size::Fixed),
    ("UPLINK_DEVICES", Size::Fixed),
];

impl Size {
    /// Entries for that many tenants; `None`: as many as the object says.
    fn entries(self, tenants: u32) -> Option<u32> {
        match self {
            Self::Fixed => None,
            Self::PerTenant(each, besides) => {
                Some(tenants.saturating_mul(each).saturating_add(besides))
            }
            Self::Table => Some(table::places_for(tenants)),
        }
    }
}

/// How to load.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Drop GRE to a local address that matches no binding.
    pub strict: bool,
    /// Room for this many tenants, ports and tunnels; `None`: the default, or what there is.
    pub max_tenants: Option<u32>,
    /// XDP is to run behind the driver.
    pub generic: bool,
    /// Spread inner flows over the CPUs.
    pub steer: bool,
    /// Have the programs tell about every packet.
    pub debug: bool,
}

impl Options {
    /// What others may want to know of them.
    fn to_tell(self) -> RunOptions {
        RunOptions::NONE
            .with(RunOptions::STRICT, self.strict)
            .with(RunOptions::GENERIC, self.generic)
            .with(RunOptions::STEER, self.steer)
    }
}

/// The loaded programs.
pub struct Programs {
    ebpf: Ebpf,
    /// What is behind the names of the XDP programs that this kernel takes.
    xdp_suffix: &'static str,
}

impl Programs {
    /// Loads the programs into the kernel, adopts or makes the maps, and pins both.
    ///
    /// # Errors
    /// The state is of another version or size, or the kernel refuses.
    pub fn load(dir: &StateDir, options: Options) -> Result<Self> {
        let adopted = dir.map("META").exists();
        let cookie = if adopted { state::check_schema(dir)?.cookie } else { random() };
        let tenants = if adopted {
            adopted_size(dir, options.max_tenants)?
        } else {
            options.max_tenants.unwrap_or(DEFAULT_TENANTS)
        };
        let cpus = if options.steer { steer::cpus()? } else { Vec::new() };
        let mut ebpf = open_object(dir, options, tenants, cookie, &cpus)?;
        if !adopted {
            State::initialize(dir, cookie)?;
        }
        let xdp_suffix = load_programs(&mut ebpf)?;
        let mut programs = Self { ebpf, xdp_suffix };
        if options.steer {
            let program = programs.xdp(Hook::UPLINK_CPU)?.fd().and_then(|fd| Ok(fd.try_clone()?));
            let program = program.map_err(Error::program("use uplink_cpu"))?;
            steer::make_queues(&mut programs.ebpf, &cpus, &program)?;
        }
        programs.pin(dir)?;
        State::open(dir)?.set_run_options(options.to_tell())?;
        Ok(programs)
    }

    /// The program for an XDP hook.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn xdp(&mut self, hook: Hook) -> Result<&mut Xdp> {
        program(&mut self.ebpf, &format!("{}{}", hook.name(), self.xdp_suffix))
    }

    /// The program for a TC hook.
    ///
    /// # Errors
    /// The object lacks it.
    pub fn tc(&mut self, hook: Hook) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, hook.name())
    }

    /// The object, from which the logger and the slow path take their rings.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn pin(&mut self, dir: &StateDir) -> Result<()> {
        for hook in Hook::ALL {
            let path = dir.program(hook.name());
            remove_pin(&path)?;
            if hook.is_xdp() {
                self.xdp(hook)?.pin(&path)?;
            } else {
                self.tc(hook)?.pin(&path)?;
            }
        }
        Ok(())
    }
}

/// The standard library's own random numbers, from the kernel.
fn random() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

fn open_object(
    dir: &StateDir,
    options: Options,
    tenants: u32,
    cookie: u32,
    cpus: &[u32],
) -> Result<Ebpf> {
    let level = if options.debug { aya_log::Level::Debug as u8 } else { 0 };
    let strict = u8::from(options.strict);
    let generic = u8::from(options.generic);
    let ipsec = u8::from(Path::new(IPSEC_SETTING).exists());
    let steer = cpus.len() as u32;
    let highest = cpus.iter().max().map_or(0, |cpu| *cpu);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(aya_log::LEVEL, &level, true)
        .override_global("STRICT", &strict, true)
        .override_global("GENERIC", &generic, true)
        .override_global("IPSEC", &ipsec, true)
        .override_global("COOKIE", &cookie, true)
        .override_global("STEER", &steer, true)
        .map_max_entries("CPU_QUEUES", highest + 1)
        .map_max_entries("STEER_CPUS", steer.max(1));
    let mask = table::places_for(tenants) - 1;
    loader.override_global("PLACES_MASK", &mask, true);
    for (name, size) in MAPS {
        loader.map_pin_path(name, dir.map(name));
        if let Some(entries) = size.entries(tenants) {
            loader.map_max_entries(name, entries);
        }
    }
    Ok(loader.load(OBJECT)?)
}

/// How many tenants the maps that are there have room for; they keep their size.
fn adopted_size(dir: &StateDir, asked: Option<u32>) -> Result<u32> {
    let found = State::open(dir)?.max_tenants();
    match asked {
        Some(asked) if asked != found => Err(Error::Size { found, asked }),
        _ => Ok(found),
    }
}

/// Loads every program, and tells what is behind the names of the XDP programs that the kernel took: before
/// Linux 5.18 it knows no XDP fragments.
fn load_programs(ebpf: &mut Ebpf) -> Result<&'static str> {
    const WITH_FRAGS: &str = "";
    const LINEAR: &str = "_linear";
    for hook in Hook::ALL.into_iter().filter(|hook| !hook.is_xdp()) {
        let loaded = program::<SchedClassifier>(ebpf, hook.name())?.load();
        loaded.map_err(Error::program(format!("load {}", hook.name())))?;
    }
    if load_xdp(ebpf, WITH_FRAGS).is_ok() {
        return Ok(WITH_FRAGS);
    }
    load_xdp(ebpf, LINEAR).map(|()| LINEAR)
}

fn load_xdp(ebpf: &mut Ebpf, suffix: &str) -> Result<()> {
    for hook in Hook::ALL.into_iter().filter(|hook| hook.is_xdp()) {
        let name = format!("{}{suffix}", hook.name());
        let loaded = program::<Xdp>(ebpf, &name)?.load();
        loaded.map_err(Error::program(format!("load {name}")))?;
    }
    Ok(())
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
