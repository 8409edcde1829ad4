//! Why a packet could not be traced: cause and remedy.

use std::{io, path::PathBuf};

use super::interface::Interface;
use crate::{netlink, state};

/// Interfaces that an error names at most.
const MAX_NAMED: usize = 12;

/// Why a packet could not be traced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program of ours is on the interface.
    #[error("{name} is no uplink, port or transit interface; {known}")]
    NoProgram {
        /// What the user called it.
        name: String,
        /// Which there are, in words.
        known: String,
    },
    /// What was to be hexadecimal is not.
    #[error(
        "{0}; give a frame's bytes in hexadecimal, from its Ethernet header on, as `tcpdump -xx` and `xxd` print them"
    )]
    Hex(String),
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The file is no capture, or is damaged.
    #[error("{}{at}: {cause}; give a capture as `tcpdump -w` writes it (pcap or pcapng)", path.display())]
    Capture {
        /// Where.
        path: PathBuf,
        /// Behind how many packets, in words; may be nothing.
        at: String,
        /// What is wrong.
        cause: String,
    },
    /// The packets have no Ethernet header.
    #[error(
        "{} has packets of link type {link_type}, not Ethernet; capture on an Ethernet interface (not on `any`)",
        path.display()
    )]
    LinkType {
        /// Where.
        path: PathBuf,
        /// What they are.
        link_type: String,
    },
    /// The state.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The interfaces.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

impl Error {
    /// There is no program on the interface of this name, but on those.
    pub(super) fn no_program(name: &str, there: &[Interface]) -> Self {
        let words: Vec<_> = there.iter().take(MAX_NAMED).map(Interface::to_string).collect();
        let more = there.len() - words.len();
        let known = match (words.is_empty(), more) {
            (true, _) => "there is none yet: see `xgre run`, `port add` and `transit add`".into(),
            (_, 0) => format!("those there are: {}", words.join(", ")),
            (_, more) => format!("those there are: {} and {more} more", words.join(", ")),
        };
        Self::NoProgram { name: name.to_owned(), known }
    }
}
