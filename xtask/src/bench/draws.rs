//! Whose packet comes next.

use clap::ValueEnum;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rand_distr::Zipf;

/// How packets spread over the tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Distribution {
    /// Every tenant gets as many.
    Uniform,
    /// The n-th busiest gets 1/n of what the busiest gets.
    Zipf,
}

/// Most draws: 16 MiB of them, which are read in order and so cost the caches little.
const MAX: u32 = 1 << 22;
/// Spreads the busiest tenants over the tables. A prime larger than any number of tenants.
const SPREAD: u64 = 4_294_967_291;

impl Distribution {
    /// Numbers of tenants, out of `tenants`, at random but the same every time. A power of two of them, some
    /// for each tenant.
    pub fn draw(self, tenants: u32) -> Vec<u32> {
        let count = tenants.saturating_mul(8).next_power_of_two().clamp(1 << 16, MAX);
        let mut random = SmallRng::seed_from_u64(u64::from(tenants));
        match self {
            Self::Uniform => (0..count).map(|_| random.random_range(0..tenants)).collect(),
            Self::Zipf => {
                let zipf = Zipf::new(f64::from(tenants), 1.0).expect("at least one tenant");
                #[expect(clippy::cast_sign_loss, reason = "ranks begin at one")]
                let rank = |_| random.sample(zipf) as u64;
                let spread = |rank| (rank * SPREAD % u64::from(tenants)) as u32;
                (0..count).map(rank).map(spread).collect()
            }
        }
    }
}
