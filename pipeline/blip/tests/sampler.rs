//! Samples follow their distribution.

use capfilt_blip::generate::{logits::nucleus, sampler};
use capfilt_pipeline::model::SampleKey;

#[test]
fn twenty_thousand_draws_follow_the_filtered_distribution() {
    let seed = 20_220_128;
    println!("seed {seed}");
    let scores: Vec<(i64, f32)> = (0..40).map(|i| (i, ((i * 7919) % 41) as f32 * 0.1)).collect();
    let candidates = nucleus(scores, 20, 0.9);
    assert!(candidates.len() > 8 && candidates.len() < 20, "{}", candidates.len());
    let draws = 20_000;
    let mut counts = vec![0.0; candidates.len()];
    for n in 0..draws {
        // Random numbers as in a job: many images, a few captions, a few steps each.
        let mut image_sha256 = [0; 32];
        image_sha256[..8].copy_from_slice(&(n as u64 / 20).to_le_bytes());
        let u = sampler::uniform(&SampleKey { job_seed: seed, image_sha256 }, n % 2, n / 2 % 10);
        let id = sampler::draw(&candidates, u);
        counts[candidates.iter().position(|c| c.id == id).unwrap()] += 1.0;
    }
    let statistic: f64 = candidates
        .iter()
        .zip(&counts)
        .map(|(c, count)| (count - draws as f64 * c.probability).powi(2) / (draws as f64 * c.probability))
        .sum();
    let freedom = (candidates.len() - 1) as f64;
    // Wilson and Hilferty's approximation of the 99.9 % quantile.
    let limit = freedom * (1.0 - 2.0 / (9.0 * freedom) + 3.09 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    println!("chi-squared {statistic:.1} with {freedom} degrees of freedom, limit {limit:.1}");
    assert!(statistic < limit);
}
