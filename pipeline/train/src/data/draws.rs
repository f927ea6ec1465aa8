//! Random numbers that are functions of their purpose, so that any of them can be reproduced alone.

use sha2::{Digest as _, Sha256};

/// A stream of random numbers (SplitMix64: Steele, Lea and Flood 2014), the same on every machine and in
/// every version.
pub struct Draws(u64);

impl Draws {
    /// The stream for a purpose and indices.
    pub fn of(purpose: &str, names: &[u64]) -> Self {
        let mut hash = Sha256::new();
        hash.update(purpose.as_bytes());
        names.iter().for_each(|name| hash.update(name.to_le_bytes()));
        let bytes: [u8; 32] = hash.finalize().into();
        Self(bytes[..8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform among 0..n. The bias of the remainder is below n / 2^64.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// Puts items in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}
