//! Many map entries in one system call (Linux 5.6). aya has no call for it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
    ptr,
};

use anyhow::{Context, Result};
use aya::{Pod, maps::MapData};

/// Entries in a call: enough to make the call's own cost vanish.
const CHUNK: usize = 65_536;

const UPDATE_BATCH: libc::c_long = 26;

/// The part of `union bpf_attr` (linux/bpf.h) that is called `batch`.
#[repr(C)]
#[derive(Default)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Opens a pinned map.
pub fn open(pin: &Path) -> Result<MapData> {
    MapData::from_pin(pin).with_context(|| format!("cannot open the map {}", pin.display()))
}

/// Writes entries, one value for each key.
pub fn update<K: Pod, V: Pod>(map: &MapData, keys: &[K], values: &[V]) -> Result<()> {
    for (keys, values) in keys.chunks(CHUNK).zip(values.chunks(CHUNK)) {
        let mut attr = Attr {
            keys: keys.as_ptr() as u64,
            values: values.as_ptr() as u64,
            count: keys.len().min(values.len()) as u32,
            ..Attr::default()
        };
        call(UPDATE_BATCH, map.fd().as_fd(), &mut attr).context("cannot write map entries")?;
    }
    Ok(())
}

fn call(command: libc::c_long, map: BorrowedFd<'_>, attr: &mut Attr) -> io::Result<()> {
    attr.map_fd = map.as_raw_fd().cast_unsigned();
    // SAFETY: the addresses in `attr` are those of slices that outlive the call, `count` entries long.
    let code =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size_of::<Attr>()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
