//! What `port_tc` hands up. Where nobody takes it, or the ring has no room, the program drops.

use std::io;

use aya::Ebpf;
use gre_common::{
    packet::Packet as _,
    tables::{HandedUp, IfIndex, TenantId},
};

use crate::datapath::ring::{self, Ring, Rings};

/// Pages of a ring: some eighty frames of 3,000 bytes.
const PAGES: usize = 64;

/// Makes the rings. Later nobody has the privilege.
///
/// # Errors
/// The kernel refuses.
pub fn open(ebpf: &mut Ebpf) -> io::Result<Rings> {
    Rings::open(ebpf, "TO_FRAGMENT", PAGES)
}

/// Takes a frame, if there is one. It is put into `frame`, its VLAN tag where it belongs. Returns what is known of it. Of what was
/// lost the program has seen that there was no room, and counted.
pub(super) fn take(ring: &mut Ring, frame: &mut Vec<u8>) -> Option<HandedUp> {
    ring.take(frame).and_then(|_lost| unwrap(frame))
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
    ring::insert_tag(record, note.vlan);
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
