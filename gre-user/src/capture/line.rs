//! A packet in a line.

use std::io::{self, Write};

use serde::Serialize;

use super::{Told, sample::Sample};
use crate::{
    JSON_VERSION,
    trace::{self, frame::Frame, show::hex},
};

/// For whom a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Words,
    /// For machines: a JSON document.
    Json,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    /// RFC 3339, in UTC.
    time: String,
    interface: String,
    hook: &'a str,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<String>,
    /// Bytes of the frame, all of which `frame` need not have.
    length: usize,
    /// In hexadecimal.
    frame: String,
}

/// Writes a packet.
pub fn write(file: &mut dyn Write, sample: &Sample, told: &Told, style: Style) -> io::Result<()> {
    let line = match style {
        Style::Words => words(sample, told),
        Style::Json => serde_json::to_string(&document(sample, told))?,
    };
    writeln!(file, "{line}")
}

/// "drop `wrong_remote`, tenant blue, tunnel to-b"
pub fn fate(sample: &Sample, told: &Told) -> String {
    let (verdict, reason) = sample.fate.words();
    let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    let named = |what: &str, name: Option<String>| {
        name.map(|name| format!(", {what} {name}")).unwrap_or_default()
    };
    let tenant = named("tenant", sample.tenant.map(|id| told.names.tenant(id)));
    let tunnel = named("tunnel", sample.tunnel.map(|id| told.names.tunnel(id)));
    format!("{verdict}{reason}{tenant}{tunnel}")
}

fn words(sample: &Sample, told: &Told) -> String {
    let time = humantime::format_rfc3339_micros(sample.time).to_string();
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time.trim_end_matches('Z'));
    let frame = Frame::cut(sample.frame.clone(), sample.len);
    let (interface, hook) = (told.interface(sample.ifindex), sample.hook.name());
    let (fate, packet) = (fate(sample, told), trace::in_words(&frame));
    format!("{time} {interface} {hook}: {fate}: {packet}, {} bytes", sample.len)
}

fn document<'a>(sample: &Sample, told: &Told) -> Document<'a> {
    let (verdict, reason) = sample.fate.words();
    Document {
        version: JSON_VERSION,
        time: humantime::format_rfc3339_nanos(sample.time).to_string(),
        interface: told.interface(sample.ifindex),
        hook: sample.hook.name(),
        verdict,
        reason,
        tenant: sample.tenant.map(|id| told.names.tenant(id)),
        tunnel: sample.tunnel.map(|id| told.names.tunnel(id)),
        length: sample.len,
        frame: hex(&sample.frame),
    }
}
