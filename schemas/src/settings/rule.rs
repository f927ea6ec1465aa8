//! Rules that refuse values of settings.

use super::SettingsError;

/// A condition that refuses the value of a key.
#[derive(Debug)]
pub(super) struct Rule {
    is_broken: bool,
    key: &'static str,
    value: String,
    why: &'static str,
}

/// Makes a rule that refuses `value` of `key` if `is_broken`; `why` states the allowed values.
pub(super) fn rule(is_broken: bool, key: &'static str, value: impl ToString, why: &'static str) -> Rule {
    Rule { is_broken, key, value: value.to_string(), why }
}

/// Returns the error of the first broken rule.
pub(super) fn check(rules: impl IntoIterator<Item = Rule>) -> Result<(), SettingsError> {
    match rules.into_iter().find(|rule| rule.is_broken) {
        Some(Rule { key, value, why, .. }) => Err(SettingsError::Value { key, value, why }),
        None => Ok(()),
    }
}

/// Whether a number is a share: from 0 to 1, both included.
pub(super) fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}
