//! Frame by frame.

use std::{env, fmt, str::FromStr};

use testbed::capture::hex;

use crate::{
    differences::{DIFFERENCES, Difference},
    facts::Facts,
    mutation::{self, identify},
    receiver::{Outcome, Receiver},
    table,
    underlay::Underlay,
};

/// How many mutated packets there are without `XGRE_PROBES`.
const PROBES: usize = 5000;
/// What they depend on without `XGRE_SEED`.
const SEED: u64 = 1;
/// So many unexplained differences are shown.
const SHOWN: usize = 20;

/// Who xgre is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Linux,
    Linux6,
    OpenVswitch,
    KernelDatapath,
}

impl Peer {
    /// What carries the packets.
    pub const fn underlay(self) -> Underlay {
        match self {
            Self::Linux6 => Underlay::V6,
            _ => Underlay::V4,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::Linux6 => "Linux over IPv6",
            Self::OpenVswitch => "Open vSwitch",
            Self::KernelDatapath => "Open vSwitch's kernel datapath",
        })
    }
}

/// A number that the environment may say.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

/// Sends all frames to another receiver, and to xgre in each of its modes.
pub fn compare(peer: Peer, theirs: &Receiver, ours: &[(&str, Receiver)]) {
    let (seed, count) = (setting("XGRE_SEED", SEED), setting("XGRE_PROBES", PROBES));
    let probes = table::probes(peer.underlay());
    let probes = probes.into_iter().chain(mutation::probes(peer.underlay(), seed, count));
    let (mut names, mut frames) = (vec![], vec![]);
    for (id, probe) in (1_usize..).zip(probes) {
        for mut frame in probe.frames {
            identify(&mut frame, id as u16);
            frames.push(frame);
            names.push(probe.what.clone());
        }
    }

    let theirs = theirs.ask(&frames);
    let mut tally = Tally::default();
    for (mode, ours) in ours {
        let outcomes = theirs.iter().zip(ours.ask(&frames));
        for ((what, frame), (theirs, ours)) in names.iter().zip(&frames).zip(outcomes) {
            if *theirs != ours {
                tally.differs(peer, (mode, what), frame, theirs, &ours);
            } else if ours.is_empty() {
                tally.by_none += 1;
            } else {
                tally.by_both += 1;
            }
        }
    }
    println!("{peer} and xgre, {} frames, XGRE_SEED={seed}: {tally}", frames.len());
    tally.judge(peer);
}

/// What came of all frames.
struct Tally {
    by_both: usize,
    by_none: usize,
    /// How often each of [`DIFFERENCES`] was.
    meant: Vec<usize>,
    unexplained: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let meant = vec![0; DIFFERENCES.len()];
        Self { by_both: 0, by_none: 0, meant, unexplained: vec![] }
    }
}

impl Tally {
    fn differs(
        &mut self,
        peer: Peer,
        (mode, what): (&str, &str),
        frame: &[u8],
        theirs: &Outcome,
        ours: &Outcome,
    ) {
        let facts = Facts::of(frame);
        let explains = |difference: &Difference| {
            let facts = facts.as_ref().filter(|_| difference.peers.contains(&peer));
            facts.is_some_and(|facts| difference.explains(facts, theirs, ours))
        };
        if let Some(index) = DIFFERENCES.iter().position(explains) {
            self.meant[index] += 1;
        } else {
            let frame = hex(frame);
            self.unexplained.push(format!(
                "{what}\n in: {frame}\n{peer}: {theirs:?}\nxgre, {mode}: {ours:?}\n{facts:?}"
            ));
        }
    }

    fn judge(&self, peer: Peer) {
        assert!(
            self.unexplained.is_empty(),
            "{} differences that are not meant:\n{}",
            self.unexplained.len(),
            self.unexplained[..self.unexplained.len().min(SHOWN)].join("\n")
        );
        let never = DIFFERENCES.iter().zip(&self.meant);
        let never =
            never.filter(|(difference, count)| difference.peers.contains(&peer) && **count == 0);
        let never: Vec<_> = never.map(|(difference, _)| difference.packet).collect();
        assert!(never.is_empty(), "differences that are none: a packet that {never:#?}");
        assert!(self.by_both > 100 && self.by_none > 100, "nothing was compared: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meant: usize = self.meant.iter().sum();
        write!(
            f,
            "{} delivered by both, {} by none; {meant} differ as meant, {} otherwise",
            self.by_both,
            self.by_none,
            self.unexplained.len()
        )
    }
}
