//! Options of sockets.

use std::{io, os::fd::AsRawFd as _};

use socket2::Socket;

/// Sets an option that has no name in Rust.
pub(super) fn set(socket: &Socket, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let len = value.len() as libc::socklen_t;
    // SAFETY: the kernel reads as many bytes at `value` as it is told.
    let code =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
