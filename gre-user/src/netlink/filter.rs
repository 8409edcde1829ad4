//! TC filters at an interface's ingress, below TCX.

use futures_util::TryStreamExt;
use gre_common::tables::IfIndex;
use nix::errno::Errno;
use rtnetlink::packet_route::tc::{TcAttribute, TcMessage};

use super::{Error, Netlink, answer, optional};

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its place: those with a lower number come first.
    pub priority: u16,
    /// Its kind, such as "bpf" or "u32".
    pub kind: String,
    /// What tells it from others of its place.
    pub handle: u32,
}

impl Netlink {
    /// The filters of an interface, the first one first.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn ingress_filters(&self, ifindex: IfIndex) -> Result<Vec<Filter>, Error> {
        let request = self.handle.traffic_filter(ifindex.0.cast_signed()).get().ingress();
        let messages = answer(request.execute().try_collect::<Vec<_>>()).await;
        // Without clsact there is no such place.
        let messages = optional(messages, &[Errno::EINVAL, Errno::ENOENT, Errno::ENODEV])
            .map_err(|error| Error::new("list the TC filters", &error))?;
        let mut filters: Vec<_> = messages.iter().flatten().filter_map(Filter::new).collect();
        filters.sort_by_key(|filter| filter.priority);
        Ok(filters)
    }
}

impl Filter {
    /// `None`: it is the place itself, which has no handle.
    fn new(message: &TcMessage) -> Option<Self> {
        let header = &message.header;
        let handle = u32::from(header.handle);
        let kind = message.attributes.iter().find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind.clone()),
            _ => None,
        })?;
        // The upper half is the priority, the lower one the protocol.
        let priority = (header.info >> 16) as u16;
        (handle != 0).then_some(Self { priority, kind, handle })
    }
}
