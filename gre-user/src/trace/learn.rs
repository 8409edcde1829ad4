//! What a frame tells of where its sender is.

use gre_common::{
    bridge,
    tables::{FdbKey, TenantId, Via},
    verdict::Notice,
};

use super::{Result, Tracer, frame::Frame};
use crate::value::Mac;

/// What would be written down.
pub struct Learned {
    /// Whose place.
    pub key: FdbKey,
    /// In words.
    pub words: String,
    /// Whether whoever looks next finds it.
    pub is_believed: bool,
    /// What is counted.
    pub notice: Option<Notice>,
}

impl Learned {
    /// From the frame at `offset`, which came this way; `None`: its sender is no station.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn from(
        tracer: &Tracer,
        frame: &Frame,
        offset: usize,
        tenant: TenantId,
        via: Via,
    ) -> Result<Option<Self>> {
        let Some(key) = bridge::source(frame, offset, tenant) else { return Ok(None) };
        let place = |via| tracer.names.place(via);
        let (what, is_believed, notice) = match tracer.live.written(&key)? {
            Some(entry) if entry.is_static() => {
                (format!("is {}, as someone said", place(entry.via)), false, None)
            }
            Some(entry) if entry.via == via => {
                (format!("is heard {} again", place(via)), true, None)
            }
            Some(_) => (format!("moves to {}", place(via)), true, None),
            None if tracer.live.may_learn(tenant) => {
                (format!("is learned {}", place(via)), true, None)
            }
            None => {
                let what = "is not learned: the tenant has as many stations as it may".to_owned();
                (what, false, Some(Notice::NotLearned))
            }
        };
        let words = format!("{} {what}", Mac(key.mac()));
        Ok(Some(Self { key, words, is_believed, notice }))
    }
}
