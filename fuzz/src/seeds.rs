//! What fuzzing begins with. Frames are packets of real peers, and one of each kind that they did not send.

use std::{collections::HashSet, fs, io, net::Ipv4Addr, path::Path};

use crate::support::{
    captures,
    frame::{
        ARP, Frame, GRE, ICMP, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, SERVICE_VLAN, TCP, UDP, VLAN,
        ethernet, ipv6, small_ipv4, small_ipv6, tagged,
    },
    ipv6,
    world::{LOCAL, REMOTE, SECOND_REMOTE, STRANGER},
};

/// A frame or a text, and what to call it.
pub type Seed = (String, Vec<u8>);

/// Those of a target: the files in `fuzz/seeds` under its name, or [all](frames) frames.
///
/// # Panics
/// A file of the project cannot be read.
pub fn of(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let Ok(files) = fs::read_dir(folder) else { return frames() };
    let seed = |file: io::Result<fs::DirEntry>| {
        let file = file.expect("a file");
        let text = fs::read(file.path()).expect("a text");
        (file.file_name().to_string_lossy().into_owned(), text)
    };
    files.map(seed).collect()
}

/// All frames. Every target of frames takes them all: a GRE packet may enter at a port, and anything at an uplink.
pub fn frames() -> Vec<Seed> {
    let captured = captures::names().into_iter().flat_map(|name| captured(&name));
    let made = [("ipv4", over_ipv4()), ("ipv6", over_ipv6()), ("port", sent())];
    let made = made.into_iter().flat_map(|(name, frames)| {
        let named = move |(number, frame)| (format!("{name}-{number}"), frame);
        frames.into_iter().enumerate().map(named)
    });
    captured.chain(made).collect()
}

/// Writes each of a target's to a file of its own, and says how many there are.
///
/// # Errors
///
/// When the folder cannot be made or written to.
pub fn write(target: &str, folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let seeds = of(target);
    for (name, frame) in &seeds {
        fs::write(folder.join(name), frame)?;
    }
    Ok(seeds.len())
}

/// Frames of a capture. Those of one length differ in numbers only: one is enough.
fn captured(name: &str) -> Vec<Seed> {
    let mut lengths = HashSet::new();
    let frames = captures::frames(name).into_iter().enumerate();
    let distinct = frames.filter(|(_, frame)| lengths.insert(frame.len()));
    distinct.map(|(number, frame)| (format!("{name}-{number}"), frame)).collect()
}

/// Frames for an uplink.
fn over_ipv4() -> Vec<Vec<u8>> {
    let (v4, v6, l2) = (small_ipv4(), small_ipv6(), ethernet(IPV4, &small_ipv4()));
    let capable = Ipv4::new(TCP).tos(2).around(&[0; 20]);
    let capable_v6 = ipv6(2, 64, TCP, &[0; 20]);
    let from = |remote| Frame::gre().from(remote).to(LOCAL);
    let blue = || from(REMOTE).key(10);
    let green = || from(REMOTE).key(20);
    vec![
        blue().ipv4(&v4),
        blue().ipv6(&v6),
        green().ethernet(&l2),
        green().ethernet(&tagged(&[SERVICE_VLAN, VLAN], IPV6, &v6)),
        green().ethernet(&ethernet(ARP, &[0; 28])),
        from(REMOTE).key(0).ipv4(&v4),
        from(REMOTE).ipv4(&v4),
        from(REMOTE).key(7).ipv4(&v4),
        from(REMOTE).key(30).ipv4(&v4),
        from(SECOND_REMOTE).key(20).ipv4(&v4),
        from(SECOND_REMOTE).ethernet(&l2),
        from(STRANGER).key(10).ipv4(&v4),
        blue().tagged(VLAN).padding(6).ipv4(&v4),
        blue().ip(|ip| ip.options(&[1; 40])).ipv4(&v4),
        blue().ip(|ip| ip.tos(3)).ipv4(&capable),
        blue().ip(|ip| ip.tos(3)).ipv6(&capable_v6),
        blue().ip(|ip| ip.fragment(MORE_FRAGMENTS)).ipv4(&v4),
        blue().checksum().ipv4(&v4),
        blue().sequence(1).ipv4(&v4),
        blue().checksum().sequence(1).ipv6(&v6),
        blue().flags(0x0001).carrying(0x880b, &v4),
        blue().ipv4(&Ipv4::new(UDP).to(REMOTE).around(&[0; 8])),
        blue().carrying(0, &[]),
    ]
}

/// The same over IPv6; behind extension headers, padding and a fragment header; between mapped IPv4 addresses.
fn over_ipv6() -> Vec<Vec<u8>> {
    const DESTINATION_OPTIONS: u8 = 60;
    const FRAGMENT: u8 = 44;
    let mut frames: Vec<_> = over_ipv4().iter().map(|frame| ipv6::over_ipv6(frame)).collect();
    let first = frames[0].clone();
    frames.push(ipv6::extended(&first, DESTINATION_OPTIONS, &[GRE, 0, 1, 4, 0, 0, 0, 0]));
    frames.push(ipv6::extended(&first, FRAGMENT, &[GRE, 0, 0, 1, 0, 0, 0, 1]));
    let mut mapped = first;
    let ends = [STRANGER, LOCAL].map(|end| Ipv4Addr::from(end).to_ipv6_mapped().octets());
    mapped[22..54].copy_from_slice(&ends.concat());
    frames.push(mapped);
    frames
}

/// Frames for a port.
fn sent() -> Vec<Vec<u8>> {
    let fragment = Ipv4::new(UDP).fragment(MORE_FRAGMENTS).around(&[0; 24]);
    let options = Ipv4::new(ICMP).options(&[1; 40]).around(&[8, 0]);
    let copied = Ipv4::new(UDP).options(&[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]).around(&[7; 200]);
    let syn = [&[0; 12][..], &[0x60, 2, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180]].concat();
    let syn = Ipv4::new(TCP).dont_fragment().around(&syn);
    vec![
        ethernet(IPV4, &copied),
        ethernet(IPV4, &syn),
        tagged(&[VLAN], IPV4, &syn),
        ethernet(IPV4, &Ipv4::new(UDP).dont_fragment().around(&[0; 1480])),
        ethernet(IPV6, &ipv6(0, 64, UDP, &[0; 1480])),
        ethernet(IPV4, &small_ipv4()),
        ethernet(IPV6, &small_ipv6()),
        ethernet(IPV4, &Ipv4::new(TCP).around(&[0x50; 20])),
        ethernet(IPV6, &ipv6(0, 64, TCP, &[0x50; 20])),
        ethernet(IPV4, &Ipv4::new(GRE).around(&[0; 24])),
        ethernet(IPV4, &Ipv4::new(UDP).ttl(0).around(&[0; 8])),
        ethernet(IPV4, &Ipv4::new(UDP).around(&[0; 1480])),
        ethernet(IPV4, &fragment),
        ethernet(IPV4, &options),
        ethernet(ARP, &[0; 28]),
        tagged(&[SERVICE_VLAN, VLAN], IPV4, &small_ipv4()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::frames;
    use crate::{
        support::{
            outcome::{Outcome, receive, send},
            world::CAST,
        },
        worlds,
    };

    /// A target whose seeds all end early would have nothing to begin with.
    #[test]
    fn seeds_reach_every_tenant() {
        let [cast, ..] = worlds::uplinks();
        let delivered =
            frames().into_iter().filter_map(|(_, frame)| match receive(&cast, &frame) {
                Outcome::Forwarded(tenant, ..) => Some(tenant.0),
                _ => None,
            });
        assert_eq!(delivered.collect::<BTreeSet<_>>(), CAST.map(|tenant| tenant.0).into());
        for tenant in CAST {
            let is_sent =
                |frame: &[u8]| matches!(send(&cast, tenant, frame), Outcome::Forwarded(..));
            assert!(frames().iter().filter(|(_, frame)| is_sent(frame)).count() > 10, "{tenant:?}");
        }
    }
}
