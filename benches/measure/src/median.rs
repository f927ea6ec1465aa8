//! Median.

/// Median of at least one value; of two middle values, the larger one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn one_slow_repeat_does_not_move_the_median() {
        assert_eq!(median(&[2.0, 90.0, 1.0]), 2.0);
        assert_eq!(median(&[3.0, 1.0]), 3.0);
        assert_eq!(median(&[4.0]), 4.0);
    }
}
