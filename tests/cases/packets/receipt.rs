//! The uplink's programs, packet by packet. XDP and TC must agree with one table.

use std::thread;

use testbed::{
    capture::hex,
    packet::{IPV4, IPV6},
    suite::{Case, Need},
};

use crate::{
    programs::{Action, Counters, Hook, Programs, Ran, difference},
    tables::{self, Expect, Row, TENANTS, blue, green, inner2, inner6, plain},
};

/// A name, options of `run`, and rows.
type Table = (&'static str, &'static str, fn() -> Vec<Row>);

const TABLES: &[Table] = &[
    ("delivered", "", tables::delivered),
    ("passed", "", tables::passed),
    ("dropped", "", tables::dropped),
    ("strict", "--strict", tables::strict),
    ("congestion", "", tables::congestion),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for hook in Hook::ALL {
        for &(name, options, table) in TABLES {
            let name = format!("on receipt: {name}, {hook}");
            cases.push(Case::new(name, move || run(hook, options, &table())));
        }
        for (name, table) in [
            ("delivered", tables::delivered as fn() -> Vec<Row>),
            ("dropped", tables::dropped),
            ("congestion", tables::congestion),
        ] {
            let name = format!("on receipt over IPv6: {name}, {hook}");
            cases.push(Case::new(name, move || over_ipv6(hook, table())));
        }
        let name = format!("on receipt: cut at every byte, {hook}");
        cases.push(Case::new(name, move || truncated(hook)));
    }
    let name = "on receipt: counted exactly on several CPUs";
    cases.push(Case::new(name, several_cpus).needs(Need::Linux(6, 3)));
    let name = format!("on receipt: VLAN tags, {}", Hook::UplinkXdp);
    cases.push(Case::new(name, || run(Hook::UplinkXdp, "", &tables::vlan())));
    cases
}

fn run(hook: Hook, options: &str, rows: &[Row]) {
    judge(&Programs::with(options, TENANTS), hook, rows);
}

fn over_ipv6(hook: Hook, rows: Vec<Row>) {
    let rows: Vec<_> = rows.into_iter().filter_map(Row::over_ipv6).collect();
    judge(&Programs::with("", &tables::tenants_over_ipv6()), hook, &rows);
}

fn judge(programs: &Programs, hook: Hook, rows: &[Row]) {
    let mut wrong = Vec::new();
    let mut before = programs.counters();
    let left_to_tc = Expect::Passed("left_to_tc");
    for Row { what, frame, expect } in rows {
        let ran = programs.receive(hook, frame);
        let after = programs.counters();
        let counted = difference(&before, &after);
        before = after;
        let expect = if expect.is_left_to_tc(hook) { &left_to_tc } else { expect };
        if let Err(difference) = expect.check(programs, hook, frame, &ran, &counted) {
            wrong.push(format!(
                "{what}: {difference}\n   in {}\n  out {}",
                hex(frame),
                hex(&ran.bytes)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// One tenant's packets on all CPUs at once. The tap transmits what XDP redirects: no byte of the frames
/// changes, so that they can be received again and again.
fn several_cpus() {
    const EACH: u32 = 500_000;
    let programs = Programs::with("", &TENANTS[..1]);
    programs.host.ns.ip("tuntap add tap0 mode tap");
    programs.host.ns.ip("link set tap0 up");
    programs.host.xgre("tenant add green --key 20 --service l2 --tunnel t").ok();
    programs.host.xgre("port add green tap0").ok();
    let frame = green().build();
    let cpus = thread::available_parallelism().expect("a number of CPUs").get();
    thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| programs.receive_live(&frame, EACH));
        }
    });
    let counters = programs.counters();
    let packets = cpus as u64 * u64::from(EACH);
    assert_eq!(counters["/tenants/green/rx/packets"], packets);
    assert_eq!(counters["/tenants/green/rx/bytes"], packets * inner2().len() as u64);
}

impl Expect {
    /// XDP hands over no frame that begins with a VLAN tag: TC could not tell it from the underlay's.
    fn is_left_to_tc(&self, hook: Hook) -> bool {
        let (Self::Delivered("green", inner) | Self::Noted("green", inner, _)) = self else {
            return false;
        };
        hook == Hook::UplinkXdp && matches!(inner.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
    }

    fn check(
        &self,
        programs: &Programs,
        hook: Hook,
        frame: &[u8],
        ran: &Ran,
        counted: &Counters,
    ) -> Result<(), String> {
        let expected = self.counters(hook);
        if *counted != expected {
            return Err(format!("counted {counted:?}, expected {expected:?}"));
        }
        match self {
            Self::Delivered(tenant, inner) | Self::Noted(tenant, inner, _) => {
                delivered(programs, hook, ran, tenant, inner)
            }
            Self::Passed(_) if *ran != (Ran { action: Action::Passed, bytes: frame.to_vec() }) => {
                Err(format!("{:?}, expected the same packet passed", ran.action))
            }
            Self::Dropped(..) | Self::DroppedAtHook(_) if ran.action != Action::Dropped => {
                Err(format!("{:?}, expected a drop", ran.action))
            }
            _ => Ok(()),
        }
    }

    /// The counters that go up.
    fn counters(&self, hook: Hook) -> Counters {
        let hook = format!("/uplinks/eth0/hooks/{hook}");
        let rx = |tenant: &str, inner: &[u8]| {
            let rx = format!("/tenants/{tenant}/rx");
            vec![(format!("{rx}/packets"), 1), (format!("{rx}/bytes"), inner.len() as u64)]
        };
        let counters = match self {
            Self::Delivered(tenant, inner) => rx(tenant, inner),
            Self::Noted(tenant, inner, notice) => {
                let mut counters = rx(tenant, inner);
                counters.push((format!("/tenants/{tenant}/notices/{notice}"), 1));
                counters
            }
            Self::Passed(reason) => vec![(format!("{hook}/passed/{reason}"), 1)],
            Self::Dropped(tenant, reason) => vec![(format!("/tenants/{tenant}/drops/{reason}"), 1)],
            Self::DroppedAtHook(reason) => vec![(format!("{hook}/drops/{reason}"), 1)],
        };
        counters.into_iter().collect()
    }
}

/// Whether a packet went to the tenant's port, by redirection or by being handed over, as `inner`.
fn delivered(
    programs: &Programs,
    hook: Hook,
    ran: &Ran,
    tenant: &str,
    inner: &[u8],
) -> Result<(), String> {
    let frame = match (hook, ran.action) {
        (_, Action::Redirected) => ran.bytes.as_slice(),
        (Hook::UplinkXdp, Action::Passed) => handed_over(programs, tenant, &ran.bytes)?,
        (_, action) => return Err(format!("{action:?}, expected delivery")),
    };
    let expected = if tenant == "green" {
        inner.to_vec()
    } else {
        let ether_type = if inner[0] >> 4 == 4 { IPV4 } else { IPV6 };
        let [own, station] = programs.port_macs(tenant);
        [&station[..], &own, &ether_type.to_be_bytes(), inner].concat()
    };
    if frame == expected || padded(hook, frame, &expected) {
        Ok(())
    } else {
        Err(format!("expected {}", hex(&expected)))
    }
}

/// TC cannot make a frame shorter than this: it pads, as Ethernet does.
fn padded(hook: Hook, frame: &[u8], expected: &[u8]) -> bool {
    const SHORTEST: usize = 34;
    let padding = frame.strip_prefix(expected);
    hook == Hook::UplinkTc
        && frame.len() == SHORTEST
        && padding.is_some_and(|padding| padding.iter().all(|byte| *byte == 0))
}

/// The frame behind the metadata that tells `uplink_tc` where it goes: a cookie, the uplink, the port.
fn handed_over<'a>(programs: &Programs, tenant: &str, bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let ns = &programs.host.ns;
    let ways = [ns.ifindex("eth0"), ns.ifindex(&programs.port_device(tenant))];
    let frame = bytes
        .get(4..)
        .and_then(|bytes| bytes.strip_prefix(&ways.map(u32::to_ne_bytes).concat()[..]));
    frame.ok_or_else(|| "passed without saying where it goes".to_owned())
}

/// Cut frames and wrong lengths: never delivered, never changed, each counted once.
fn truncated(hook: Hook) {
    let programs = Programs::with("", TENANTS);
    // A test run of TC refuses frames without a whole network header.
    let shortest = if hook == Hook::UplinkXdp { 14 } else { 34 };
    let mut frames = Vec::new();
    for packet in [blue(), plain(), green(), blue().carrying(IPV6, inner6()), blue().options(3)] {
        let whole = packet.build();
        frames.extend((shortest..whole.len()).map(|len| whole[..len].to_vec()));
    }
    for packet in [blue(), plain(), blue().carrying(IPV6, inner6()), blue().options(3)] {
        let whole = packet.build().len() - 14;
        frames.extend((0..whole).map(|len| packet.clone().total_len(len as u16).build()));
    }
    let before = programs.counters();
    for frame in &frames {
        let ran = programs.receive(hook, frame);
        let unchanged = ran.action == Action::Passed && ran.bytes == *frame;
        assert!(unchanged || ran.action == Action::Dropped, "{}: {ran:?}", hex(frame));
    }
    let counted = difference(&before, &programs.counters());
    assert_eq!(counted.values().sum::<u64>(), frames.len() as u64, "{counted:?}");
}
