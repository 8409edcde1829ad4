//! Frames of a capture file: pcap or pcapng.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

use pcap_file::{
    DataLink, PcapError,
    pcap::PcapReader,
    pcapng::{Block, PcapNgReader},
};

use crate::trace::{Error, Result, frame::Frame};

/// What a pcapng file begins with: the type of a section header, the same in both byte orders.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A capture that is read packet by packet.
pub struct Capture {
    path: PathBuf,
    reader: Reader,
    packets: u64,
}

type Source = Box<dyn Read>;

enum Reader {
    Pcap(PcapReader<Source>),
    /// With the link types of the section's interfaces.
    PcapNg(PcapNgReader<Source>, Vec<DataLink>),
}

impl Capture {
    /// Opens a file; `-` is the standard input.
    ///
    /// # Errors
    /// It cannot be read, is no capture, or holds no Ethernet frames.
    pub fn open(path: &Path) -> Result<Self> {
        let refused = |cause| Error::Read { path: path.to_owned(), cause };
        let source: Source = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(refused)?)
        };
        let mut source = BufReader::new(source);
        let is_pcapng = source.fill_buf().map_err(refused)?.starts_with(&SECTION_HEADER);
        let source: Source = Box::new(source);
        let broken = |error: PcapError| Self::broken(path, 0, &error);
        let reader = if is_pcapng {
            Reader::PcapNg(PcapNgReader::new(source).map_err(broken)?, Vec::new())
        } else {
            let reader = PcapReader::new(source).map_err(broken)?;
            check(path, Some(&reader.header().datalink))?;
            Reader::Pcap(reader)
        };
        Ok(Self { path: path.to_owned(), reader, packets: 0 })
    }

    /// The next frame.
    fn frame(&mut self) -> Result<Option<Frame>> {
        let (path, packets) = (&self.path, self.packets);
        let broken = |error: PcapError| Self::broken(path, packets, &error);
        match &mut self.reader {
            // Checked packets would not be longer than what was captured of them.
            Reader::Pcap(reader) => {
                let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
                let packet = packet.map_err(broken)?;
                Ok(Some(Frame::cut(packet.data, packet.orig_len as usize)))
            }
            Reader::PcapNg(reader, link_types) => loop {
                let Some(block) = reader.next_block() else { return Ok(None) };
                let (interface, data, len) = match block.map_err(broken)? {
                    Block::SectionHeader(_) => {
                        link_types.clear();
                        continue;
                    }
                    Block::InterfaceDescription(interface) => {
                        link_types.push(interface.linktype);
                        continue;
                    }
                    Block::EnhancedPacket(it) => (it.interface_id, it.data, it.original_len),
                    Block::Packet(it) => (it.interface_id.into(), it.data, it.original_len),
                    // Without a length of its own: there may be padding.
                    Block::SimplePacket(it) => (0, it.data, it.original_len),
                    _ => continue,
                };
                check(path, link_types.get(interface as usize))?;
                let len = len as usize;
                return Ok(Some(Frame::cut(&data[..data.len().min(len)], len)));
            },
        }
    }

    fn broken(path: &Path, packets: u64, error: &PcapError) -> Error {
        let at = if packets > 0 { format!(" behind packet {packets}") } else { String::new() };
        let cause = match error {
            PcapError::IoError(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                "it ends too soon".to_owned()
            }
            PcapError::IoError(cause) => cause.to_string(),
            other => other.to_string(),
        };
        Error::Capture { path: path.to_owned(), at, cause }
    }
}

impl Iterator for Capture {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frame().transpose();
        self.packets += 1;
        frame
    }
}

/// Refuses what are no Ethernet frames.
fn check(path: &Path, link_type: Option<&DataLink>) -> Result<()> {
    if link_type == Some(&DataLink::ETHERNET) {
        return Ok(());
    }
    let link_type = link_type.map_or_else(|| "unknown".to_owned(), |it| format!("{it:?}"));
    Err(Error::LinkType { path: path.to_owned(), link_type })
}
