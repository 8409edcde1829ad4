//! A captured packet, header by header: what each says, and its bytes.
//!
//! It reads with no code of xgre's: this is what any peer would see.

use std::{net::Ipv4Addr, ops::Range};

use anstream::println;
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use testbed::capture::hex;

const NAME: Style = Style::new().bold();
const GRE: Style = AnsiColor::Green.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Bytes on a line.
const WIDTH: usize = 16;

/// Shows a frame: an echo request over IPv4 in keyed GRE.
///
/// # Errors
///
/// When it is too short to be one.
pub fn show(frame: &[u8]) -> Result<()> {
    let mut rest = frame;
    let mut take = |len: usize| -> Result<&[u8]> {
        let (head, tail) = rest.split_at_checked(len).context("the frame is too short")?;
        rest = tail;
        Ok(head)
    };

    let link = take(14)?;
    header(NAME, "Ethernet", &ethernet(link), link);
    let outer = take(20)?;
    header(NAME, "IPv4", &ipv4(outer), outer);
    let keyed = take(8)?;
    header(GRE, "GRE", &gre(keyed), keyed);
    let inner = take(20)?;
    header(NAME, "IPv4", &ipv4(inner), inner);
    header(NAME, "ICMP", "echo request", rest);
    Ok(())
}

fn header(style: Style, name: &str, says: &str, bytes: &[u8]) {
    println!("    {style}{name:9}{style:#} {says}");
    for line in bytes.chunks(WIDTH).take(2) {
        println!("      {DIM}{}{DIM:#}", spaced(line, " "));
    }
    if let Some(more) = bytes.len().checked_sub(2 * WIDTH).filter(|more| *more > 0) {
        println!("      {DIM}and {more} more bytes{DIM:#}");
    }
}

fn ethernet(bytes: &[u8]) -> String {
    let mac = |at: usize| spaced(&bytes[at..at + 6], ":");
    format!("{} > {}, type 0x{}", mac(6), mac(0), hex(&bytes[12..14]))
}

fn ipv4(bytes: &[u8]) -> String {
    let address = |at: usize| Ipv4Addr::from([0, 1, 2, 3].map(|i| bytes[at + i]));
    let (ttl, source, destination) = (bytes[8], address(12), address(16));
    let protocol = match bytes[9] {
        1 => "1 (ICMP)".to_owned(),
        47 => "47 (GRE)".to_owned(),
        other => other.to_string(),
    };
    format!("{source} > {destination}, protocol {protocol}, TTL {ttl}")
}

fn gre(bytes: &[u8]) -> String {
    let hex = |range: Range<usize>| hex(&bytes[range]);
    let key = u32::from_be_bytes([4, 5, 6, 7].map(|i| bytes[i]));
    format!("flags 0x{}, payload 0x{}, key {key:#x}", hex(0..2), hex(2..4))
}

fn spaced(bytes: &[u8], between: &str) -> String {
    bytes.iter().map(|byte| hex(&[*byte])).collect::<Vec<_>>().join(between)
}
