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
        Self::read(path, source)
    }

    /// Reads what is called `path` in errors.
    fn read(path: &Path, source: impl Read + 'static) -> Result<Self> {
        let refused = |cause| Error::Read { path: path.to_owned(), cause };
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

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use pcap_file::{
        DataLink,
        pcap::{PcapHeader, PcapWriter, RawPcapPacket},
        pcapng::{
            PcapNgWriter,
            blocks::{
                enhanced_packet::EnhancedPacketBlock,
                interface_description::InterfaceDescriptionBlock, simple_packet::SimplePacketBlock,
            },
        },
    };

    use super::Capture;
    use crate::trace::frame::Frame;

    /// The frames up to the error, and its words.
    fn read(bytes: Vec<u8>) -> (Vec<Frame>, Option<String>) {
        let capture = match Capture::read(Path::new("f"), std::io::Cursor::new(bytes)) {
            Ok(capture) => capture,
            Err(error) => return (Vec::new(), Some(error.to_string())),
        };
        let (mut frames, mut error) = (Vec::new(), None);
        for frame in capture {
            match frame {
                Ok(frame) => frames.push(frame),
                Err(refused) => {
                    error = Some(refused.to_string());
                    break;
                }
            }
        }
        (frames, error)
    }

    fn pcap(datalink: DataLink, packets: &[(&[u8], u32)]) -> Vec<u8> {
        let header = PcapHeader { snaplen: 20, datalink, ..PcapHeader::default() };
        let mut writer = PcapWriter::with_header(Vec::new(), header).expect("room");
        for &(data, orig_len) in packets {
            let incl_len = data.len() as u32;
            let packet =
                RawPcapPacket { ts_sec: 1, ts_frac: 2, incl_len, orig_len, data: data.into() };
            writer.write_raw_packet(&packet).expect("room");
        }
        writer.into_writer()
    }

    #[test]
    fn packets_cut_and_whole() {
        let bytes = pcap(DataLink::ETHERNET, &[(&[1; 20], 1500), (&[2; 14], 14)]);
        let expected = vec![Frame::cut([1; 20], 1500), Frame::new([2; 14])];
        assert_eq!(read(bytes.clone()), (expected.clone(), None));

        let (frames, error) = read(bytes[..bytes.len() - 1].to_vec());
        assert_eq!(frames, expected[..1]);
        assert!(error.is_some_and(|it| it.contains("f behind packet 1: it ends too soon")));
    }

    #[test]
    fn other_links_and_other_files() {
        let (frames, error) = read(pcap(DataLink::RAW, &[(&[1; 20], 20)]));
        assert!(frames.is_empty() && error.is_some_and(|it| it.contains("RAW, not Ethernet")));
        for bytes in
            [&b""[..], b"text that is no capture, and long enough", &[0x0a, 0x0d, 0x0d, 0x0a]]
        {
            let (frames, error) = read(bytes.to_vec());
            assert!(frames.is_empty() && error.is_some_and(|it| it.contains("tcpdump -w")));
        }
    }

    #[test]
    fn pcapng_with_two_interfaces() {
        let mut writer = PcapNgWriter::new(Vec::new()).expect("room");
        for link in [DataLink::ETHERNET, DataLink::LINUX_SLL] {
            writer.write_pcapng_block(InterfaceDescriptionBlock::new(link, 0)).expect("room");
        }
        let packet = |interface_id, data: &'static [u8], original_len| EnhancedPacketBlock {
            interface_id,
            data: data.into(),
            original_len,
            timestamp: Duration::ZERO,
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet(0, &[1; 15], 60)).expect("room");
        let simple = SimplePacketBlock { original_len: 17, data: (&[2; 17]).into() };
        writer.write_pcapng_block(simple).expect("room");
        writer.write_pcapng_block(packet(1, &[3; 15], 15)).expect("room");
        let (frames, error) = read(writer.into_inner());
        assert_eq!(frames, [Frame::cut([1; 15], 60), Frame::new([2; 17])]);
        assert!(error.is_some_and(|it| it.contains("LINUX_SLL, not Ethernet")));
    }
}
