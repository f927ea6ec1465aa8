//! The rule by which texts of one source are kept: the thresholds, and the best of several.
//!
//! A text must reach every threshold that its source has: that of P(match), and that of the CLIP score if
//! there is one. P(match) alone ranks the texts that reach both.

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

/// P(match) of a text that takes part in the decision: `None` for a text that was not judged, and for one
/// whose CLIP score is missing or below the threshold `least` of its source.
pub fn admitted(itm: Option<f32>, clip: Option<f32>, least: Option<f64>) -> Option<f32> {
    let is_admitted = least.is_none_or(|least| clip.is_some_and(|clip| f64::from(clip) >= least));
    itm.filter(|_| is_admitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_below_the_clip_threshold_does_not_take_part() {
        assert_eq!(admitted(Some(0.9), Some(28.0), Some(28.0)), Some(0.9));
        assert_eq!(admitted(Some(0.9), Some(27.9), Some(28.0)), None);
        assert_eq!(admitted(Some(0.9), None, Some(28.0)), None);
        assert_eq!(admitted(Some(0.9), Some(f32::NAN), Some(-100.0)), None);
        assert_eq!(admitted(Some(0.9), Some(-5.0), None), Some(0.9));
        assert_eq!(admitted(None, Some(30.0), Some(28.0)), None);
        let scores = [(0.9, 10.0), (0.7, 30.0), (0.8, 29.0)];
        let itm = scores.map(|(itm, clip)| admitted(Some(itm), Some(clip), Some(28.0)));
        assert_eq!(verdicts(&itm, 0.5, Some(1)), [false, false, true], "the best of those that reach both");
    }

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
