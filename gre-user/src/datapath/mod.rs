//! The programs: load, attach, pin, adopt, replace, detach.
//!
//! - [`load`]: loads the object; its maps are those already pinned, where there are some.
//! - [`xdp`], [`tc`]: attach one program to one interface, or replace the one that is there.
//! - [`pinned`]: takes it off again.
//! - [`uplink`], [`port`], [`transit`], [`flood`]: what is attached where.
//! - [`steer`]: which CPUs the inner flows are spread over.
//! - [`detach`]: takes everything off.
//! - [`exchange`]: puts other programs that do the same in their place, and these back.
//! - [`ring`]: what programs hand to userspace.
//! - [`privilege`]: what the caller must be allowed, and what it gives up.

pub mod detach;
mod error;
pub mod exchange;
pub mod flood;
pub mod load;
mod pinned;
pub mod port;
pub mod privilege;
pub mod ring;
mod steer;
pub mod tc;
pub mod transit;
pub mod uplink;
mod xdp;

pub use self::error::Error;

/// What every function of the room returns.
pub type Result<T> = std::result::Result<T, Error>;
