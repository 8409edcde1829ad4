//! What the programs would do with a packet now, and why.
//!
//! A trace asks the same decisions as the programs, on the same tables, and writes down what they look up. What a program does
//! besides (which hook sees a packet first, what XDP leaves to TC, where copies go) is told here in the order in which
//! `gre-ebpf` does it; the tests have both judge the same packets. Nothing is changed by a trace: no counter, no sequence
//! number, no station.
//!
//! - [`interface`]: which programs a packet meets that comes in by an interface.
//! - [`receive`], [`send`], [`transit`]: what they do, one hook at a time; [`flood`]: and with what goes to several.
//! - [`frame`]: a packet, perhaps not all of it; [`input`] reads it.
//! - [`tables`]: look-ups that are written down in [`notes`].
//! - [`outer`], [`inner`]: headers in words; [`learn`]: what is learned.
//! - [`fate`]: what becomes of a packet; [`rewrite`]: and of its bytes.
//! - [`show`]: all of it, for people and machines.

mod error;
pub mod fate;
mod flood;
pub mod frame;
mod inner;
pub mod input;
pub mod interface;
mod learn;
mod notes;
pub(crate) mod outer;
mod receive;
mod rewrite;
mod send;
pub mod show;
mod tables;
mod transit;

use std::collections::HashMap;

use gre_common::tables::{Hook, IfIndex, Meta};

pub use self::error::Error;
use self::{
    fate::Passage,
    frame::Frame,
    interface::{Interface, Role},
};
use crate::{
    names::Names,
    netlink::{Netlink, link::Link},
    state::{State, StateDir, live::Live},
};

/// What every function of the room returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A frame in a few words: outer addresses and key, and what is inside; or what it is, if it is not GRE.
pub fn in_words(frame: &Frame) -> String {
    match outer::gre_of(frame) {
        Some(gre) => format!(
            "GRE {} -> {} {}: {}",
            gre.remote,
            gre.local,
            inner::key_in_words(gre.key),
            inner::of_gre(frame, &gre)
        ),
        None => inner::frame_in_words(frame, 0),
    }
}

/// Traces packets.
pub struct Tracer {
    live: Live,
    meta: Meta,
    names: Names,
    links: HashMap<IfIndex, Link>,
    interfaces: Vec<Interface>,
}

/// The programs that a packet has met, in their order. The last one has decided.
pub type Trace = Vec<Passage>;

impl Tracer {
    /// Opens the state. Names, and which interfaces there are, are those of this moment.
    ///
    /// # Errors
    /// There is no state, it is of another schema version, or the caller lacks the privilege.
    pub async fn open(dir: &StateDir, netlink: &Netlink) -> Result<Self> {
        let live = Live::open_as_programs(dir)?;
        let links = netlink.links().await?.into_iter().map(|link| (link.ifindex, link)).collect();
        let state = State::open(dir)?;
        let interfaces = interface::all(dir, &state, &links)?;
        Ok(Self { meta: live.meta()?, live, names: Names::of(&state)?, links, interfaces })
    }

    /// The interface of this name that has programs: an uplink, a port or its device, one with transit rules.
    ///
    /// # Errors
    /// There is none; the error says which there are.
    pub fn interface(&self, name: &str) -> Result<&Interface> {
        let found = self.interfaces.iter().find(|interface| interface.is_called(name));
        found.ok_or_else(|| Error::no_program(name, &self.interfaces))
    }

    /// Whether programs are attached: where they are, there is an uplink.
    pub fn is_attached(&self) -> bool {
        self.interfaces.iter().any(|interface| interface.role == Role::Uplink)
    }

    /// What becomes of a frame that comes in by an interface.
    ///
    /// # Errors
    /// The kernel refuses to look something up.
    pub fn trace(&self, interface: &Interface, frame: &Frame) -> Result<Trace> {
        let mut trace = Trace::new();
        for &hook in &interface.hooks {
            let passage = if hook.is_xdp() {
                self.meet(hook, interface.ifindex, frame)?
            } else {
                self.meet(hook, interface.ifindex, &frame.as_socket_buffer())?
            };
            let goes_on = passage.fate.goes_on();
            trace.push(passage);
            if !goes_on {
                break;
            }
        }
        Ok(trace)
    }

    /// What one program does with a frame.
    ///
    /// # Errors
    /// As [`Tracer::trace`].
    pub fn meet(&self, hook: Hook, ifindex: IfIndex, frame: &Frame) -> Result<Passage> {
        match hook {
            Hook::PORT_TC | Hook::PORT_XDP => send::send(self, hook, ifindex, frame),
            Hook::TRANSIT_TC => Ok(transit::transit(self, ifindex, frame)),
            _ => receive::receive(self, hook, frame),
        }
    }

    /// Whether there is such a device.
    fn is_device(&self, ifindex: IfIndex) -> bool {
        self.links.contains_key(&ifindex)
    }

    /// What users call a port or another interface.
    fn interface_name(&self, ifindex: IfIndex) -> String {
        let device = || self.links.get(&ifindex).map(|link| link.name.clone());
        let name = self.names.port(ifindex).map(str::to_owned).or_else(device);
        name.unwrap_or_else(|| format!("#{}", ifindex.0))
    }
}
