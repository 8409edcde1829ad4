//! Outer headers in words.

use std::net::IpAddr;

use gre_common::{
    outer,
    packet::Packet,
    wire::{
        address::Address,
        checksum,
        ethernet::{self, EtherType},
        gre::{self, GreKey, Malformed},
        ipv4, ipv6,
    },
};

use super::{
    frame::Frame,
    inner::{ip_in_words, key_in_words},
    notes::Notes,
};

/// A GRE header and what is around it.
pub struct Gre {
    /// Destination of the outer packet.
    pub local: IpAddr,
    /// Its source.
    pub remote: IpAddr,
    /// The key.
    pub key: Option<GreKey>,
    /// Type of what is inside.
    pub protocol: EtherType,
    /// Where that begins, in bytes from the start of the frame.
    pub inner: usize,
    /// Where the outer packet ends.
    pub end: usize,
}

impl Gre {
    /// "192.0.2.1 192.0.2.2 key 10"
    pub fn subject(&self) -> String {
        format!("{} {} {}", self.local, self.remote, key_in_words(self.key))
    }
}

/// The GRE header of a frame, if there is a whole one.
pub fn gre_of(frame: &Frame) -> Option<Gre> {
    find(frame).ok().map(|(gre, _)| gre)
}

/// Destination and source of an outer packet, whatever else is wrong with it.
pub fn ends(frame: &Frame) -> Option<(IpAddr, IpAddr)> {
    let payload = ethernet::payload(frame, 0);
    let (local, remote) = match payload.ether_type {
        EtherType::IPV4 => {
            let header = ipv4::parse(frame.words(payload.offset)?);
            (Address::v4(header.dst_addr.into()), Address::v4(header.src_addr.into()))
        }
        EtherType::IPV6 => {
            let end = |at| frame.words(payload.offset + at).map(Address::v6);
            (end(ipv6::DESTINATION_OFFSET)?, end(ipv6::SOURCE_OFFSET)?)
        }
        _ => return None,
    };
    Some((local.into(), remote.into()))
}

/// Notes what a frame that came over the underlay is. `None`: no whole GRE header.
pub fn read(frame: &Frame, notes: &Notes) -> Option<Gre> {
    if let Some(words) = super::inner::vlans_in_words(frame, 0) {
        notes.add("vlan", words);
    }
    match find(frame) {
        Ok((gre, words)) => {
            notes.add("outer", words);
            Some(gre)
        }
        Err(words) => {
            notes.add("outer", words);
            None
        }
    }
}

type Found = Result<(Gre, String), String>;

fn find(frame: &Frame) -> Found {
    let payload = ethernet::payload(frame, 0);
    match payload.ether_type {
        EtherType::IPV4 => over_ipv4(frame, payload.offset),
        EtherType::IPV6 => over_ipv6(frame, payload.offset),
        EtherType(other) => Err(format!("type {other:#06x}")),
    }
}

fn over_ipv4(frame: &Frame, offset: usize) -> Found {
    let words = ip_in_words(frame, offset);
    let outer = outer::v4(frame, offset).map_err(|_| words.clone())?;
    if outer.is_later_fragment() {
        return Err(format!("{words}, a later fragment"));
    }
    let words = match outer.check(frame) {
        Ok(_) => words,
        Err(reason) => return Err(format!("{words}: {}", reason.label())),
    };
    let ends = [outer.header.dst_addr, outer.header.src_addr];
    gre(frame, outer.gre_offset(), outer.end, ends.map(|end| Address::v4(end.into())), &words)
}

fn over_ipv6(frame: &Frame, offset: usize) -> Found {
    let words = ip_in_words(frame, offset);
    let outer = outer::v6(frame, offset).map_err(|_| words.clone())?;
    if outer.is_later_fragment {
        return Err(format!("{words}, a later fragment"));
    }
    if !outer.is_plain {
        return Err(format!("{words}, behind extension headers"));
    }
    if outer.end > frame.len() || outer.gre_offset > outer.end {
        return Err(format!("{words}: truncated"));
    }
    gre(frame, outer.gre_offset, outer.end, [outer.local, outer.remote], &words)
}

fn gre(
    frame: &Frame,
    offset: usize,
    end: usize,
    [local, remote]: [Address; 2],
    words: &str,
) -> Found {
    let header = gre::parse(frame, offset, end - offset).map_err(|malformed| {
        let what = match malformed {
            Malformed::Truncated => "cut",
            Malformed::Pptp => "of version 1 (PPTP)",
            Malformed::Version => "of an unknown version",
            Malformed::ReservedBits => "with reserved bits",
        };
        format!("{words}, GRE {what}")
    })?;
    let sum = || frame.sum(offset, end - offset) == Some(checksum::SOUND);
    let checksum = match header.fields.checksum() {
        false => "",
        true if !frame.is_whole() => ", checksum taken for right",
        true if sum() => ", checksum right",
        true => ", checksum wrong",
    };
    let sequence = header.fields.sequence().then(|| frame.read(offset + header.len - 4)).flatten();
    let sequence = sequence
        .map(|number| format!(", sequence number {}", u32::from_be_bytes(number)))
        .unwrap_or_default();
    let EtherType(protocol) = header.protocol;
    let key = key_in_words(header.key);
    let words = format!("{words}, GRE {key}, payload {protocol:#06x}{checksum}{sequence}");
    let gre = Gre {
        local: local.into(),
        remote: remote.into(),
        key: header.key,
        protocol: header.protocol,
        inner: offset + header.len,
        end,
    };
    Ok((gre, words))
}
