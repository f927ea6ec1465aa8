//! Settings of stores from the environment, under the names of the clouds' own tools. Values are trimmed and
//! checked; an invalid value is an error.

mod azure;

use crate::{StoreError, cloud::Cloud};
use object_store::{ClientConfigKey, aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey};
use std::collections::BTreeMap;
use url::Url;

/// Settings of a store, by object_store's names.
pub(crate) type Said = BTreeMap<String, Value>;

/// A value and its source: a variable, or a key of the settings. Errors name the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub text: String,
    pub from: String,
}

/// Other tools' names of settings, with object_store's names. The first one that is set applies, after
/// object_store's own name.
const ALIASES: [(&str, &str); 5] = [
    ("AZURE_STORAGE_ACCOUNT", "azure_storage_account_name"),
    ("AZURE_STORAGE_KEY", "azure_storage_account_key"),
    ("AZURE_STORAGE_SERVICE_ENDPOINT", "azure_storage_endpoint"),
    ("IDENTITY_ENDPOINT", "azure_identity_endpoint"),
    ("SERVICE_ACCOUNT", "google_service_account"),
];

/// Key without a counterpart in object_store: the file with further certificates.
pub(crate) const CA_BUNDLE: &str = "ca_bundle";

/// All variables with a text value, trimmed. An empty variable counts as not set; one that is not UTF-8 is
/// ignored.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let texts = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let trimmed = texts.map(|(key, value)| (key, value.trim().to_owned()));
    trimmed.filter(|(_, value)| !value.is_empty()).collect()
}

/// Settings of a cloud's stores from the environment.
///
/// # Errors
/// A variable with an invalid value; the error names the variable.
pub(crate) fn of_variables(cloud: Cloud, variables: &BTreeMap<String, String>) -> Result<Said, StoreError> {
    let prefix = match cloud {
        Cloud::S3 => "AWS_",
        Cloud::Google => "GOOGLE_",
        Cloud::Azure => "AZURE_",
    };
    let mut said = Said::new();
    let mut set = |key: &str, text: &str, from: &str| {
        if is_known(cloud, key) {
            said.entry(key.to_owned())
                .or_insert_with(|| Value { text: text.to_owned(), from: from.to_owned() });
        }
    };
    // object_store would also read `TOKEN`, `ENDPOINT`, `TIMEOUT` and more without a cloud's name as the
    // prefix; such variables often belong to another program.
    for (variable, text) in variables.iter().filter(|(variable, _)| variable.starts_with(prefix)) {
        let key = variable.to_ascii_lowercase();
        set(if key.ends_with("_ca_bundle") { CA_BUNDLE } else { &key }, text, variable);
    }
    for (variable, key) in ALIASES {
        variables.get(variable).iter().for_each(|text| set(key, text, variable));
    }
    match cloud {
        Cloud::Azure => azure::add(variables, &mut said)?,
        Cloud::Google => emulator(variables, &mut said),
        Cloud::S3 => {}
    }
    said.iter().try_for_each(|(key, value)| check(key, value))?;
    Ok(said)
}

/// Whether object_store or this crate uses the key.
pub(crate) fn is_known(cloud: Cloud, key: &str) -> bool {
    key == CA_BUNDLE
        || match cloud {
            Cloud::S3 => key.parse::<AmazonS3ConfigKey>().is_ok(),
            Cloud::Google => key.parse::<GoogleConfigKey>().is_ok(),
            Cloud::Azure => key.parse::<AzureConfigKey>().is_ok(),
        }
}

/// Adds the settings of `STORAGE_EMULATOR_HOST`: another Google endpoint, without credentials and without
/// TLS.
fn emulator(variables: &BTreeMap<String, String>, said: &mut Said) {
    const VARIABLE: &str = "STORAGE_EMULATOR_HOST";
    let Some(host) = variables.get(VARIABLE) else { return };
    let url = if host.contains("://") { host.clone() } else { format!("http://{host}") };
    let values = [
        ("google_base_url", url.trim_end_matches('/').to_owned()),
        ("google_skip_signature", "true".to_owned()),
        ("google_allow_http", "true".to_owned()),
    ];
    for (key, text) in values {
        said.entry(key.to_owned()).or_insert_with(|| Value { text, from: VARIABLE.to_owned() });
    }
}

/// Checks one value.
///
/// # Errors
/// An invalid value, and a value that would make an invalid request.
pub(crate) fn check(key: &str, Value { text, from }: &Value) -> Result<(), StoreError> {
    let fail = |why: &str| Err(refused(from, why));
    // Values become part of requests' headers and addresses; the path of a file may contain any character.
    let is_file =
        ["file", "path", "account", "credentials", CA_BUNDLE].iter().any(|word| key.ends_with(word));
    // JSON and PEM contain line breaks.
    let has_lines = key.ends_with("service_account_key") || key.ends_with("proxy_ca_certificate");
    if !is_file && !has_lines && text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return fail("it contains a line break, a control character or a letter that is not ASCII");
    }
    if is_switch(key) {
        return if is_truth(text) { Ok(()) } else { fail("it is neither true nor false") };
    }
    if key.ends_with("proxy_url") {
        let url = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let is_host = Url::parse(&url).is_ok_and(|url| url.has_host());
        return if is_host { Ok(()) } else { fail("it is not a proxy of the form http://host:port") };
    }
    if is_url(key) {
        return match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => fail("it is not a URL of the form https://host or http://host:port"),
        };
    }
    if key.ends_with("region") && !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return fail("the name of a region has only letters, digits and hyphens");
    }
    if key.ends_with("account_name") && !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return fail("the name of an account has only letters and digits");
    }
    let is_key =
        ["account_key", "access_key", "master_key"].iter().any(|end| key == format!("azure_storage_{end}"));
    if is_key && !azure::is_base64(text) {
        return fail(
            "the key of an account is base64: letters, digits, `+`, `/` and final `=`, a multiple of four in \
             all",
        );
    }
    if key.ends_with("_timeout") || key.ends_with("_interval") {
        return humantime::parse_duration(text)
            .map(drop)
            .or_else(|_| fail("it is not a time such as 30s or 2m"));
    }
    Ok(())
}

/// Checks that a file of credentials is readable.
///
/// # Errors
/// An unreadable file.
pub(crate) fn check_file(key: &str, Value { text, from }: &Value) -> Result<(), StoreError> {
    let files = [
        "aws_web_identity_token_file",
        "aws_container_authorization_token_file",
        "google_application_credentials",
        "google_service_account",
        "google_service_account_path",
        "azure_federated_token_file",
    ];
    if !files.contains(&key) {
        return Ok(());
    }
    std::fs::read(text).map(drop).map_err(|error| refused(from, &format!("{text} cannot be read: {error}")))
}

fn is_url(key: &str) -> bool {
    let ends = ["endpoint", "endpoint_url", "endpoint_url_s3", "endpoint_url_sts", "base_url"];
    ends.iter().any(|end| key.ends_with(end)) || key.ends_with("authority_host") || key.ends_with("full_uri")
}

fn is_switch(key: &str) -> bool {
    let words = [
        "allow_http",
        "allow_invalid_certificates",
        "disable_system_certificates",
        "http1_only",
        "http2_only",
        "http2_keep_alive_while_idle",
        "randomize_addresses",
        "skip_signature",
        "virtual_hosted_style_request",
        "unsigned_payload",
        "imdsv1_fallback",
        "s3_express",
        "disable_tagging",
        "disable_bulk_delete",
        "sse_bucket_key_enabled",
        "use_emulator",
        "use_fabric_endpoint",
        "use_azure_cli",
    ];
    words.iter().any(|word| key.ends_with(word))
}

/// Whether object_store accepts the text as a switch.
fn is_truth(text: &str) -> bool {
    let words = ["1", "true", "on", "yes", "y", "0", "false", "off", "no", "n"];
    words.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a switch is on.
pub(crate) fn is_on(said: &Said, key: &str) -> bool {
    let on = ["1", "true", "on", "yes", "y"];
    said.get(key).is_some_and(|value| on.contains(&value.text.to_ascii_lowercase().as_str()))
}

pub(crate) fn refused(from: &str, why: &str) -> StoreError {
    StoreError::Environment { from: from.to_owned(), why: why.to_owned() }
}

/// Key of the HTTP client, which all clouds share.
pub(crate) fn client_key(cloud: Cloud, key: &str) -> Option<ClientConfigKey> {
    match cloud {
        Cloud::S3 => match key.parse() {
            Ok(AmazonS3ConfigKey::Client(key)) => Some(key),
            _ => None,
        },
        Cloud::Google => match key.parse() {
            Ok(GoogleConfigKey::Client(key)) => Some(key),
            _ => None,
        },
        Cloud::Azure => match key.parse() {
            Ok(AzureConfigKey::Client(key)) => Some(key),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
