//! A capture file of the kind that Wireshark and tcpdump read: pcapng.
//!
//! Each program at each interface is an interface of the file. What becomes of a packet is its comment.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, ErrorKind, Write},
    time::{Duration, UNIX_EPOCH},
};

use gre_common::tables::{Hook, IfIndex};
use pcap_file::{
    DataLink, PcapError,
    pcapng::{
        PcapNgBlock as _, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};

use super::{Told, line, sample::Sample};

/// Times are nanoseconds: ten to the power of minus this.
const RESOLUTION: u8 = 9;

/// A file that is being written.
pub struct Pcapng<W: Write> {
    writer: PcapNgWriter<W>,
    interfaces: HashMap<(IfIndex, Hook), u32>,
}

impl<W: Write> Pcapng<W> {
    /// Begins a file.
    pub fn new(file: W) -> anyhow::Result<Self> {
        Ok(Self { writer: PcapNgWriter::new(file)?, interfaces: HashMap::new() })
    }

    /// Adds a packet. False: nobody reads any more.
    pub fn write(&mut self, sample: &Sample, told: &Told) -> anyhow::Result<bool> {
        match self.try_write(sample, told) {
            Ok(()) => Ok(true),
            Err(PcapError::IoError(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What was added reaches the file.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        match self.writer.get_mut().flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn try_write(&mut self, sample: &Sample, told: &Told) -> Result<(), PcapError> {
        let interface_id = self.interface(sample, told)?;
        let since = sample.time.duration_since(UNIX_EPOCH);
        let comment = line::fate(sample, told);
        let packet = EnhancedPacketBlock {
            interface_id,
            timestamp: since.unwrap_or(Duration::ZERO),
            original_len: sample.len as u32,
            data: Cow::Borrowed(&sample.frame),
            options: vec![EnhancedPacketOption::Comment(Cow::Owned(comment))],
        };
        self.writer.write_block(&packet.into_block()).map(drop)
    }

    /// The number of a program at an interface, which stands in the file from its first packet on.
    fn interface(&mut self, sample: &Sample, told: &Told) -> Result<u32, PcapError> {
        let key = (sample.ifindex, sample.hook);
        if let Some(&id) = self.interfaces.get(&key) {
            return Ok(id);
        }
        let id = self.interfaces.len() as u32;
        let name = told.interface(sample.ifindex);
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(name)),
                InterfaceDescriptionOption::IfDescription(Cow::Borrowed(sample.hook.name())),
                InterfaceDescriptionOption::IfTsResol(RESOLUTION),
            ],
        };
        self.writer.write_block(&block.into_block())?;
        self.interfaces.insert(key, id);
        Ok(id)
    }
}

/// Where a file goes: `-` is the standard output.
///
/// # Errors
/// It cannot be made.
pub fn create(path: &std::path::Path) -> io::Result<Box<dyn Write>> {
    if path == std::path::Path::new("-") {
        return Ok(Box::new(io::stdout().lock()));
    }
    Ok(Box::new(io::BufWriter::new(std::fs::File::create(path)?)))
}
