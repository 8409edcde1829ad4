//! What `xgre trace` tells of a packet is what the program does with it. Every packet of this suite is asked about first.

use std::{collections::BTreeMap, fmt::Debug, path::Path, sync::OnceLock};

use aya::maps::{Map, MapData, PerCpuHashMap};
use gre_common::{
    tables::{Hook, HookCounters, HookKey, IfIndex, TenantEvent, TenantId, Via},
    verdict::{Discard, DropReason, Notice, PassReason},
};
use gre_user::{
    netlink::Netlink,
    state::StateDir,
    trace::{
        Tracer,
        fate::{Fate, Output, Passage, To},
        frame::Frame,
    },
};
use testbed::{Host, capture::hex};

use crate::programs::{Action, Ran};

/// Asks about packets.
#[derive(Default)]
pub struct Oracle(OnceLock<Opened>);

struct Opened {
    tracer: Tracer,
    passes: PerCpuHashMap<MapData, HookKey, HookCounters>,
    drops: PerCpuHashMap<MapData, TenantEvent, u64>,
}

/// How often there was a reason: for a hook or a tenant.
type Reasons = BTreeMap<String, u64>;

impl Oracle {
    /// Runs a program on a frame, and compares with what it was told to do. What it may look up has to be there when the first
    /// packet comes.
    #[track_caller]
    pub fn compare(
        &self,
        host: &Host,
        hook: Hook,
        ifindex: u32,
        frame: &[u8],
        run: impl FnOnce() -> Ran,
    ) -> Ran {
        let opened = self.0.get_or_init(|| Opened::open(host));
        let told = opened.tracer.meet(hook, IfIndex(ifindex), &Frame::new(frame));
        let told = told.expect("a trace");
        let before = opened.reasons();
        let ran = run();
        let mut counted = opened.reasons();
        counted.retain(|reason, count| {
            *count -= before.get(reason).unwrap_or(&0);
            *count > 0
        });
        if let Err(difference) = agrees(&told, frame, &ran, &counted) {
            let (steps, input, made) = (&told.steps, hex(frame), hex(&ran.bytes));
            panic!(
                "{} and its trace differ: {difference}\n  in {input}\n  out {made}\n{steps:#?}",
                hook.name()
            );
        }
        ran
    }
}

impl Opened {
    fn open(host: &Host) -> Self {
        let state = host.state();
        let tracer = host.ns.run_in(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let netlink = Netlink::connect().expect("a socket");
                Tracer::open(&StateDir::new(&state), &netlink).await.expect("a state")
            })
        });
        let map = |name| opened(&state, name);
        Self {
            tracer,
            passes: PerCpuHashMap::try_from(map("HOOK_COUNTERS")).expect("its type"),
            drops: PerCpuHashMap::try_from(map("TENANT_EVENTS")).expect("its type"),
        }
    }

    fn reasons(&self) -> Reasons {
        let mut reasons = Reasons::new();
        let mut add = |reason, count: u64| *reasons.entry(reason).or_default() += count;
        for entry in self.passes.iter().filter(|entry| !is_slow(entry)) {
            let (key, counters) = entry.expect("an entry");
            for reason in PassReason::ALL {
                let count = counters.iter().map(|cpu| cpu.passed[reason.index()]).sum();
                add(passed(key.hook, *reason), count);
            }
            for reason in DropReason::ALL {
                let count = counters.iter().map(|cpu| cpu.dropped[reason.index()]).sum();
                add(dropped(key.hook, reason.unattributed()), count);
            }
        }
        for entry in &self.drops {
            let (key, counts) = entry.expect("an entry");
            let count = counts.iter().sum();
            let notice = key.event.checked_sub(TenantEvent::NOTICE);
            if let Some(reason) = DropReason::ALL.get(key.event as usize) {
                add(dropped(Hook::SLOW_PATH, reason.of(key.tenant)), count);
            } else if let Some(notice) = notice.and_then(|it| Notice::ALL.get(it as usize)) {
                add(noticed(Some(key.tenant), *notice), count);
            }
        }
        reasons
    }
}

/// Whether it counts what the daemon does.
fn is_slow<E>(entry: &Result<(HookKey, aya::maps::PerCpuValues<HookCounters>), E>) -> bool {
    entry.as_ref().is_ok_and(|(key, _)| key.hook == Hook::SLOW_PATH)
}

fn opened(state: &Path, name: &str) -> Map {
    let map = MapData::from_pin(state.join("maps").join(name)).expect("a pinned map");
    Map::from_map_data(map).expect("a map")
}

fn passed(hook: Hook, reason: PassReason) -> String {
    format!("{} passes for {}", hook.name(), reason.label())
}

/// Of a tenant's drops no one can tell which hook's they are.
fn dropped(hook: Hook, discard: Discard) -> String {
    let label = discard.reason.label();
    match discard.tenant() {
        Some(tenant) => format!("tenant #{} loses for {label}", tenant.0),
        None => format!("{} drops for {label}", hook.name()),
    }
}

fn noticed(tenant: Option<TenantId>, notice: Notice) -> String {
    format!("{tenant:?} has {}", notice.label())
}

fn agrees(told: &Passage, frame: &[u8], ran: &Ran, counted: &Reasons) -> Result<(), String> {
    let (action, bytes, reason) = match &told.fate {
        Fate::Passed(reason) => (Action::Passed, Some(frame), Some(passed(told.hook, *reason))),
        Fate::Counted => (Action::Passed, Some(frame), None),
        Fate::Dropped(discard) => (Action::Dropped, None, Some(dropped(told.hook, *discard))),
        Fate::Refused | Fate::HandedUp(_) => (Action::Dropped, None, None),
        Fate::Answered(discard, Output { frame, .. }) => {
            (Action::Redirected, frame.as_deref(), Some(dropped(told.hook, *discard)))
        }
        Fate::Sent(output) if ran.action == Action::Passed => {
            handed_over(told, output, ran)?;
            (Action::Passed, None, None)
        }
        Fate::Sent(Output { frame, .. }) => (Action::Redirected, frame.as_deref(), None),
        // Every copy is made of this.
        Fate::Flooded(copies) => (Action::Redirected, copies.iter().find_map(to_port), None),
    };
    let notices = told.notices.iter().map(|notice| noticed(told.tenant, *notice));
    same("counted", counted, &reason.into_iter().chain(notices).map(|it| (it, 1)).collect())?;
    same("action", &ran.action, &action)?;
    bytes.map_or(Ok(()), |bytes| {
        same("bytes", &hex(&without_id(&ran.bytes)), &hex(&without_id(bytes)))
    })
}

/// The copy that a port gets.
fn to_port((_, fate): &(Via, Fate)) -> Option<&[u8]> {
    match fate {
        Fate::Sent(Output { to: To::Port(_), frame, .. }) => frame.as_deref(),
        _ => None,
    }
}

/// In front of the frame that XDP passes stand a cookie, the uplink and the port.
fn handed_over(told: &Passage, output: &Output, ran: &Ran) -> Result<(), String> {
    same("hook", &told.hook.name(), &Hook::UPLINK_XDP.name())?;
    let (note, frame) = ran.bytes.split_at_checked(12).ok_or("there is no handover")?;
    same("port", &note[8..], &output.to.device().0.to_ne_bytes()[..])?;
    same("bytes", &Some(hex(frame)), &output.frame.as_deref().map(hex))
}

/// A packet that may be fragmented has some identification, which its checksum covers.
fn without_id(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some([8, 0, _, _, _, _, id @ .., flags, _, _, _, c0, c1]) = frame.get_mut(12..26)
        && *flags & 0x40 == 0
    {
        id.fill(0);
        (*c0, *c1) = (0, 0);
    }
    frame
}

fn same<T: PartialEq + Debug + ?Sized>(what: &str, found: &T, told: &T) -> Result<(), String> {
    if found == told { Ok(()) } else { Err(format!("{what} {found:?}, told {told:?}")) }
}
