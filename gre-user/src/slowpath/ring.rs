//! What `port_tc` hands up: a ring of frames for each CPU.
//!
//! They are there as long as this process. Where there is none, or no room in it, the program drops.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
};

use aya::{
    Ebpf,
    maps::{
        MapData, MapError, PerfEventArray,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use gre_common::{
    packet::Packet as _,
    tables::{HandedUp, IfIndex, TenantId},
    wire::{be32::Be32, ethernet},
};

/// Pages of a ring: some eighty frames of 3,000 bytes.
const PAGES: usize = 64;
/// Where a VLAN tag stands in a frame.
const TAG_OFFSET: usize = ethernet::HEADER_LEN - 2;

/// The rings.
#[derive(Default)]
pub struct Rings(Vec<Ring>);

impl Rings {
    /// Makes a ring for each CPU. Later nobody has the privilege.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open(ebpf: &mut Ebpf) -> io::Result<Self> {
        const MAP: &str = "TO_FRAGMENT";
        let map = ebpf.take_map(MAP);
        let map =
            map.ok_or_else(|| io::Error::other(MapError::InvalidName { name: MAP.into() }))?;
        let mut rings = PerfEventArray::try_from(map).map_err(io::Error::other)?;
        let cpus = online_cpus().map_err(|(_, error)| error)?;
        let open = |cpu| rings.open(cpu, Some(PAGES)).map(Ring).map_err(io::Error::other);
        cpus.into_iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Ring> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Ring> {
        self.0.iter_mut()
    }

    /// Whether there is something to take. The kernel tells of each record once only: who leaves some has to ask.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.iter().any(|Ring(ring)| ring.readable())
    }
}

/// The ring of a CPU.
pub(super) struct Ring(PerfEventArrayBuffer<MapData>);

impl Ring {
    /// Takes a frame, if there is one. It is put into `frame`, its VLAN tag where it belongs. Returns what is known of it.
    pub fn take(&mut self, frame: &mut Vec<u8>) -> Option<HandedUp> {
        let taken = self.0.try_fold((), |(), event| match event {
            PerfEvent::Sample { head, tail } => {
                frame.clear();
                frame.extend_from_slice(head);
                frame.extend_from_slice(tail);
                ControlFlow::Break(())
            }
            // The program has seen that there was no room, and counted.
            PerfEvent::Lost { .. } => ControlFlow::Continue(()),
        });
        taken.is_break().then(|| unwrap(frame)).flatten()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes the frame of a record.
fn unwrap(record: &mut Vec<u8>) -> Option<HandedUp> {
    const LEN: usize = size_of::<HandedUp>();
    let [tenant, port, vlan, len] = record[..].words(0)?;
    let note = HandedUp {
        tenant: TenantId(tenant.as_read()),
        port: IfIndex(port.as_read()),
        vlan,
        len: len.as_read(),
    };
    record.truncate(LEN + note.len as usize);
    record.drain(..LEN);
    if note.vlan != Be32::default() && record.len() >= TAG_OFFSET {
        record.splice(TAG_OFFSET..TAG_OFFSET, note.vlan.bytes());
    }
    Some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(vlan: [u8; 4], len: u32, bytes: &[u8]) -> Vec<u8> {
        let [tenant, port] = [3u32, 7].map(u32::to_ne_bytes);
        [&tenant, &port, &vlan, &len.to_ne_bytes(), bytes].concat()
    }

    #[test]
    fn a_record_becomes_a_frame() {
        let frame: Vec<u8> = (0..20).collect();
        let padded = [&frame[..], &[0xee; 3]].concat();
        let mut plain = record([0; 4], 20, &padded);
        let note = |vlan: [u8; 4]| {
            Some(HandedUp { tenant: TenantId(3), port: IfIndex(7), vlan: vlan.into(), len: 20 })
        };
        assert_eq!(unwrap(&mut plain), note([0; 4]));
        assert_eq!(plain, frame);
        let tag = [0x81, 0, 0, 5];
        let mut tagged = record(tag, 20, &padded);
        assert_eq!(unwrap(&mut tagged), note(tag));
        assert_eq!(tagged, [&frame[..12], &tag, &frame[12..]].concat());
        assert_eq!(unwrap(&mut vec![0; 15]), None);
    }
}
