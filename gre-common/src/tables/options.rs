//! Sets of switches in one word, that programs read at once.

/// Gives a word of switches what all such sets can do.
macro_rules! options {
    ($name:ident) => {
        impl $name {
            /// Nothing.
            pub const NONE: Self = Self(0);

            /// With `other` where `wanted`, else without.
            #[must_use]
            pub const fn with(self, other: Self, wanted: bool) -> Self {
                if wanted { Self(self.0 | other.0) } else { self.without(other) }
            }

            /// Those of `self` that are in `other`, too.
            #[must_use]
            pub const fn only(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// Those of `self` that are not in `other`.
            #[inline(always)]
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// As a number.
            #[inline(always)]
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// What [`bits`](Self::bits) said.
            #[inline(always)]
            pub const fn from_bits(bits: u32) -> Self {
                Self(bits)
            }

            /// Whether some of `other` is part of it.
            #[inline(always)]
            pub const fn has_some(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether all of `other` is part of it.
            #[inline(always)]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    };
}

pub(super) use options;
