//! Traces for people and for machines.

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use gre_common::{
    packet::Packet as _,
    tables::{TenantId, Via},
    verdict::{Notice, PassReason},
    wire::gre::GreKey,
};
use serde::Serialize;

use super::{
    Trace, Tracer,
    fate::{Fate, Output, Passage, To},
    frame::Frame,
    inner::key_in_words,
    interface::Interface,
};

/// A packet's trace as a document. Written out it is for people.
#[derive(Serialize)]
pub struct Shown {
    packet: u64,
    iface: String,
    role: &'static str,
    mode: Option<&'static str>,
    /// Bytes of the frame.
    length: usize,
    /// Bytes of it that are known.
    captured: usize,
    steps: Vec<Step>,
    /// The program that has decided.
    hook: &'static str,
    verdict: &'static str,
    reason: Option<&'static str>,
    description: Option<&'static str>,
    tenant: Option<String>,
    notices: Vec<&'static str>,
    outputs: Vec<Way>,
    #[serde(skip)]
    interface: String,
    #[serde(skip)]
    left: Vec<String>,
    #[serde(skip)]
    is_flooded: bool,
}

#[derive(Serialize)]
struct Step {
    hook: &'static str,
    #[serde(rename = "step")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<bool>,
    detail: String,
}

/// A frame that leaves, or one of the copies that do not.
#[derive(Serialize)]
struct Way {
    verdict: &'static str,
    reason: Option<&'static str>,
    to: &'static str,
    name: String,
    /// The device that it leaves by.
    iface: Option<String>,
    key: Option<u32>,
    remote: Option<IpAddr>,
    length: Option<usize>,
    /// Its bytes in hexadecimal.
    frame: Option<String>,
}

impl Tracer {
    /// A trace with names.
    pub fn show(
        &self,
        packet: u64,
        interface: &Interface,
        frame: &Frame,
        trace: &Trace,
    ) -> Option<Shown> {
        let (decided, before) = trace.split_last()?;
        let steps = trace.iter().flat_map(|passage| {
            let hook = passage.hook.name();
            passage.steps.iter().map(move |step| Step {
                hook,
                kind: step.kind,
                found: step.found,
                detail: step.detail.clone(),
            })
        });
        let reason = decided.fate.reason();
        Some(Shown {
            packet,
            iface: interface.name.clone(),
            role: interface.role.label(),
            mode: interface.mode,
            length: frame.len(),
            captured: frame.captured(),
            steps: steps.collect(),
            hook: decided.hook.name(),
            verdict: decided.fate.verdict(),
            reason: reason.map(|(label, _)| label),
            description: reason.map(|(_, description)| description),
            tenant: decided.tenant.map(|id: TenantId| self.names.tenant(id)),
            notices: decided.notices.iter().map(|notice| Notice::label(*notice)).collect(),
            outputs: self.ways(&decided.fate),
            interface: interface.to_string(),
            left: left(before, decided),
            is_flooded: matches!(decided.fate, Fate::Flooded(_)),
        })
    }

    fn ways(&self, fate: &Fate) -> Vec<Way> {
        match fate {
            Fate::Sent(output) | Fate::Answered(_, output) => vec![self.way(output)],
            Fate::Flooded(copies) => {
                let copy = |(via, fate): &(Via, Fate)| match fate {
                    Fate::Sent(output) => self.way(output),
                    fate => self.no_way(*via, fate),
                };
                copies.iter().map(copy).collect()
            }
            _ => Vec::new(),
        }
    }

    fn way(&self, output: &Output) -> Way {
        let device = output.to.device();
        let (to, name, key, remote) = match &output.to {
            To::Port(port) => ("port", self.interface_name(*port), None, None),
            To::Interface(it) => ("interface", self.interface_name(*it), None, None),
            To::Sender(port) => ("sender", self.interface_name(*port), None, None),
            To::Tunnel { tunnel, key, remote, .. } => {
                let key = key.map(|GreKey(key)| key);
                ("tunnel", self.names.tunnel(*tunnel), key, Some(*remote))
            }
        };
        Way {
            verdict: "forward",
            reason: None,
            to,
            name,
            iface: self.links.get(&device).map(|link| link.name.clone()),
            key,
            remote,
            length: Some(output.len),
            frame: output.frame.as_deref().map(hex),
        }
    }

    /// A copy that is not sent.
    fn no_way(&self, via: Via, fate: &Fate) -> Way {
        let (to, name) = match (via.to_tunnel(), via.to_port()) {
            (Some(tunnel), _) => ("tunnel", self.names.tunnel(tunnel)),
            (_, Some(port)) => ("port", self.interface_name(port)),
            _ => ("port", String::new()),
        };
        Way {
            verdict: fate.verdict(),
            reason: fate.reason().map(|(label, _)| label),
            to,
            name,
            iface: None,
            key: None,
            remote: None,
            length: None,
            frame: None,
        }
    }
}

/// What programs before the last one have left to it, in words, where that is not the same.
fn left(before: &[Passage], decided: &Passage) -> Vec<String> {
    let reason = |passage: &Passage| passage.fate.reason().map(|(label, _)| label);
    let differs = |passage: &&Passage| {
        passage.fate == Fate::Passed(PassReason::LeftToTc) || reason(passage) != reason(decided)
    };
    let words = |passage: &Passage| {
        let (hook, reason) = (passage.hook.name(), reason(passage).unwrap_or_default());
        match passage.steps.last() {
            Some(why) if reason == PassReason::LeftToTc.label() => {
                format!("{hook}: {}", why.detail)
            }
            _ => format!("{hook}: passed on, {reason}"),
        }
    };
    before.iter().filter(differs).map(words).collect()
}

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes", self.interface, self.length)?;
        if self.captured < self.length {
            write!(f, ", the first {} of them captured", self.captured)?;
        }
        writeln!(f)?;
        for line in &self.left {
            writeln!(f, "  {line}")?;
        }
        for step in self.steps.iter().filter(|step| step.hook == self.hook) {
            writeln!(f, "  {:9}{}", step.kind, step.detail)?;
        }
        write!(f, "  => ")?;
        if self.is_flooded {
            write!(f, "flooded")?;
            return self.outputs.iter().try_for_each(|way| write!(f, "\n     {way}"));
        }
        match (self.verdict, self.reason, self.description) {
            ("forward", Some(reason), _) => {
                write!(f, "sent in fragments by the daemon; dropped, {reason}, while none runs")
            }
            ("forward", ..) => self.outputs.iter().try_for_each(|way| way.fmt(f)),
            (verdict, reason, description) => {
                write!(f, "{}", if verdict == "drop" { "dropped" } else { "passed on" })?;
                reason.map_or(Ok(()), |reason| write!(f, ", {reason}"))?;
                let tenant = self.tenant.as_ref().filter(|_| verdict == "drop");
                tenant.map_or(Ok(()), |tenant| write!(f, " (tenant {tenant})"))?;
                description.map_or(Ok(()), |description| write!(f, ": {description}"))
            }
        }
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { to, name, .. } = self;
        if let Some(reason) = self.reason {
            return write!(f, "{to} {name}: {} {reason}", self.verdict);
        }
        match self.remote {
            Some(remote) => {
                let key = key_in_words(self.key.map(GreKey));
                let iface = self.iface.as_deref().unwrap_or("an interface that is gone");
                write!(f, "sent through tunnel {name}, {key}, to {remote} by {iface}")?;
            }
            None if *to == "port" => write!(f, "delivered to {name}")?,
            None => write!(f, "sent by {name}, unchanged")?,
        }
        self.length.map_or(Ok(()), |length| write!(f, ", {length} bytes"))
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
