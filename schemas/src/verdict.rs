//! The rule by which texts of one source are kept: the threshold, and the best of several.

/// Verdicts of the texts of one source of an image, from their P(match); `None` is a text that was not
/// judged.
///
/// A text is kept if its P(match) is at least `threshold` (with two classes, "predicted as matched" is
/// P(match) ≥ 0.5, so a score equal to the threshold is kept) and, with `keep`, if fewer than `keep` texts
/// have a higher one; of equal ones the earlier counts as higher.
pub fn verdicts(itm: &[Option<f32>], threshold: f64, keep: Option<u32>) -> Vec<bool> {
    let mut kept: Vec<bool> =
        itm.iter().map(|itm| itm.is_some_and(|itm| f64::from(itm) >= threshold)).collect();
    if let Some(keep) = keep {
        let mut order: Vec<usize> = (0..itm.len()).filter(|i| kept[*i]).collect();
        order.sort_by(|a, b| itm[*b].unwrap_or(f32::MIN).total_cmp(&itm[*a].unwrap_or(f32::MIN)));
        order.into_iter().skip(keep as usize).for_each(|i| kept[i] = false);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_equal_to_the_threshold_is_kept_and_a_text_without_a_score_is_not() {
        assert_eq!(
            verdicts(&[Some(0.5), Some(0.49), None, Some(f32::NAN)], 0.5, None),
            [true, false, false, false]
        );
        assert!(verdicts(&[], 0.5, Some(1)).is_empty());
    }

    #[test]
    fn the_best_are_kept_and_of_equal_ones_the_first() {
        let scores = [Some(0.6), Some(0.9), None, Some(0.7), Some(0.9), Some(0.2)];
        assert_eq!(verdicts(&scores, 0.5, Some(1)), [false, true, false, false, false, false]);
        assert_eq!(verdicts(&scores, 0.5, Some(3)), [false, true, false, true, true, false]);
        assert_eq!(verdicts(&scores, 0.5, Some(9)), verdicts(&scores, 0.5, None));
    }
}
