//! What was done on the way to a decision.

use std::cell::RefCell;

/// One step: something read, looked up or found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What kind of step. docs/trace.md has all of them.
    pub kind: &'static str,
    /// Whether it was found, where something was looked up.
    pub found: Option<bool>,
    /// What was found out, in words.
    pub detail: String,
}

/// Steps, in their order.
#[derive(Debug, Default)]
pub struct Notes(RefCell<Vec<Step>>);

impl Notes {
    /// Something was read or found out.
    pub fn add(&self, kind: &'static str, detail: impl Into<String>) {
        self.push(kind, None, detail.into());
    }

    /// Something was looked up.
    pub fn look_up(&self, kind: &'static str, found: bool, detail: impl Into<String>) {
        self.push(kind, Some(found), detail.into());
    }

    /// All that was noted.
    pub fn into_steps(self) -> Vec<Step> {
        self.0.into_inner()
    }

    fn push(&self, kind: &'static str, found: Option<bool>, detail: String) {
        self.0.borrow_mut().push(Step { kind, found, detail });
    }
}
