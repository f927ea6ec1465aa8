//! What the environment says about stores, under the names the clouds' own tools use: trimmed, checked, and
//! none of it able to end the program.

mod azure;

use crate::{BucketError, cloud::Cloud};
use object_store::{ClientConfigKey, aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey};
use std::collections::BTreeMap;
use url::Url;

/// What is said about a store, by object_store's names for it.
pub(crate) type Said = BTreeMap<String, Value>;

/// A value, and who said it: a variable, or a key of the settings. Errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub text: String,
    pub from: String,
}

/// Names of other tools for what object_store calls otherwise. The first of two that are set counts, and
/// object_store's own before them.
const ALIASES: [(&str, &str); 5] = [
    ("AZURE_STORAGE_ACCOUNT", "azure_storage_account_name"),
    ("AZURE_STORAGE_KEY", "azure_storage_account_key"),
    ("AZURE_STORAGE_SERVICE_ENDPOINT", "azure_storage_endpoint"),
    ("IDENTITY_ENDPOINT", "azure_identity_endpoint"),
    ("SERVICE_ACCOUNT", "google_service_account"),
];

/// What is ours alone: the file with further certificates.
pub(crate) const CA_BUNDLE: &str = "ca_bundle";

/// All variables that have a text, trimmed. An empty one is not set. One of bytes that are no text is
/// nobody's here.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let texts = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let trimmed = texts.map(|(key, value)| (key, value.trim().to_owned()));
    trimmed.filter(|(_, value)| !value.is_empty()).collect()
}

/// What the environment says about a cloud's stores.
///
/// # Errors
/// Names the variable whose value can mean nothing.
pub(crate) fn of_variables(cloud: Cloud, variables: &BTreeMap<String, String>) -> Result<Said, BucketError> {
    let prefix = match cloud {
        Cloud::S3 => "AWS_",
        Cloud::Google => "GOOGLE_",
        Cloud::Azure => "AZURE_",
    };
    let mut said = Said::new();
    let mut say = |key: &str, text: &str, from: &str| {
        if is_known(cloud, key) {
            said.entry(key.to_owned())
                .or_insert_with(|| Value { text: text.to_owned(), from: from.to_owned() });
        }
    };
    // object_store would also take `TOKEN`, `ENDPOINT`, `TIMEOUT` and more without a cloud's name before it;
    // such variables often belong to another program.
    for (variable, text) in variables.iter().filter(|(variable, _)| variable.starts_with(prefix)) {
        let key = variable.to_ascii_lowercase();
        say(if key.ends_with("_ca_bundle") { CA_BUNDLE } else { &key }, text, variable);
    }
    for (variable, key) in ALIASES {
        variables.get(variable).iter().for_each(|text| say(key, text, variable));
    }
    match cloud {
        Cloud::Azure => azure::add(variables, &mut said)?,
        Cloud::Google => emulator(variables, &mut said),
        Cloud::S3 => {}
    }
    said.iter().try_for_each(|(key, value)| check(key, value))?;
    Ok(said)
}

/// Whether object_store, or we, have a use for it.
pub(crate) fn is_known(cloud: Cloud, key: &str) -> bool {
    key == CA_BUNDLE
        || match cloud {
            Cloud::S3 => key.parse::<AmazonS3ConfigKey>().is_ok(),
            Cloud::Google => key.parse::<GoogleConfigKey>().is_ok(),
            Cloud::Azure => key.parse::<AzureConfigKey>().is_ok(),
        }
}

/// What `STORAGE_EMULATOR_HOST` says: another Google, without credentials and without TLS.
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

/// # Errors
/// When the value can mean nothing, or would make a request that cannot be made.
pub(crate) fn check(key: &str, Value { text, from }: &Value) -> Result<(), BucketError> {
    let fail = |why: &str| Err(refused(from, why));
    // Values go into requests' heads and addresses; a path of a file may hold anything.
    let is_file =
        ["file", "path", "account", "credentials", CA_BUNDLE].iter().any(|word| key.ends_with(word));
    // JSON and PEM have lines.
    let has_lines = key.ends_with("service_account_key") || key.ends_with("proxy_ca_certificate");
    if !is_file && !has_lines && text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return fail("it has a line break, a control character or a letter that is not ASCII in its middle");
    }
    if is_switch(key) {
        return if is_truth(text) { Ok(()) } else { fail("it is neither true nor false") };
    }
    if key.ends_with("proxy_url") {
        let url = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let is_host = Url::parse(&url).is_ok_and(|url| url.has_host());
        return if is_host { Ok(()) } else { fail("it is no proxy of the form http://host:port") };
    }
    if is_url(key) {
        return match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => fail("it is no URL of the form https://host or http://host:port"),
        };
    }
    if key.ends_with("region") && !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return fail("a region's name has letters, digits and hyphens only");
    }
    if key.ends_with("account_name") && !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        return fail("an account's name has letters and digits only");
    }
    let is_key =
        ["account_key", "access_key", "master_key"].iter().any(|end| key == format!("azure_storage_{end}"));
    if is_key && !azure::is_base64(text) {
        return fail(
            "an account's key is base64: letters, digits, `+`, `/` and `=` at its end, a multiple of four",
        );
    }
    if key.ends_with("_timeout") || key.ends_with("_interval") {
        return humantime::parse_duration(text).map(drop).or_else(|_| fail("it is no time like 30s or 2m"));
    }
    Ok(())
}

/// # Errors
/// When a file that holds credentials cannot be read.
pub(crate) fn check_file(key: &str, Value { text, from }: &Value) -> Result<(), BucketError> {
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

/// As object_store reads a switch.
fn is_truth(text: &str) -> bool {
    let words = ["1", "true", "on", "yes", "y", "0", "false", "off", "no", "n"];
    words.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a switch is on.
pub(crate) fn is_on(said: &Said, key: &str) -> bool {
    let on = ["1", "true", "on", "yes", "y"];
    said.get(key).is_some_and(|value| on.contains(&value.text.to_ascii_lowercase().as_str()))
}

pub(crate) fn refused(from: &str, why: &str) -> BucketError {
    BucketError::Environment { from: from.to_owned(), why: why.to_owned() }
}

/// Keys of the client that reads HTTP, which all clouds have.
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
