//! What the kernel's stack knows about interfaces, routes and neighbours, over netlink.
//!
//! - [`link`]: look up, create and delete interfaces.
//! - [`gre`]: the kernel's own GRE devices; [`holdings`]: addresses, routes and neighbours of an interface.
//! - [`next_hop`]: the way to a tunnel's remote address, down to the Ethernet header.
//! - [`monitor`]: what changed.
//! - [`filter`]: TC filters.
//! - [`ethtool`]: whether it takes VLAN tags out of frames.
//! - [`generic`]: whether XDP may redirect to an interface.
//! - [`ipsec`]: which packets are to be encrypted.
//!
//! A socket sees the network namespace of the thread that opened it.

pub mod ethtool;
pub mod filter;
mod generic;
pub mod gre;
pub mod holdings;
pub mod ipsec;
pub mod link;
pub mod monitor;
pub mod next_hop;

use std::{future::Future, io, time::Duration};

use nix::errno::Errno;

/// How long an answer may take. The kernel answers at once; one that the library cannot decode never arrives.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the kernel. Clones share it.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    generic: generic::Handle,
    /// `None` where the kernel knows no IPsec.
    ipsec: Option<ipsec::Handle>,
}

impl Netlink {
    /// Connects, and spawns the connections' tasks on the current tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn connect() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Socket)?;
        tokio::spawn(connection);
        Ok(Self { handle, generic: generic::connect()?, ipsec: ipsec::connect() })
    }
}

/// Why the kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error(
        "cannot open a netlink socket: {0}; allow the address family AF_NETLINK in this sandbox or container"
    )]
    Socket(io::Error),
    /// The caller lacks a privilege.
    #[error("cannot {action}: permission denied; this needs CAP_NET_ADMIN: run as root")]
    Permission {
        /// What was asked.
        action: String,
    },
    /// No interface can have this name.
    #[error(
        "{0:?} cannot be the name of an interface; use 1 to 15 bytes without spaces, slashes and colons"
    )]
    InterfaceName(String),
    /// Another interface has this name.
    #[error(
        "interface {0} exists already; choose another name, or remove it with `ip link del {0}`"
    )]
    InterfaceExists(String),
    /// Too small an MTU, in bytes.
    #[error("an interface cannot have an MTU of {0}; give the tunnel one of at least 68 (RFC 791)")]
    Mtu(u16),
    /// The kernel cannot make veth devices.
    #[error("this kernel has no veth devices; load the module with `modprobe veth`")]
    NoVeth,
    /// No answer in time.
    #[error(
        "cannot {action}: the kernel sent no answer that could be read; run with RUST_LOG=netlink_proto=error to see why"
    )]
    NoAnswer {
        /// What was asked.
        action: String,
    },
    /// Any other refusal.
    #[error("cannot {action}: {cause}; the kernel's log (`dmesg`) may say more")]
    Refused {
        /// What was asked.
        action: String,
        /// The kernel's word for it.
        cause: String,
    },
}

impl Error {
    /// The error for an `action` ("create x") that failed because of `cause`.
    fn new(action: impl Into<String>, cause: &rtnetlink::Error) -> Self {
        let action = action.into();
        match (errno(cause), cause) {
            (Some(Errno::EPERM | Errno::EACCES), _) => Self::Permission { action },
            (Some(errno), _) => Self::Refused { action, cause: errno.desc().to_owned() },
            (None, rtnetlink::Error::RequestFailed) => Self::NoAnswer { action },
            (None, cause) => Self::Refused { action, cause: cause.to_string() },
        }
    }
}

/// The kernel's error code, where it sent one.
fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            message.code.map(|code| Errno::from_raw(code.get().saturating_neg()))
        }
        _ => None,
    }
}

/// Waits for the answer to a request, but not for ever.
async fn answer<T>(
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, rtnetlink::Error> {
    let timed = tokio::time::timeout(PATIENCE, request).await;
    timed.unwrap_or(Err(rtnetlink::Error::RequestFailed))
}

/// `None` where the kernel says that what was asked for is `absent`.
fn optional<T>(
    result: Result<T, rtnetlink::Error>,
    absent: &[Errno],
) -> Result<Option<T>, rtnetlink::Error> {
    match result {
        Err(error) if errno(&error).is_some_and(|errno| absent.contains(&errno)) => Ok(None),
        result => result.map(Some),
    }
}
