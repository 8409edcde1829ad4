//! What becomes of a packet.

use std::net::IpAddr;

use gre_common::{
    tables::{Hook, IfIndex, TenantId, TunnelId, Via},
    verdict::{Discard, Notice, PassReason},
    wire::gre::GreKey,
};

use super::notes::{Notes, Step};

/// A packet and one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The program's place.
    pub hook: Hook,
    /// How it was decided.
    pub steps: Vec<Step>,
    /// What was decided.
    pub fate: Fate,
    /// Whose packet it is, as far as that was found out.
    pub tenant: Option<TenantId>,
    /// What is counted besides.
    pub notices: Vec<Notice>,
}

/// A decision under way.
pub(super) struct Asking {
    pub notes: Notes,
    pub tenant: Option<TenantId>,
    pub notices: Vec<Notice>,
}

impl Asking {
    pub fn new() -> Self {
        Self { notes: Notes::default(), tenant: None, notices: Vec::new() }
    }

    pub fn end(self, hook: Hook, fate: Fate) -> Passage {
        let Self { notes, tenant, notices } = self;
        let charged = if let Fate::Dropped(discard) = &fate { discard.tenant() } else { None };
        Passage { hook, steps: notes.into_steps(), fate, tenant: tenant.or(charged), notices }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on unchanged, for this reason.
    Passed(PassReason),
    /// It is discarded.
    Dropped(Discard),
    /// It is discarded, and its sender told what fits.
    Answered(Discard, Output),
    /// It is sent.
    Sent(Output),
    /// Copies of it are sent, to these.
    Flooded(Vec<(Via, Fate)>),
    /// It does not fit: the daemon sends it in fragments; where none runs it is discarded.
    HandedUp(Discard),
    /// A transit rule counts it, and it goes on unchanged.
    Counted,
    /// A transit rule discards it.
    Refused,
}

impl Fate {
    /// Whether the next program sees the packet.
    pub const fn goes_on(&self) -> bool {
        matches!(self, Self::Passed(_) | Self::Counted)
    }

    /// The verdict in one word.
    pub const fn verdict(&self) -> &'static str {
        match self {
            Self::Passed(_) | Self::Counted => "pass",
            Self::Dropped(_) | Self::Answered(..) | Self::Refused => "drop",
            Self::Sent(_) | Self::Flooded(_) | Self::HandedUp(_) => "forward",
        }
    }

    /// Why it is not sent as it is: a label and a sentence.
    pub const fn reason(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Passed(reason) => Some((reason.label(), reason.description())),
            Self::Dropped(discard) | Self::Answered(discard, _) | Self::HandedUp(discard) => {
                Some((discard.reason.label(), discard.reason.description()))
            }
            Self::Counted => Some(("rule", "A transit rule counts it.")),
            Self::Refused => Some(("rule", "A transit rule drops it.")),
            Self::Sent(_) | Self::Flooded(_) => None,
        }
    }
}

/// A frame that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub to: To,
    /// Its length in bytes.
    pub len: usize,
    /// Its bytes, where all are known.
    pub frame: Option<Vec<u8>>,
}

/// Where a frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// To a tenant's port.
    Port(IfIndex),
    /// Through a tunnel.
    Tunnel {
        /// Which one.
        tunnel: TunnelId,
        /// With this key.
        key: Option<GreKey>,
        /// To this address.
        remote: IpAddr,
        /// By this interface.
        uplink: IfIndex,
    },
    /// By an interface, as a transit rule says.
    Interface(IfIndex),
    /// Back to its sender, by the port where it came in.
    Sender(IfIndex),
}

impl To {
    /// The device that it leaves by.
    pub const fn device(&self) -> IfIndex {
        match *self {
            Self::Port(device)
            | Self::Tunnel { uplink: device, .. }
            | Self::Interface(device)
            | Self::Sender(device) => device,
        }
    }
}
