//! What the program of an interface with transit rules does.

use std::cell::OnceCell;

use gre_common::{
    tables::{Hook, IfIndex, TransitAction, TransitKey, TransitRule},
    transit::{self, Rules},
    verdict::DropReason,
};

use super::{
    Tracer,
    fate::{Asking, Fate, Passage, To},
    frame::Frame,
    notes::Notes,
    outer, send,
};
use crate::state::transit::{describe, describe_action};

/// What `transit_tc` does with a frame.
pub(super) fn transit(tracer: &Tracer, ifindex: IfIndex, frame: &Frame) -> Passage {
    let asking = Asking::new();
    outer::read(frame, &asking.notes);
    let rules = Recorder { tracer, notes: &asking.notes, found: OnceCell::new() };
    let fate = match transit::transit(frame, &rules, ifindex) {
        Err(reason) => Fate::Passed(reason),
        Ok(rule) => match rule.action {
            TransitAction::REDIRECT if !tracer.is_device(rule.target) => {
                Fate::Dropped(DropReason::RedirectFailed.unattributed())
            }
            TransitAction::REDIRECT => {
                Fate::Sent(send::unchanged(To::Interface(rule.target), frame))
            }
            TransitAction::DROP => Fate::Refused,
            _ => Fate::Counted,
        },
    };
    asking.end(Hook::TRANSIT_TC, fate)
}

/// The live rules, with every look-up written down.
struct Recorder<'t> {
    tracer: &'t Tracer,
    notes: &'t Notes,
    /// The rule that was found. Nobody looks further.
    found: OnceCell<TransitRule>,
}

impl Rules for Recorder<'_> {
    fn rule(&self, key: &TransitKey) -> Option<&TransitRule> {
        let found = self.tracer.live.transit_rule(key).ok().flatten();
        let packets = describe(key, &self.tracer.interface_name(key.ifindex));
        let what = found.as_ref().map_or_else(|| "none".to_owned(), describe_action);
        self.notes.look_up("rule", found.is_some(), format!("{packets}: {what}"));
        found.map(|rule| self.found.get_or_init(|| rule))
    }
}
