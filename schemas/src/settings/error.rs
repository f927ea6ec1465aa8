//! Errors of settings.

/// Reason why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings are not TOML: {0}")]
    Syntax(#[source] toml::de::Error),
    #[error("override `{0}` is not of the form section.key=value, for example filter.web_threshold=0.6")]
    Override(String),
    #[error("{0}")]
    Content(String),
    #[error("{key} = {value}: {why}")]
    Value { key: &'static str, value: String, why: &'static str },
}
