//! The kernel and its settings.

use std::{fs, path::Path, thread};

use nix::sys::utsname::uname;

use crate::{datapath::privilege, doctor::facts::Kernel, state::StateDir};

/// The kernel that runs.
pub fn kernel(dir: &StateDir) -> Kernel {
    Kernel {
        release: release().unwrap_or_default(),
        cpus: thread::available_parallelism().map_or(1, Into::into),
        // The root namespace alone has it.
        jit: setting("net/core/bpf_jit_enable").map(|value| value != 0),
        unprivileged: setting("kernel/unprivileged_bpf_disabled").map(|value| value == 0),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        no_place: dir.check_parent().err().map(|error| error.to_string()),
        lacks: privilege::missing(),
    }
}

fn release() -> Option<(u32, u32)> {
    let name = uname().ok()?;
    version(name.release().to_str()?)
}

/// "6.18.44-amd64"
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A number under `/proc/sys`.
pub fn setting(name: &str) -> Option<u32> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.15-rc1"), Some((5, 15)));
        assert_eq!(version("x"), None);
    }
}
