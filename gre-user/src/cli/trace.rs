//! `xgre trace`

use std::{
    io::{self, Read as _},
    path::PathBuf,
};

use anyhow::Context as _;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    netlink::Netlink,
    state::StateDir,
    trace::{
        Tracer,
        frame::Frame,
        input::{capture::Capture, hex},
        show::Shown,
    },
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("packets").required(true))]
pub struct Args {
    /// Interface that the packets come in by: an uplink, a port, or one with transit rules.
    #[arg(long, value_name = "IFACE")]
    iface: String,
    /// Packets of a capture, pcap or pcapng; - is the standard input.
    #[arg(long, group = "packets", value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// One packet in hexadecimal, from its Ethernet header on; - is the standard input. Offsets and characters of a dump
    /// (xxd, tcpdump -xx) are left out.
    #[arg(long, group = "packets", value_name = "BYTES")]
    hex: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    packets: Vec<Shown>,
}

pub async fn run(dir: &StateDir, args: &Args) -> anyhow::Result<()> {
    let frames: Box<dyn Iterator<Item = crate::trace::Result<Frame>>> =
        match (&args.pcap, &args.hex) {
            (Some(path), _) => Box::new(Capture::open(path)?),
            (None, text) => Box::new(std::iter::once(Ok(Frame::new(typed(text.as_deref())?)))),
        };
    let tracer = Tracer::open(dir, &Netlink::connect()?).await?;
    let interface = tracer.interface(&args.iface)?;
    if !tracer.is_attached() {
        eprintln!(
            "xgre: warning: nothing is attached; this is what happens once `xgre run` attaches the datapath"
        );
    }
    let mut packets = Vec::new();
    for (number, frame) in (1..).zip(frames) {
        let frame = frame?;
        let trace = tracer.trace(interface, &frame)?;
        let Some(shown) = tracer.show(number, interface, &frame, &trace) else { continue };
        if args.json {
            packets.push(shown);
        } else {
            output::print(&shown)?;
        }
    }
    if args.json {
        output::json(&Document { version: JSON_VERSION, packets })?;
    }
    Ok(())
}

/// The bytes of a frame on the command line or the standard input.
fn typed(text: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut input = String::new();
    let text = match text {
        Some("-") | None => {
            io::stdin().read_to_string(&mut input).context("cannot read the standard input")?;
            &input
        }
        Some(text) => text,
    };
    Ok(hex::read(text)?)
}
