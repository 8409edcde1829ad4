//! Takes what is linked by a pin off its interface.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::bpf_cmd;
use nix::libc;

use super::{Result, load::remove_pin};

/// The part of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct Get {
    /// Address of the path.
    path: u64,
    fd: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for `BPF_LINK_DETACH`.
#[repr(C)]
struct Detach {
    fd: u32,
}

/// Takes the program off, at once, and removes the pin; absent is fine.
///
/// Without its pin a link goes too, but only when the kernel gets to it (`bpf_free_inode`, behind a grace period): until
/// then the program is at work, and cannot be attached again.
///
/// # Errors
/// The pin cannot be removed.
pub(super) fn detach(pin: &Path) -> Result<()> {
    // A device that is gone has taken the program with it.
    let _ = detach_now(pin);
    remove_pin(pin)
}

fn detach_now(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = Get { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the path ends with a zero and outlives the call.
    let fd = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &get) }?;
    // SAFETY: the call made this descriptor, and nobody else has it.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    let detach = Detach { fd: link.as_raw_fd().cast_unsigned() };
    // SAFETY: there are no addresses in what is passed.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &detach) }.map(drop)
}

/// # Safety
/// Addresses in `attributes` are those of what the command reads there.
unsafe fn bpf<T>(command: bpf_cmd, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads so many bytes; for the addresses in them the caller answers.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as u32, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
