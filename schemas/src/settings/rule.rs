//! Values that settings may not have.

use super::SettingsError;

/// One condition under which a value is refused.
#[derive(Debug)]
pub(super) struct Rule {
    is_broken: bool,
    key: &'static str,
    value: String,
    why: &'static str,
}

/// Refuses `value` of `key` when `is_broken`; `why` says what is allowed.
pub(super) fn rule(is_broken: bool, key: &'static str, value: impl ToString, why: &'static str) -> Rule {
    Rule { is_broken, key, value: value.to_string(), why }
}

/// The error of the first rule that is broken.
pub(super) fn check(rules: impl IntoIterator<Item = Rule>) -> Result<(), SettingsError> {
    match rules.into_iter().find(|rule| rule.is_broken) {
        Some(Rule { key, value, why, .. }) => Err(SettingsError::Value { key, value, why }),
        None => Ok(()),
    }
}

/// Whether a number is a share, both ends included.
pub(super) fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}
