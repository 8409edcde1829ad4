//! Loads the object.

use std::{
    hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    programs::{ProgramError, SchedClassifier, Xdp},
};
use gre_common::tables::{Hook, RunOptions, Sight, TenantId, TunnelId, table};

use super::{Error, Result, steer};
use crate::state::{self, Sizes, State, StateDir, sizes::Asked};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gre-ebpf"));

/// A setting that every kernel with IPsec has.
const IPSEC_SETTING: &str = "/proc/sys/net/core/xfrm_acq_expires";

/// Entries of a map; `None`: as many as the object says.
type Size = fn(Sizes) -> Option<u32>;

const FIXED: Size = |_| None;
const TENANTS: Size = |sizes| Some(sizes.tenants);
const TUNNELS: Size = |sizes| Some(sizes.tunnel_slots());

/// The maps that are pinned, which is all but what shows and what steers. Programs know the sizes of tables by [`MASKS`].
const MAPS: [(&str, Size); 30] = [
    ("BINDINGS", |sizes| Some(table::places_for(sizes.bindings))),
    ("LOCAL_KEYS", |sizes| Some(table::places_for(sizes.bindings))),
    ("LOCALS", TUNNELS),
    ("ENDS6", |sizes| Some(table::places_for(sizes.tunnels))),
    ("TENANTS", TENANTS),
    ("TUNNELS", TUNNELS),
    ("PORT_TENANTS", |sizes| Some(table::places_for(sizes.tenants))),
    ("PORT_DEVICES", TENANTS),
    ("SEQUENCES", TENANTS),
    ("FDB", |sizes| Some(sizes.stations)),
    ("FDB_LEARNED", TENANTS),
    ("MEMBERS", |sizes| Some(sizes.members())),
    ("ROUTES", |sizes| Some(sizes.routes)),
    ("SOURCES", |sizes| Some(sizes.routes)),
    ("NEIGHBOURS", |sizes| Some(sizes.neighbours)),
    ("LIMITS", TENANTS),
    ("SECOND_KEYS", TENANTS),
    ("TRANSIT_RULES", TENANTS),
    ("ICMP_PACE", TENANTS),
    ("SENT", TENANTS),
    ("FRAGMENTED", TENANTS),
    ("TO_FRAGMENT", FIXED),
    // A tenant in trouble meets a few different reasons.
    ("TENANT_EVENTS", |sizes| Some(sizes.tenants.saturating_mul(4))),
    // Every port has one hook or two; the rest is for uplinks.
    ("HOOK_COUNTERS", |sizes| Some(sizes.tenants.saturating_mul(2).saturating_add(1024))),
    ("META", FIXED),
    ("TUNNEL_NAMES", |sizes| Some(table::places_for(sizes.tunnels))),
    ("TENANT_NAMES", |sizes| Some(table::places_for(sizes.tenants))),
    ("PORTS", TENANTS),
    ("UPLINKS", FIXED),
    ("UPLINK_DEVICES", FIXED),
];

/// The tables that programs search, and what tells them one less than their places.
const MASKS: [(&str, &str); 4] = [
    ("BINDINGS", "BINDINGS_MASK"),
    ("LOCAL_KEYS", "LOCAL_KEYS_MASK"),
    ("ENDS6", "ENDS6_MASK"),
    ("PORT_TENANTS", "PORT_TENANTS_MASK"),
];

/// How to load.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Drop GRE to a local address that matches no binding.
    pub strict: bool,
    /// How much there is to be room for.
    pub sizes: Asked,
    /// XDP is to run behind the driver.
    pub generic: bool,
    /// Spread inner flows over the CPUs.
    pub steer: bool,
    /// Decide and count, and leave packets alone.
    pub shadow: bool,
    /// What is configured is what a fleet says.
    pub fleet: bool,
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
            .with(RunOptions::SHADOW, self.shadow)
            .with(RunOptions::FLEET, self.fleet)
    }

    /// What the programs there are were loaded with.
    fn told(run: RunOptions) -> Self {
        Self {
            strict: run.has(RunOptions::STRICT),
            generic: run.has(RunOptions::GENERIC),
            steer: run.has(RunOptions::STEER),
            shadow: run.has(RunOptions::SHADOW),
            fleet: run.has(RunOptions::FLEET),
            ..Self::default()
        }
    }
}

/// Which packets are to be shown, and how much of them.
#[derive(Clone, Copy, Debug)]
pub struct Capture {
    /// Bytes of each packet at most; one at least.
    pub bytes: u32,
    /// Of how many packets one is shown.
    pub one_in: u32,
    /// Which of them all.
    pub sight: Sight,
    /// Only those of this tenant; [`TenantId::NONE`]: all.
    pub tenant: TenantId,
    /// Only those of this tunnel, and those whose tunnel is not known; [`TunnelId::NONE`]: all.
    pub tunnel: TunnelId,
}

impl Capture {
    const NOTHING: Self = Self {
        bytes: 0,
        one_in: 1,
        sight: Sight::OURS,
        tenant: TenantId::NONE,
        tunnel: TunnelId::NONE,
    };
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
        let sizes =
            if adopted { adopted_sizes(dir, options.sizes)? } else { options.sizes.sizes() };
        let cpus = if options.steer { steer::cpus()? } else { Vec::new() };
        let ebpf = open_object(dir, options, Capture::NOTHING, sizes, cookie, &cpus)?;
        if !adopted {
            State::initialize(dir, cookie)?;
        }
        let mut programs = Self::of(ebpf, &cpus)?;
        programs.pin(dir)?;
        State::open(dir)?.set_run_options(options.to_tell())?;
        Ok(programs)
    }

    /// Loads programs that do the same as those that are pinned, with the same maps, and besides show packets in the map
    /// `CAPTURED`.
    ///
    /// # Errors
    /// There is no state, it is of another version, or the kernel refuses.
    pub fn load_to_capture(dir: &StateDir, capture: Capture) -> Result<Self> {
        let meta = state::check_schema(dir)?;
        let options = Options::told(meta.run);
        let sizes = State::open(dir)?.sizes();
        let cpus = if options.steer { steer::cpus()? } else { Vec::new() };
        Self::of(open_object(dir, options, capture, sizes, meta.cookie, &cpus)?, &cpus)
    }

    /// Loads the programs of an object into the kernel; inner flows are spread over the CPUs, where there are any.
    fn of(mut ebpf: Ebpf, cpus: &[u32]) -> Result<Self> {
        let xdp_suffix = load_programs(&mut ebpf)?;
        let mut programs = Self { ebpf, xdp_suffix };
        if !cpus.is_empty() {
            let program = programs.xdp(Hook::UPLINK_CPU)?.fd().and_then(|fd| Ok(fd.try_clone()?));
            let program = program.map_err(Error::program("use uplink_cpu"))?;
            steer::make_queues(&mut programs.ebpf, cpus, &program)?;
        }
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
        Ok(dir.set_build(&build())?)
    }
}

/// What this build of xgre calls itself: its version, and a number that tells its programs from others.
pub fn build() -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(OBJECT);
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// The standard library's own random numbers, from the kernel.
fn random() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

fn open_object(
    dir: &StateDir,
    options: Options,
    capture: Capture,
    sizes: Sizes,
    cookie: u32,
    cpus: &[u32],
) -> Result<Ebpf> {
    let level = if options.debug { aya_log::Level::Debug as u8 } else { 0 };
    let strict = u8::from(options.strict);
    let generic = u8::from(options.generic);
    let shadow = u8::from(options.shadow);
    let sight = capture.sight.word();
    let ipsec = u8::from(Path::new(IPSEC_SETTING).exists());
    let steer = cpus.len() as u32;
    let highest = cpus.iter().max().map_or(0, |cpu| *cpu);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(aya_log::LEVEL, &level, true)
        .override_global("STRICT", &strict, true)
        .override_global("GENERIC", &generic, true)
        .override_global("SHADOW", &shadow, true)
        .override_global("IPSEC", &ipsec, true)
        .override_global("COOKIE", &cookie, true)
        .override_global("STEER", &steer, true)
        .override_global("CAPTURE", &capture.bytes, true)
        .override_global("CAPTURE_ONE_IN", &capture.one_in, true)
        .override_global("CAPTURE_SIGHT", &sight, true)
        .override_global("CAPTURE_TENANT", &capture.tenant.0, true)
        .override_global("CAPTURE_TUNNEL", &capture.tunnel.0, true)
        .map_max_entries("CPU_QUEUES", highest + 1)
        .map_max_entries("STEER_CPUS", steer.max(1));
    for (name, size) in MAPS {
        loader.map_pin_path(name, dir.map(name));
        if let Some(entries) = size(sizes) {
            loader.map_max_entries(name, entries);
        }
    }
    let places = |table| MAPS.iter().find(|(name, _)| *name == table)?.1(sizes);
    let masks = MASKS.map(|(table, _)| places(table).unwrap_or(1) - 1);
    for ((_, global), mask) in MASKS.iter().zip(&masks) {
        loader.override_global(global, mask, true);
    }
    Ok(loader.load(OBJECT)?)
}

/// How much the maps that are there have room for; they keep their sizes.
fn adopted_sizes(dir: &StateDir, asked: Asked) -> Result<Sizes> {
    let found = State::open(dir)?.sizes();
    match asked.other_than(found) {
        Some(other) => Err(Error::Size(other)),
        None => Ok(found),
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
