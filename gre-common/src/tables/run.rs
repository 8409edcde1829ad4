//! Options of `xgre run`, for those who come later.

/// What the programs were told when they were loaded.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions(u32);

impl RunOptions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// GRE packets to a local address that match no binding are dropped.
    pub const STRICT: Self = Self(1);
    /// XDP runs behind the driver.
    pub const GENERIC: Self = Self(2);
    /// Inner flows are spread over CPUs.
    pub const STEER: Self = Self(4);

    /// With `other` where `wanted`, else without.
    #[must_use]
    pub const fn with(self, other: Self, wanted: bool) -> Self {
        Self(if wanted { self.0 | other.0 } else { self.0 & !other.0 })
    }

    /// Whether all of `other` is part of it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
