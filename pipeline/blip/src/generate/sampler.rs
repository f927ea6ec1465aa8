//! Random numbers that depend only on the captioned image.
//!
//! A random number is a function of (job seed, image, caption number, step), so batch order, worker count and
//! restarts do not change a caption. SHA-256 is the counter-based generator; the time of one block per token
//! is negligible compared with a decoder step.

use capfilt_pipeline::model::SampleKey;
use sha2::{Digest, Sha256};

use super::logits::Candidate;

/// Uniform in [0, 1), with 53 random bits.
pub fn uniform(key: &SampleKey, caption: usize, step: usize) -> f64 {
    let mut hash = Sha256::new();
    hash.update(b"capfilt caption 1");
    hash.update(key.job_seed.to_le_bytes());
    hash.update(key.image_sha256);
    hash.update((caption as u64).to_le_bytes());
    hash.update((step as u64).to_le_bytes());
    let digest = hash.finalize();
    let bits = digest.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The token at `u` of the cumulative distribution. `candidates` are sorted by probability, then id, and not
/// empty.
pub fn draw(candidates: &[Candidate], u: f64) -> i64 {
    let mut sum = 0.0;
    for candidate in candidates {
        sum += candidate.probability;
        if u < sum {
            return candidate.id;
        }
    }
    // By rounding, the sum may be less than 1.
    candidates.last().map(|candidate| candidate.id).expect("the likeliest word is always kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job_seed: u64) -> SampleKey {
        SampleKey { job_seed, image_sha256: [7; 32] }
    }

    #[test]
    fn a_draw_depends_on_every_part_of_its_name_and_on_nothing_else() {
        let base = uniform(&key(1), 2, 3);
        assert_eq!(base, uniform(&key(1), 2, 3));
        let other_image = SampleKey { job_seed: 1, image_sha256: [8; 32] };
        for other in [
            uniform(&key(2), 2, 3),
            uniform(&key(1), 3, 3),
            uniform(&key(1), 2, 4),
            uniform(&other_image, 2, 3),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_are_pinned_for_good() {
        // A change here would change every caption of every job.
        let drawn: Vec<u64> = (0..3).map(|step| (uniform(&key(42), 0, step) * 1e12) as u64).collect();
        assert_eq!(drawn, [582_654_168_436, 495_856_585_858, 206_902_326_683]);
    }

    #[test]
    fn the_ends_of_the_interval_are_the_first_and_the_last_word() {
        let candidates =
            [Candidate { id: 4, probability: 0.75 }, Candidate { id: 9, probability: 0.25 - 1e-17 }];
        assert_eq!(draw(&candidates, 0.0), 4);
        assert_eq!(draw(&candidates, 0.75), 9);
        assert_eq!(draw(&candidates, 1.0 - f64::EPSILON), 9);
    }
}
