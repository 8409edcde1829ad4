//! The kernel's first root: busybox, a script, and the modules it takes to find the real root.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{self, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::kernel::Kernel;

/// What reaches files and pipes of this machine. Some kernels have some of them built in.
const MODULES: &[&str] =
    &["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "qemu_fw_cfg"];

const FOLDER: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// Makes [`Kernel::initramfs`].
pub fn write(kernel: &Kernel) -> Result<()> {
    let mut cpio = Cpio::default();
    for folder in ["bin", "dev", "host", "memory", "modules", "proc", "root", "sys"] {
        cpio.add(folder, FOLDER, b"");
    }
    cpio.add("init", EXECUTABLE, include_bytes!("init.sh"));
    cpio.add("guest.sh", FILE, include_bytes!("guest.sh"));
    cpio.add("command.sh", FILE, include_bytes!("command.sh"));
    let busybox = kernel.busybox();
    cpio.add("bin/busybox", EXECUTABLE, &read(&busybox)?);
    let index = String::from_utf8(read(&kernel.modules().join("modules.dep"))?)?;
    // init.sh loads them in this order.
    for (number, path) in in_order(&index, MODULES).into_iter().enumerate() {
        let module = plain(&kernel.modules().join(path), &busybox)?;
        cpio.add(&format!("modules/{number:02}.ko"), FILE, &module);
    }
    // Another machine may be reading the one that is there.
    let whole = kernel.initramfs();
    let part = whole.with_extension(process::id().to_string());
    fs::write(&part, cpio.end()).context("cannot write the initramfs")?;
    Ok(fs::rename(part, whole)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A module as the kernel takes it.
fn plain(path: &Path, busybox: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return read(path);
    }
    let mut unxz = Command::new(busybox);
    let output = unxz.args(["unxz", "-c"]).arg(path).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cannot unpack {}", path.display());
    Ok(output.stdout)
}

/// The files of modules, each after those it needs. A module without one is part of the kernel.
///
/// A line of `modules.dep` is `path: path ...`: a module, and all it needs, the deepest last.
fn in_order<'a>(index: &'a str, modules: &[&str]) -> Vec<&'a str> {
    let needs: HashMap<&str, (&str, &str)> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (name(path), (path, needs)))
        .collect();
    let mut order = vec![];
    for (path, needs) in modules.iter().filter_map(|module| needs.get(module)) {
        for path in needs.split_whitespace().rev().chain([*path]) {
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    order
}

/// `kernel/fs/9p/9p.ko.xz` is the module `9p`.
fn name(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.split_once('.').map_or(file, |(name, _)| name)
}

/// An archive as the kernel unpacks it, in the format "newc"
/// ([`early-userspace/buffer-format`](https://docs.kernel.org/driver-api/early-userspace/buffer-format.html)).
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    files: u32,
}

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.files += 1;
        let (size, name_size) = (content.len(), name.len() + 1);
        // Inode, mode, user, group, links, time, size, four device numbers, length of the name, checksum.
        let fields =
            [self.files as usize, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_modules() {
        let index = "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n\
                     kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz\n\
                     kernel/fs/netfs/netfs.ko.xz:\n";
        let order =
            ["kernel/fs/netfs/netfs.ko.xz", "kernel/net/9p/9pnet.ko.xz", "kernel/fs/9p/9p.ko.xz"];
        assert_eq!(in_order(index, &["9pnet", "built_in", "9p"]), order);
    }

    #[test]
    fn aligns_every_part() {
        let mut cpio = Cpio::default();
        cpio.add("init", EXECUTABLE, b"#!x");
        let bytes = cpio.end();
        assert!(bytes.starts_with(b"07070100000001000081ed"));
        // The header has 110 bytes.
        assert_eq!(bytes[110..126], *b"init\0\0#!x\x00070701");
        assert_eq!(bytes.len() % 4, 0);
    }
}
