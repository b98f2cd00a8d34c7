//! The simulation's chance: one seeded stream.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(super) struct Chance(ChaCha12Rng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A number from 0 up to, but not including, 1.
    pub(super) fn number(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (-53_f64).exp2()
    }

    /// The time until something happens that happens so often on average, whatever came before.
    pub(super) fn waiting_time(&mut self, mean: f64) -> f64 {
        -(1.0 - self.number()).ln() * mean
    }
}
