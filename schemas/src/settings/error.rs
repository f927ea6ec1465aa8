//! Errors of settings.

/// Reason why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not TOML.
    #[error("the settings are not TOML: {0}")]
    Syntax(#[source] toml::de::Error),
    /// An override has no key or no value.
    #[error("override `{0}` is not of the form section.key=value, for example filter.web_threshold=0.6")]
    Override(String),
    /// An unknown key, a missing key, or a value of another type.
    #[error("{0}")]
    Content(String),
    /// A value outside the allowed range.
    #[error("{key} = {value}: {why}")]
    Value {
        /// Section and key.
        key: &'static str,
        /// The refused value.
        value: String,
        /// The rule, for people.
        why: &'static str,
    },
}
