//! Shows packets as they come to the programs, with what becomes of them.
//!
//! Programs that show packets take the place of the others for as long as somebody looks; the others have no instruction for it.
//!
//! - [`wanted`]: which packets; [`sample`]: one of them.
//! - [`pcapng`]: a file of them; [`line`](mod@line): one in a line, for people and machines.

mod line;
mod pcapng;
mod sample;
pub mod wanted;

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

use gre_common::tables::IfIndex;
use nix::fcntl::Flock;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::{line::Style, pcapng::create};
use self::{
    pcapng::Pcapng,
    sample::{Clock, Sample},
    wanted::Wanted,
};
use crate::{
    datapath::{exchange, load::Programs, ring::Rings},
    names::Names,
    netlink::Netlink,
    state::{State, StateDir},
};

/// Pages of a ring: 1 MiB.
const PAGES: usize = 256;
/// How often rings are looked into.
const LOOK: Duration = Duration::from_millis(10);
/// How often it is asked whether other programs have taken the place of those that show packets.
const ASK: Duration = Duration::from_millis(500);

/// How packets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for each.
    Lines(Style),
    /// A file for Wireshark, tcpdump and the like.
    Pcapng,
}

/// How many packets there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Those written.
    pub shown: u64,
    /// Those that the rings had no room for.
    pub lost: u64,
}

/// What users call what a packet has met.
struct Told {
    names: Names,
    interfaces: Vec<(IfIndex, String)>,
}

impl Told {
    fn interface(&self, ifindex: IfIndex) -> String {
        let device = self.interfaces.iter().find(|(it, _)| *it == ifindex).map(|(_, name)| name);
        let name = self.names.port(ifindex).or(device.map(String::as_str));
        name.map_or_else(|| format!("#{}", ifindex.0), str::to_owned)
    }
}

/// Shows packets until it is interrupted, or there were `count`.
///
/// # Errors
/// There is no state, somebody else captures, the kernel refuses, or packets cannot be written. The programs are as before then.
pub async fn capture(
    dir: &StateDir,
    wanted: &Wanted,
    (file, format): (Box<dyn Write>, Format),
    count: Option<u64>,
) -> anyhow::Result<Tally> {
    let _lock: Flock<_> = dir.lock_programs()?;
    let netlink = Netlink::connect()?;
    let state = State::open(dir)?;
    let places = exchange::places(dir, &state, &netlink).await?;
    let links = netlink.links().await?;
    let interfaces = links.into_iter().map(|link| (link.ifindex, link.name)).collect();
    let told = Told { names: Names::of(&state)?, interfaces };
    // Loading takes the lock.
    drop(state);
    let mut programs = Programs::load_to_capture(dir, wanted.programs)?;
    let rings = Rings::open(programs.object(), "CAPTURED", PAGES)?;
    let writer = Writer::new(file, format, told)?;
    let mut watch =
        Watch { dir, rings, wanted, writer, count, clock: Clock::now(), tally: Tally::default() };

    // From here on nothing ends the process before the programs are back.
    let mut end = End::listen()?;
    let put = exchange::put(&mut programs, dir, &places);
    let watched = match put {
        Ok(()) => {
            eprintln!("capturing; Ctrl-C ends it");
            watch.until(&mut end).await
        }
        Err(error) => Err(error.into()),
    };
    exchange::put_back(dir, &places)?;
    watched?;
    watch.look()?;
    Ok(watch.tally)
}

/// What asks for the end.
struct End([Signal; 3]);

impl End {
    fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn asked(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What looks into the rings.
struct Watch<'a> {
    dir: &'a StateDir,
    rings: Rings,
    wanted: &'a Wanted,
    writer: Writer,
    count: Option<u64>,
    clock: Clock,
    tally: Tally,
}

impl Watch<'_> {
    /// Until the end is asked for, there were enough packets, nobody reads any more, or the programs are gone.
    async fn until(&mut self, end: &mut End) -> anyhow::Result<()> {
        let [mut look, mut ask] = [LOOK, ASK].map(tokio::time::interval);
        let began_with = exchange::generation(self.dir);
        loop {
            tokio::select! {
                () = end.asked() => return Ok(()),
                _ = look.tick() => if !self.look()? { return Ok(()) },
                _ = ask.tick() => match exchange::generation(self.dir) {
                    now if now == began_with => {}
                    Some(_) => {
                        eprintln!("`xgre run` was started anew and its programs see no capture; capture again");
                        return Ok(());
                    }
                    None => {
                        eprintln!("`xgre run` has ended");
                        return Ok(());
                    }
                },
            }
        }
    }

    /// Writes what is in the rings now. False: there were enough, or nobody reads any more.
    fn look(&mut self) -> anyhow::Result<bool> {
        for sample in self.take() {
            if self.has_enough() || !self.writer.write(&sample)? {
                return Ok(false);
            }
            self.tally.shown += 1;
        }
        Ok(self.writer.flush()? && !self.has_enough())
    }

    fn has_enough(&self) -> bool {
        self.count.is_some_and(|count| self.tally.shown >= count)
    }

    fn take(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut record = Vec::new();
        for ring in self.rings.iter_mut() {
            while let Some(lost) = ring.take(&mut record) {
                self.tally.lost += lost;
                let sample = Sample::read(&record, self.clock);
                samples.extend(sample.filter(|sample| self.wanted.wants(sample)));
            }
        }
        samples.sort_by_key(|sample| sample.time);
        samples
    }
}

/// What writes packets with names.
struct Writer {
    told: Told,
    to: To,
}

enum To {
    Lines(Box<dyn Write>, Style),
    Pcapng(Pcapng<Box<dyn Write>>),
}

impl Writer {
    fn new(file: Box<dyn Write>, format: Format, told: Told) -> anyhow::Result<Self> {
        let to = match format {
            Format::Lines(style) => To::Lines(file, style),
            Format::Pcapng => To::Pcapng(Pcapng::new(file)?),
        };
        Ok(Self { told, to })
    }

    /// False: nobody reads any more.
    fn write(&mut self, sample: &Sample) -> anyhow::Result<bool> {
        let written = match &mut self.to {
            To::Lines(file, style) => line::write(file, sample, &self.told, *style),
            To::Pcapng(file) => file.write(sample, &self.told),
        };
        is_read(written)
    }

    /// False: nobody reads any more.
    fn flush(&mut self) -> anyhow::Result<bool> {
        is_read(match &mut self.to {
            To::Lines(file, _) => file.flush(),
            To::Pcapng(file) => file.flush(),
        })
    }
}

/// False: nobody reads what was written.
fn is_read(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}
