//! How this host stands with the fleet, for whoever watches this host.

use std::sync::{Arc, Mutex, PoisonError};

/// What the follower says, and others see.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Figures>>);

/// How it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Whether the store is there.
    pub is_there: bool,
    /// How often it was connected to.
    pub sessions: u64,
    /// The store's revision that was last acted on.
    pub revision: i64,
    /// Hosts that there are tunnels to.
    pub peers: usize,
    /// Entries that are left out, and addresses that two claim.
    pub problems: usize,
    /// How many of those there have been.
    pub told: u64,
}

impl Standing {
    /// As it is now.
    pub fn figures(&self) -> Figures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what has changed.
    pub fn change(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
