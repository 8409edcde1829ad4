//! Rings in which programs hand packets to userspace: one for each CPU. They are there as long as this process.

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
use gre_common::wire::{
    be32::Be32,
    ethernet::{TYPE_OFFSET, VLAN_TAG_LEN},
};

/// The rings of a map.
#[derive(Default)]
pub struct Rings(Vec<Ring>);

impl Rings {
    /// Makes a ring of so many pages for each CPU, which takes `CAP_PERFMON`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open(ebpf: &mut Ebpf, map: &str, pages: usize) -> io::Result<Self> {
        let taken = ebpf.take_map(map);
        let taken =
            taken.ok_or_else(|| io::Error::other(MapError::InvalidName { name: map.into() }))?;
        let mut rings = PerfEventArray::try_from(taken).map_err(io::Error::other)?;
        let cpus = online_cpus().map_err(|(_, error)| error)?;
        let open = |cpu| rings.open(cpu, Some(pages)).map(Ring).map_err(io::Error::other);
        cpus.into_iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// Each CPU's.
    pub fn iter(&self) -> impl Iterator<Item = &Ring> {
        self.0.iter()
    }

    /// Each CPU's, to take from.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Ring> {
        self.0.iter_mut()
    }

    /// Whether there is something to take. The kernel tells of each record once only: who leaves some has to ask.
    pub fn is_waiting(&self) -> bool {
        self.0.iter().any(|Ring(ring)| ring.readable())
    }
}

/// The ring of a CPU.
pub struct Ring(PerfEventArrayBuffer<MapData>);

impl Ring {
    /// Takes the oldest record into `record`. `None`: there is none. Else how many were lost before it, for want of room.
    pub fn take(&mut self, record: &mut Vec<u8>) -> Option<u64> {
        let mut lost = 0;
        let taken = self.0.try_fold((), |(), event| match event {
            PerfEvent::Sample { head, tail } => {
                record.clear();
                record.extend_from_slice(head);
                record.extend_from_slice(tail);
                ControlFlow::Break(())
            }
            PerfEvent::Lost { count } => {
                lost += count;
                ControlFlow::Continue(())
            }
        });
        taken.is_break().then_some(lost)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Puts a VLAN tag that the kernel has taken out of a frame back; zero: it has taken none. Returns how many bytes were put.
pub fn insert_tag(frame: &mut Vec<u8>, tag: Be32) -> usize {
    if tag == Be32::default() || frame.len() < TYPE_OFFSET {
        return 0;
    }
    frame.splice(TYPE_OFFSET..TYPE_OFFSET, tag.bytes());
    VLAN_TAG_LEN
}
