//! The kernel's own packet generator, in a namespace. It makes UDP packets; a program behind it may wrap them in GRE.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testbed::{Netns, link::End};

/// Where it is controlled, for the namespace of the thread that looks.
const FOLDER: &str = "/proc/thread-self/net/pktgen";

/// pktgen on a device.
pub struct Pktgen<'n> {
    ns: &'n Netns,
    device: &'n str,
}

impl<'n> Pktgen<'n> {
    /// Loads it if need be.
    pub fn bring() -> Result<()> {
        if !Path::new(FOLDER).exists() {
            let _ = Command::new("modprobe").arg("pktgen").stderr(Stdio::null()).status();
        }
        ensure!(Path::new(FOLDER).exists(), "this kernel has no pktgen; use --generator builtin");
        Ok(())
    }

    /// Takes the thread of a CPU. Packets go straight into the device, or past its TC programs if `queued`.
    pub fn new((ns, device): End<'n>, cpu: usize, queued: bool) -> Result<Self> {
        Self::bring()?;
        let this = Self { ns, device };
        this.write(
            &format!("kpktgend_{cpu}"),
            &["rem_device_all", &format!("add_device {device}")],
        )?;
        let mode = if queued { "queue_xmit" } else { "start_xmit" };
        this.write(device, &[&format!("xmit_mode {mode}")])?;
        Ok(this)
    }

    /// Makes frames of this length, without checksum, from now on: flows vary.
    pub fn set_len(&self, len: usize, station: [u8; 6]) -> Result<()> {
        let station = station.map(|byte| format!("{byte:02x}")).join(":");
        self.write(
            self.device,
            &[
                &format!("pkt_size {len}"),
                &format!("dst_mac {station}"),
                "delay 0",
                "src_min 10.9.0.1",
                "src_max 10.9.255.254",
                "dst_min 10.8.0.1",
                "dst_max 10.8.255.254",
                "udp_src_min 1024",
                "udp_src_max 65535",
                "flag IPSRC_RND",
                "flag IPDST_RND",
                "flag UDPSRC_RND",
            ],
        )
    }

    /// Makes that many; the time it took.
    pub fn send(&self, count: u32) -> Result<Duration> {
        self.write(self.device, &[&format!("count {count}")])?;
        self.write("pgctrl", &["start"])?;
        let path = format!("{FOLDER}/{}", self.device);
        let told = self.ns.run_in(|| fs::read_to_string(&path))?;
        // "Result: OK: 1234(c1200+d34) usec, 1000 (60byte,0frags)"
        let micros = told
            .split_once("Result: OK: ")
            .and_then(|(_, rest)| rest.split_once('(')?.0.parse().ok())
            .with_context(|| format!("pktgen says:\n{told}"))?;
        Ok(Duration::from_micros(micros))
    }

    fn write(&self, file: &str, commands: &[&str]) -> Result<()> {
        let path = format!("{FOLDER}/{file}");
        self.ns.run_in(|| {
            commands.iter().try_for_each(|command| {
                // It takes the last byte for the end of the line.
                fs::write(&path, format!("{command}\n"))
                    .with_context(|| format!("{path}: {command}"))
            })
        })
    }
}
