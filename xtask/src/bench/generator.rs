//! Makes packets in the kernel: live frames (`BPF_PROG_TEST_RUN`), redirected into a device.
//!
//! One CPU makes, receives and discards them, so a rate is what all of it costs.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, Map, PerCpuArray,
        xdp::{DevMap, DevMapHash},
    },
    programs::{
        Program, ProgramFd, SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions,
        Xdp, tc,
    },
};
use clap::ValueEnum;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use testbed::{
    Netns,
    link::End,
    packet::{Gre, IPV4, Udp},
};

use super::{Bench, batch, pktgen::Pktgen, tenants};

/// Frames before a measurement.
const WARM_UP: u32 = 4000;
/// How often [`WARM_UP`] is tried.
const ATTEMPTS: u32 = 10;
/// System calls in a measurement.
const CALLS: u128 = 3;
/// Frames between two looks at the receiver: what the receiver's poll takes (`NAPI_POLL_WEIGHT`).
const BATCH: u32 = 64;
/// After this long without a frame nothing is under way any more.
const SILENCE: Duration = Duration::from_millis(20);
/// What has not arrived after this time without a frame is lost.
const LOSS: Duration = Duration::from_millis(50);
/// Shorter than any queue on the ways measured. The shortest is a packet socket's: it holds 48 frames, for each of the
/// built-in generator's counts as a page.
const WINDOW: u32 = 40;
/// As many fit between pktgen and the first host, should nobody take them meanwhile (`netdev_max_backlog` is 1000).
const BACKLOG: u32 = 900;
/// Between two looks at what has arrived.
const PAUSE: Duration = Duration::from_micros(20);
/// Words of the map `TEMPLATE`.
const WORDS: usize = 9;

/// Who makes the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Kernel pktgen where there is one and it can make the packets alone, else the built-in one
    Auto,
    /// Live XDP frames
    Builtin,
    /// Kernel pktgen
    Pktgen,
}

/// The frames to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Keyed GRE from the tunnel's remote end, UDP inside.
    Gre,
    /// What is inside.
    Plain,
}

impl Frames {
    fn program(self) -> &'static str {
        match self {
            Self::Gre => "generate_gre",
            Self::Plain => "generate_plain",
        }
    }

    /// A frame whose tenant's part is `size` bytes long, as Ethernet counts: with 14 bytes of header and 4 of
    /// checksum.
    fn template(self, size: u16, station: [u8; 6]) -> Vec<u8> {
        let payload = vec![0; usize::from(size) - 4 - 14 - 20 - 8];
        let udp = Udp::new("10.9.0.0", "10.8.255.255", &payload);
        let mut inner = udp.ip();
        // No UDP checksum: the generator changes the addresses.
        inner[26..28].fill(0);
        match self {
            Self::Gre => {
                let text = |address: [u8; 4]| std::net::Ipv4Addr::from(address).to_string();
                Gre::new(&text(tenants::REMOTE), &text(tenants::LOCAL), IPV4, inner)
                    .key(0)
                    .to_mac(station)
                    .build()
            }
            Self::Plain => {
                [&station[..], &testbed::packet::PEER_MAC, &IPV4.to_be_bytes(), &inner].concat()
            }
        }
    }
}

/// The benchmark's own programs.
pub struct Generator<'n> {
    ebpf: Ebpf,
    /// In place of live frames.
    pktgen: Option<Pktgen<'n>>,
    has_pktgen: bool,
    frames: Frames,
    frame: Vec<u8>,
    cpu: OneCpu,
}

impl<'n> Generator<'n> {
    /// A generator that sends through `eth0` of a namespace, for these tenants.
    pub fn load(bench: &Bench<'_>, wire: &'n Netns, frames: Frames, draws: &[u32]) -> Result<Self> {
        Self::load_on(bench, (wire, "eth0"), frames, draws)
    }

    /// The same through any device.
    pub fn load_on(
        bench: &Bench<'_>,
        wire: End<'n>,
        frames: Frames,
        draws: &[u32],
    ) -> Result<Self> {
        let has_pktgen = match bench.args.generator {
            Kind::Pktgen => true,
            Kind::Builtin => false,
            // GRE frames that begin as socket buffers cost more than what they are to measure.
            Kind::Auto => frames == Frames::Plain && Pktgen::bring().is_ok(),
        };
        Self::with(bench, wire, frames, draws, has_pktgen)
    }

    /// The same with live frames, whatever was asked for: a receiver in XDP wants no socket buffers.
    pub fn load_live(
        bench: &Bench<'_>,
        wire: &'n Netns,
        frames: Frames,
        draws: &[u32],
    ) -> Result<Self> {
        Self::with(bench, (wire, "eth0"), frames, draws, false)
    }

    fn with(
        bench: &Bench<'_>,
        wire: End<'n>,
        frames: Frames,
        draws: &[u32],
        has_pktgen: bool,
    ) -> Result<Self> {
        let cpu = OneCpu::new()?;
        ensure!(draws.len().is_power_of_two(), "{} draws are no power of two", draws.len());
        let mask = draws.len() as u32 - 1;
        let object = bench.workspace.ebpf_object().with_file_name("gre-bench");
        let mut ebpf = EbpfLoader::new()
            .override_global("KEYS_MASK", &mask, true)
            .map_max_entries("KEYS", draws.len() as u32)
            .load_file(&object)
            .with_context(|| format!("cannot load {}", object.display()))?;
        for (name, program) in ebpf.programs_mut() {
            let loaded = match program {
                Program::Xdp(program) => program.load(),
                Program::SchedClassifier(program) => program.load(),
                _ => bail!("{name} is of a kind that nobody expects"),
            };
            loaded.with_context(|| format!("cannot load {name}"))?;
        }
        let keys: Vec<u32> = draws.iter().map(|&tenant| tenants::key(tenant).to_be()).collect();
        let slots: Vec<u32> = (0..=mask).collect();
        let Some(Map::Array(map)) = ebpf.map("KEYS") else { bail!("no map KEYS") };
        batch::update(map, &slots, &keys)?;
        let mut this = Self { ebpf, pktgen: None, has_pktgen, frames, frame: Vec::new(), cpu };
        this.send_on(wire)?;
        if has_pktgen && frames == Frames::Gre {
            this.attach("wrap_tc", wire, TcAttachType::Egress)?;
        }
        Ok(this)
    }

    /// Sends through `eth0` of this namespace from now on. A size must be set anew.
    pub fn send_from(&mut self, wire: &'n Netns) -> Result<()> {
        self.send_on((wire, "eth0"))
    }

    fn send_on(&mut self, wire: End<'n>) -> Result<()> {
        let (ns, device) = wire;
        let ifindex = ns.ifindex(device);
        let mut devices: DevMap<_> =
            self.ebpf.map_mut("WIRE").context("no map WIRE")?.try_into()?;
        ns.run_in(|| devices.set(0, ifindex, None, 0))?;
        if self.has_pktgen {
            let queued = self.frames == Frames::Gre;
            self.pktgen = Some(Pktgen::new(wire, self.cpu.number, queued)?);
        }
        Ok(())
    }

    /// Counts and discards every socket buffer that arrives at `eth0` of this namespace.
    pub fn count_at(&mut self, receiver: &Netns) -> Result<()> {
        self.attach("count_tc", (receiver, "eth0"), TcAttachType::Ingress)
    }

    /// Puts a TC program on a device, as long as that exists.
    fn attach(&mut self, program: &str, (ns, device): End<'_>, at: TcAttachType) -> Result<()> {
        let name = program;
        let program = self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        let link = ns.run_in(|| {
            // TCX needs none, and below Linux 6.6 its refusal shows in the next step.
            let _ = tc::qdisc_add_clsact(device);
            let id = program.attach(device, at)?;
            program.take_link(id)
        });
        // Dropping it elsewhere could take a filter off another namespace's device.
        std::mem::forget(link.with_context(|| format!("cannot attach {name}"))?);
        Ok(())
    }

    /// Makes tenants' frames of this size from now on, for a station on the other side of the wire.
    pub fn set_size(&mut self, size: u16, station: [u8; 6]) -> Result<()> {
        self.frame = self.frames.template(size, station);
        let mut words = [0u64; WORDS];
        for (word, bytes) in words.iter_mut().zip(self.frame.chunks_exact(size_of::<u64>())) {
            *word = u64::from_ne_bytes(bytes.try_into()?);
        }
        let mut template: Array<_, [u64; WORDS]> =
            self.ebpf.map_mut("TEMPLATE").context("no map TEMPLATE")?.try_into()?;
        template.set(0, words, 0)?;
        match &self.pktgen {
            // Ethernet and IP alone: GRE is put in front afterwards.
            Some(pktgen) => pktgen.set_len(usize::from(size) - 4, station),
            None => Ok(()),
        }
    }

    /// What makes the frames.
    pub fn name(&self) -> &'static str {
        if self.pktgen.is_some() { "pktgen" } else { "builtin" }
    }

    /// Makes frames for a while, and tells how many a second `arrived` tells of, in millions.
    pub fn rate(&self, span: Duration, arrived: impl Fn(&Self) -> Result<u64>) -> Result<f64> {
        // Caches and page pools fill, and a frame's time tells how many are made in one go.
        let frame = self.send(WARM_UP)? / WARM_UP;
        let call = (span.as_nanos() / frame.as_nanos().max(1) / CALLS).clamp(1 << 10, 1 << 20);
        let before = arrived(self)?;
        let mut spent = Duration::ZERO;
        while spent < span {
            spent += self.send(call as u32)?;
        }
        let count = arrived(self)? - before;
        ensure!(count > 0, "no frame arrived");
        Ok(count as f64 / spent.as_secs_f64() / 1e6)
    }

    /// Makes frames for a while, and sees how many arrive where they are counted.
    ///
    /// Time is what a clock on the wall shows, for a long way is not walked by the generator alone.
    pub fn pass(&self, span: Duration, pace: Pace) -> Result<Passage> {
        // Those who hand on get their turns.
        set_niceness(0);
        let warm_up = self.warm_up(pace)?;
        let frames = span.as_nanos() * u128::from(WARM_UP) / warm_up.as_nanos().max(1);
        let mut sent = (frames.clamp(1 << 10, 1 << 24) as u32).next_multiple_of(WINDOW / 2);
        if self.pktgen.is_some() && pace == Pace::Window {
            // A start takes an eighth of a second.
            sent = sent.min(20 * BACKLOG);
        }
        let before = self.arrived()?;
        let elapsed = self.timed(sent, pace)?;
        let after = self.arrived()?;
        let in_the_end = self.settle()?[0] - before[0];
        let [arrived, bytes] = [after[0] - before[0], after[1] - before[1]];
        ensure!(arrived > 0, "no frame arrived");
        let lost = 1.0 - in_the_end as f64 / f64::from(sent);
        Ok(Passage { arrived, bytes, elapsed, lost })
    }

    /// Sends until something arrives, for the first packets may have to wait for an address; the time of the last
    /// handful.
    fn warm_up(&self, pace: Pace) -> Result<Duration> {
        let before = self.arrived()?;
        for _ in 0..ATTEMPTS {
            let elapsed = self.timed(WARM_UP, pace)?;
            if self.settle()? != before {
                return Ok(elapsed);
            }
        }
        bail!("no frame arrived")
    }

    /// Waits until nothing more arrives; what has.
    fn settle(&self) -> Result<[u64; 2]> {
        let mut last = self.arrived()?;
        loop {
            thread::sleep(SILENCE);
            let now = self.arrived()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    fn timed(&self, count: u32, pace: Pace) -> Result<Duration> {
        if self.pktgen.is_some() {
            // Its own clock: it waits before and after it sends.
            let portion = if pace == Pace::Full { count } else { BACKLOG };
            let mut elapsed = Duration::ZERO;
            for sent in (0..count).step_by(portion as usize) {
                elapsed += self.send(portion.min(count - sent))?;
            }
            return Ok(elapsed);
        }
        let begin = Instant::now();
        match pace {
            Pace::Full => drop(self.send(count)?),
            Pace::Window => self.send_windows(count)?,
        }
        Ok(begin.elapsed())
    }

    fn send_windows(&self, count: u32) -> Result<()> {
        let before = self.arrived()?[0];
        let (mut sent, mut lost) = (0, 0);
        let mut progress = (before, Instant::now());
        while sent < u64::from(count) {
            let arrived = self.arrived()?[0];
            if arrived > progress.0 {
                progress = (arrived, Instant::now());
            }
            if progress.1.elapsed() > LOSS {
                lost = sent - (arrived - before);
            }
            if sent - lost <= arrived - before + u64::from(WINDOW / 2) {
                self.send(WINDOW / 2)?;
                sent += u64::from(WINDOW / 2);
                progress.1 = Instant::now();
            } else {
                // Leaves the processor to those who hand on.
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Makes frames; the time it took, as the kernel has it: without setting up, and without what others did on
    /// this CPU meanwhile.
    fn send(&self, count: u32) -> Result<Duration> {
        if let Some(pktgen) = &self.pktgen {
            return pktgen.send(count);
        }
        let program = self.ebpf.program(self.frames.program()).context("no generator")?;
        let program: &Xdp = program.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.repeat = count;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let ran = program.test_run(options).context("cannot make live frames (Linux 5.18)")?;
        // The kernel tells the time of one frame.
        Ok(ran.duration * count)
    }

    /// Packets and bytes that the counting programs have seen.
    pub fn arrived(&self) -> Result<[u64; 2]> {
        let map: PerCpuArray<_, [u64; 2]> =
            self.ebpf.map("ARRIVED").context("no map ARRIVED")?.try_into()?;
        let cpus = map.get(&0, 0)?;
        Ok(cpus.iter().fold([0; 2], |[packets, bytes], cpu| [packets + cpu[0], bytes + cpu[1]]))
    }

    /// One of the counting programs.
    pub fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        Ok(program.try_into()?)
    }

    /// The program that redirects in TC, to a device.
    pub fn redirect_tc(&mut self, ifindex: u32) -> Result<&mut SchedClassifier> {
        let mut map: Array<_, u32> =
            self.ebpf.map_mut("EGRESS").context("no map EGRESS")?.try_into()?;
        map.set(0, ifindex, 0)?;
        let program = self.ebpf.program_mut("redirect_tc").context("no program redirect_tc")?;
        Ok(program.try_into()?)
    }

    /// Lets the program `redirect` send to a device, which counts and discards.
    pub fn set_sink(&mut self, ns: &Netns, ifindex: u32) -> Result<()> {
        let sink = self.sink()?;
        let mut map: DevMapHash<_> =
            self.ebpf.map_mut("SINK").context("no map SINK")?.try_into()?;
        ns.run_in(|| map.insert(0, ifindex, Some(&sink), 0))?;
        Ok(())
    }

    /// The program that stands where a device would transmit.
    pub fn sink(&self) -> Result<ProgramFd> {
        let program: &Xdp = self.ebpf.program("count_sink").context("no count_sink")?.try_into()?;
        Ok(program.fd()?.try_clone()?)
    }
}

/// How fast frames are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the generator can.
    Full,
    /// No more than [`WINDOW`] are under way at any time, of pktgen [`BACKLOG`]: longer queues lose none.
    Window,
}

impl Pace {
    /// The name in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Window => "window",
        }
    }
}

/// What came through.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// Frames that were counted.
    pub arrived: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// In what time.
    pub elapsed: Duration,
    /// Part of the frames that never came, out of 1.
    pub lost: f64,
}

impl Passage {
    /// Millions of frames a second.
    pub fn mpps(&self) -> f64 {
        1e3 / self.nanoseconds()
    }

    /// Time for each frame that arrived.
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.arrived as f64
    }
}

/// Keeps this thread on the last CPU, ahead of others, as long as it lives.
struct OneCpu {
    number: usize,
    before: CpuSet,
}

const THIS_THREAD: Pid = Pid::from_raw(0);

impl OneCpu {
    fn new() -> Result<Self> {
        let before = sched_getaffinity(THIS_THREAD)?;
        let is_set = |&cpu: &usize| before.is_set(cpu).unwrap_or(false);
        let last = (0..CpuSet::count()).rev().find(is_set).context("no CPU")?;
        let mut one = CpuSet::new();
        one.set(last)?;
        sched_setaffinity(THIS_THREAD, &one).context("cannot stay on one CPU")?;
        set_niceness(-20);
        Ok(Self { number: last, before })
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        let _ = sched_setaffinity(THIS_THREAD, &self.before);
        set_niceness(0);
    }
}

/// Of this thread. A refusal only makes the figures noisier.
fn set_niceness(niceness: libc::c_int) {
    // SAFETY: a system call with integers.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}
