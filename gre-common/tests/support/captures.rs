//! Packets of real peers, off the wire.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use pcap_file::{DataLink, pcap::PcapReader};

/// All captures.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let captures = files.filter(|path| path.extension().is_some_and(|kind| kind == "pcap"));
    let mut names: Vec<_> =
        captures.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert!(!names.is_empty(), "no captures");
    names
}

/// The frames of a capture; each has 40 or more, so that an empty one cannot pass for tested.
pub fn frames(name: &str) -> Vec<Vec<u8>> {
    let path = folder().join(name).with_extension("pcap");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = PcapReader::new(file).unwrap();
    assert_eq!(reader.header().datalink, DataLink::ETHERNET);
    let mut frames = vec![];
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    assert!(frames.len() >= 40, "{name}: {} packets", frames.len());
    frames
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")
}
