//! Options of `xgre run`, for those who come later.

use super::options::options;

/// What the programs were told when they were loaded.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions(u32);

options!(RunOptions);

impl RunOptions {
    /// GRE packets to a local address that match no binding are dropped.
    pub const STRICT: Self = Self(1);
    /// XDP runs behind the driver.
    pub const GENERIC: Self = Self(2);
    /// Inner flows are spread over CPUs.
    pub const STEER: Self = Self(4);
    /// Packets are decided and counted, and left alone.
    pub const SHADOW: Self = Self(8);
    /// What is configured is what a fleet says.
    pub const FLEET: Self = Self(16);
}
