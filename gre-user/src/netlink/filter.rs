//! Classifiers at the ingress of an interface, below TCX.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use gre_common::tables::IfIndex;
use rtnetlink::packet_route::tc::TcMessage;

use super::{Error, Netlink, answer};

/// A classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its place in the order of all.
    pub priority: u16,
    /// Its number among those of the same priority.
    pub handle: u32,
}

impl From<&TcMessage> for Filter {
    fn from(message: &TcMessage) -> Self {
        let handle = message.header.handle;
        Self {
            // The kernel's `TC_H_MAJ`; the rest is the protocol.
            priority: (message.header.info >> 16) as u16,
            handle: u32::from(handle.major) << 16 | u32::from(handle.minor),
        }
    }
}

impl Netlink {
    /// Those of an interface; none where it has no ingress qdisc.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn ingress_filters(&self, ifindex: IfIndex) -> Result<Vec<Filter>, Error> {
        let mut handle = self.handle.traffic_filter(ifindex.0.cast_signed());
        let list = async move {
            let mut messages = pin!(handle.get().ingress().execute());
            let mut filters = Vec::new();
            while let Some(message) = messages.try_next().await? {
                filters.push(Filter::from(&message));
            }
            Ok(filters)
        };
        let failed = |error| Error::new("list the TC filters of an interface", &error);
        answer(list).await.map_err(failed)
    }
}
