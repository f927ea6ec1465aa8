use super::*;

/// Pairs whose truth has the probability of their log-odds divided by `temperature`: of each log-odds, 1,000
/// pairs with that share of true ones.
fn pairs(temperature: f64) -> Vec<[Labelled; 2]> {
    let mut all = Vec::new();
    for step in -40..=40 {
        let log_odds = f64::from(step) / 4.0;
        let are_true = (1000.0 * logistic(log_odds / temperature)).round() as usize;
        all.extend((0..1000).map(|n| Labelled { log_odds, is_true: n < are_true }));
    }
    // Both halves get the same shares: a pair of equal ones is one image.
    all.chunks_exact(2).flat_map(|pair| [[pair[0], pair[1]]; 2]).collect()
}

#[test]
fn the_temperature_of_the_truth_is_found_and_makes_p_match_the_share_of_true_pairs() {
    for truth in [0.5, 1.0, 1.7, 4.0] {
        let found = calibrate(&pairs(truth));
        // The shares are rounded to thousandths.
        assert!((found.temperature / truth - 1.0).abs() < 0.01, "{truth}: {}", found.temperature);
        assert!(found.after.ece < 0.002 && !found.is_separable, "{truth}: {:?}", found.after);
        assert!(found.after.nll <= found.before.nll + 1e-12);
        if truth != 1.0 {
            assert!(found.before.ece > 10.0 * found.after.ece, "{truth}: {}", found.before.ece);
        }
        assert_eq!(found.fitted_on, found.tested_on);
        let counted: u64 = found.before.bins.iter().map(|bin| bin.pairs).sum();
        assert_eq!(counted, found.tested_on);
    }
}

#[test]
fn pairs_that_the_logits_separate_have_no_temperature() {
    let pair = [Labelled { log_odds: 3.0, is_true: true }, Labelled { log_odds: -3.0, is_true: false }];
    let found = calibrate(&[pair; 50]);
    assert!(found.is_separable && found.temperature == TEMPERATURES[0]);
    assert!(found.to_string().contains("--negatives similar"));
}

#[test]
fn extreme_log_odds_give_finite_numbers() {
    let pair = [Labelled { log_odds: -1e4, is_true: true }, Labelled { log_odds: 1e4, is_true: false }];
    let found = calibrate(&[pair; 4]);
    assert!(found.before.nll.is_finite() && found.before.ece == 1.0, "{found:?}");
    assert!((found.temperature / TEMPERATURES[1] - 1.0).abs() < 1e-9, "the flattest one: {found:?}");
}
