//! Rows that end the process: only the build under test has this, and only the tests ask for it.

/// Aborts when one of the rows is among those that CAPFILT_TEST_POISON names for the stage: `decode:12 device:40`.
pub(crate) fn strike(stage: &str, rows: &[u64]) {
    let asked = std::env::var("CAPFILT_TEST_POISON").unwrap_or_default();
    let poisons = asked.split_whitespace().filter_map(|entry| entry.split_once(':'));
    let mut poisons = poisons.filter(|(at, _)| *at == stage).filter_map(|(_, row)| row.parse::<u64>().ok());
    if poisons.any(|row| rows.contains(&row)) {
        std::process::abort();
    }
}
