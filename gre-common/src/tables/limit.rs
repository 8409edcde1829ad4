//! How much a tenant may send and receive.

use super::Pace;

/// Value of the map `LIMITS`, by [`TenantId`](super::TenantId).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bits per second.
    pub rate: u64,
    /// Picoseconds that a byte takes.
    byte: u64,
    /// What was sent, by nanoseconds of the kernel's monotonic clock.
    pub sent: Pace,
    /// What was received.
    pub received: Pace,
}

impl Limit {
    /// The slowest, in bits per second: a byte takes a second.
    pub const SLOWEST: u64 = 8;
    /// The fastest.
    pub const FASTEST: u64 = 8 * Self::PICOSECONDS;

    /// Nanoseconds for which more may come at once: 50 ms, and what two merged packets take.
    const BURST: u64 = 50_000_000;
    const BURST_BYTES: u64 = 2 * 65_536;
    const PICOSECONDS: u64 = 1_000_000_000_000;

    /// Nothing was sent or received yet. `rate` is in bits per second, from [`SLOWEST`](Self::SLOWEST) to [`FASTEST`](Self::FASTEST).
    pub const fn new(rate: u64) -> Self {
        let pace = Pace { paid: 0 };
        Self { rate, byte: 8 * Self::PICOSECONDS / rate, sent: pace, received: pace }
    }

    /// Nanoseconds that so many bytes take.
    #[inline(always)]
    pub const fn time(&self, bytes: u32) -> u64 {
        self.byte * bytes as u64 / 1_000
    }

    /// Nanoseconds that may be ahead of the clock.
    #[inline(always)]
    pub const fn burst(&self) -> u64 {
        Self::BURST + self.byte * Self::BURST_BYTES / 1_000
    }
}

const _: () = assert!(size_of::<Limit>() == 32);
