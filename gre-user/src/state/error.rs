//! Why the state could not be read or changed: cause and remedy.

use std::{io, net::IpAddr, path::PathBuf};

use aya::maps::MapError;
use gre_common::tables::SCHEMA_VERSION;
use ipnet::IpNet;
use nix::errno::Errno;

/// Why the state could not be read or changed. Nothing is half done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no state.
    #[error("there is no xgre state at {}; start `xgre run --iface IFACE` first, or name another folder with --state", .0.display())]
    NoState(PathBuf),
    /// The maps are those of another version.
    #[error(
        "the state at {} has map schema {found}, this xgre speaks {SCHEMA_VERSION}; \
         remove it with `xgre detach` (it takes the datapath down), or use the xgre that made it",
        dir.display()
    )]
    Schema {
        /// Where.
        dir: PathBuf,
        /// Its version.
        found: u32,
    },
    /// There is no such group.
    #[error("there is no group {0}; make it with `groupadd --system {0}`")]
    NoGroup(String),
    /// Somebody has exchanged the programs.
    #[error("another `xgre capture` is at work here; end it first")]
    Captured,
    /// The folder cannot be used.
    #[error("cannot {action} {}: {cause}", path.display())]
    Dir {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The folder is not on a BPF file system.
    #[error("{} is not on a BPF file system; mount one with `mount -t bpf bpf {}`", .0.display(), .0.display())]
    NotBpffs(PathBuf),
    /// The caller lacks a privilege.
    #[error("permission denied at {}; xgre needs root, or CAP_BPF and CAP_NET_ADMIN and a state folder it may write", .0.display())]
    Permission(PathBuf),
    /// Not a name.
    #[error(
        "{0:?} cannot be a name; use 1 to 31 ASCII letters, digits, dots, dashes and underscores"
    )]
    Name(String),
    /// Not an interface's name.
    #[error(
        "{0:?} cannot be the name of an interface; use 1 to 15 bytes without spaces and slashes"
    )]
    InterfaceName(String),
    /// The name is taken.
    #[error("{kind} {name} exists already; delete it first, or choose another name")]
    Exists {
        /// What it names.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The name is unknown.
    #[error("there is no {kind} {name}; `xgre {kind} list` shows those there are")]
    Unknown {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The same ends belong to another tunnel.
    #[error("tunnel {name} already goes from {local} to {remote}; use it, or delete it first")]
    SameEnds {
        /// The other tunnel.
        name: String,
        /// Its local address.
        local: IpAddr,
        /// Its remote address.
        remote: IpAddr,
    },
    /// The same binding belongs to another tenant.
    #[error(
        "tenant {tenant} already receives {key} on tunnel {tunnel}; choose another key, or delete it first"
    )]
    Bound {
        /// Whose it is.
        tenant: String,
        /// The key, in words.
        key: String,
        /// The tunnel.
        tunnel: String,
    },
    /// A tunnel still has tenants.
    #[error(
        "tunnel {name} is in use by {tenants} tenant(s); delete them first (`xgre tenant list`)"
    )]
    TunnelInUse {
        /// The tunnel.
        name: String,
        /// How many.
        tenants: u32,
    },
    /// A tenant still has a port.
    #[error(
        "tenant {name} still has the port {port}; delete it first (`xgre port del {name} {port}`)"
    )]
    TenantInUse {
        /// The tenant.
        name: String,
        /// Its port.
        port: String,
    },
    /// There is a route for the same prefix.
    #[error(
        "tenant {tenant} has a route to {prefix} already; delete it first (`xgre route del {tenant} {prefix}`), or give all of its \
         ways at once"
    )]
    RouteExists {
        /// Whose.
        tenant: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// A route has too many ways.
    #[error("the route to {prefix} has too many ways; give it up to {max}")]
    Ways {
        /// The prefix.
        prefix: IpNet,
        /// How many there can be.
        max: usize,
    },
    /// A route leads by what its tenant has not.
    #[error(
        "tenant {tenant} has no tunnel or port {way}; `xgre tenant show {tenant}` shows those it has"
    )]
    UnknownWay {
        /// Whose route.
        tenant: String,
        /// The tunnel or port.
        way: String,
    },
    /// A tunnel was named twice.
    #[error("tunnel {0} is named twice; name each tunnel of a tenant once")]
    TunnelTwice(String),
    /// One row of sequence numbers cannot be shared.
    #[error(
        "tunnel {0} has --seq, and the numbers of several senders make no order; give the tenant tunnels without --seq"
    )]
    SequenceShared(String),
    /// The port is another tenant's.
    #[error("interface {port} is a port of tenant {tenant}, not of {asked}")]
    ForeignPort {
        /// The port.
        port: String,
        /// Whose it is.
        tenant: String,
        /// Whose it was said to be.
        asked: String,
    },
    /// There is a transit rule for the same packets.
    #[error(
        "there is a transit rule for {packets} already, to {action}; delete it first (`xgre transit del`)"
    )]
    TransitExists {
        /// The packets, in words.
        packets: String,
        /// What it does, in words.
        action: String,
    },
    /// There is no such transit rule.
    #[error("there is no transit rule for {0}; `xgre transit list` shows those there are")]
    UnknownTransit(String),
    /// A map has no room.
    #[error(
        "the map of {} is full ({max} entries); delete some, or `xgre detach` and run with a larger {}",
        room.what, room.option
    )]
    Full {
        /// What it holds.
        room: Room,
        /// How many.
        max: u32,
    },
    /// The kernel refused for another reason.
    #[error("the kernel refused a map operation: {}", describe(.0))]
    Map(#[from] MapError),
}

/// What a map has room for, and the option of `xgre run` that says for how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    what: &'static str,
    option: &'static str,
}

impl Room {
    pub(super) const TENANTS: Self = Self::of("tenants", "--max-tenants");
    pub(super) const PORTS: Self = Self::of("ports", "--max-tenants");
    pub(super) const HOOKS: Self = Self::of("hooks", "--max-tenants");
    pub(super) const TRANSIT: Self = Self::of("transit rules", "--max-tenants");
    pub(super) const UPLINKS: Self = Self::of("uplinks", "--max-tenants");
    pub(super) const TUNNELS: Self = Self::of("tunnels", "--max-tunnels");
    pub(super) const LOCALS: Self = Self::of("local addresses", "--max-tunnels");
    pub(super) const BINDINGS: Self = Self::of("bindings", "--max-bindings");
    pub(super) const KEYS: Self = Self::of("keys", "--max-bindings");
    pub(super) const MEMBERS: Self = Self::of("members", "--max-bindings");
    pub(super) const STATIONS: Self = Self::of("stations", "--max-fdb");
    pub(super) const ROUTES: Self = Self::of("routes", "--max-routes");
    pub(super) const SOURCES: Self = Self::of("sources", "--max-routes");
    pub(super) const NEIGHBOURS: Self = Self::of("neighbours", "--max-neigh");
    pub(super) const RATES: Self = Self::of("rates", "--max-tenants");

    const fn of(what: &'static str, option: &'static str) -> Self {
        Self { what, option }
    }
}

/// The kernel's error code behind a map error.
pub(super) fn errno(error: &MapError) -> Option<Errno> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error().map(Errno::from_raw),
        MapError::IoError(error) => error.raw_os_error().map(Errno::from_raw),
        _ => None,
    }
}

fn describe(error: &MapError) -> String {
    match errno(error) {
        Some(errno) => format!("{error}: {}", errno.desc()),
        None => error.to_string(),
    }
}

impl Error {
    /// No room for a tunnel among `max`.
    pub(super) const fn full_of_tunnels(max: u32) -> Self {
        Self::Full { room: Room::TUNNELS, max }
    }

    /// No room for a tenant among `max`.
    pub(super) const fn full_of_tenants(max: u32) -> Self {
        Self::Full { room: Room::TENANTS, max }
    }

    /// A failed insertion into a map, which has room for `max` entries.
    pub(super) fn inserting(room: Room, max: u32) -> impl Fn(MapError) -> Self {
        move |error| match errno(&error) {
            Some(Errno::E2BIG | Errno::ENOSPC) => Self::Full { room, max },
            _ => Self::Map(error),
        }
    }
}
