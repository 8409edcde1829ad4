//! A packet that a program has shown.

use std::time::{Duration, SystemTime};

use gre_common::{
    packet::Packet as _,
    tables::{Captured, Fate, Hook, IfIndex, TenantId, TunnelId},
    wire::be32::Be32,
};
use nix::time::{ClockId, clock_gettime};

use crate::datapath::ring;

/// What tells the time of day from the kernel's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the monotonic clock began.
    began: SystemTime,
}

impl Clock {
    /// As the clocks stand to each other now.
    pub fn now() -> Self {
        let since = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Self { began: SystemTime::now() - since }
    }
}

/// A packet as it came to a program, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub time: SystemTime,
    /// Where it came in.
    pub ifindex: IfIndex,
    /// The program.
    pub hook: Hook,
    /// What becomes of it.
    pub fate: Fate,
    /// Whose it is, if that is known.
    pub tenant: Option<TenantId>,
    /// What it came or goes through, if that is known.
    pub tunnel: Option<TunnelId>,
    /// Its beginning.
    pub frame: Vec<u8>,
    /// Its length, in bytes.
    pub len: usize,
}

impl Sample {
    /// Of a record in a ring; `None`: it is none of ours.
    pub fn read(record: &[u8], clock: Clock) -> Option<Self> {
        const LEN: usize = size_of::<Captured>();
        let [low, high, ifindex, hook, fate, tenant, tunnel, vlan, len, captured, room, _] =
            record.words(0)?;
        let [low, high, ifindex, hook, fate, tenant, tunnel, len, captured, room] =
            [low, high, ifindex, hook, fate, tenant, tunnel, len, captured, room]
                .map(Be32::as_read);
        // The kernel's words have the machine's own order.
        let halves = if cfg!(target_endian = "little") { [high, low] } else { [low, high] };
        let time = u64::from(halves[0]) << 32 | u64::from(halves[1]);
        let mut frame = record.get(LEN + room as usize..LEN + captured as usize)?.to_vec();
        let len = len as usize + ring::insert_tag(&mut frame, vlan);
        Some(Self {
            time: clock.began + Duration::from_nanos(time),
            ifindex: IfIndex(ifindex),
            hook: Hook::from_code(hook),
            fate: Fate::from_word(fate),
            tenant: Some(TenantId(tenant)).filter(|&id| id != TenantId::NONE),
            tunnel: Some(TunnelId(tunnel)).filter(|&id| id != TunnelId::NONE),
            frame,
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use gre_common::verdict::DropReason;

    use super::*;

    fn record(vlan: [u8; 4], room: u32, frame: &[u8]) -> Vec<u8> {
        let fate = Fate::dropped(DropReason::Source).word();
        let captured = room + frame.len() as u32;
        let words = [7, Hook::PORT_XDP.code(), fate, 3, TunnelId::NONE.0].map(u32::to_ne_bytes);
        let lengths = [60, captured, room, 0].map(u32::to_ne_bytes);
        let room = vec![0xee; room as usize];
        [&5_000_000_007u64.to_ne_bytes(), words.as_flattened(), &vlan, lengths.as_flattened()]
            .concat()
            .into_iter()
            .chain(room)
            .chain(frame.iter().copied())
            .collect()
    }

    #[test]
    fn a_record_becomes_a_packet() {
        let clock = Clock { began: SystemTime::UNIX_EPOCH };
        let frame: Vec<u8> = (0..20).collect();
        let plain = Sample {
            time: SystemTime::UNIX_EPOCH + Duration::from_nanos(5_000_000_007),
            ifindex: IfIndex(7),
            hook: Hook::PORT_XDP,
            fate: Fate::dropped(DropReason::Source),
            tenant: Some(TenantId(3)),
            tunnel: None,
            frame: frame.clone(),
            len: 60,
        };
        assert_eq!(Sample::read(&record([0; 4], 0, &frame), clock).as_ref(), Some(&plain));
        assert_eq!(Sample::read(&record([0; 4], 42, &frame), clock).as_ref(), Some(&plain));
        let tag = [0x81, 0, 0, 5];
        let tagged = [&frame[..12], &tag, &frame[12..]].concat();
        let tagged = Sample { frame: tagged, len: 64, ..plain };
        assert_eq!(Sample::read(&record(tag, 0, &frame), clock), Some(tagged));
        assert_eq!(Sample::read(&[0; 47], clock), None);
    }
}
