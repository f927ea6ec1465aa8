//! Settings that only Azure's tools have: connection strings and the emulator.

use super::{Said, Value, is_on, refused};
use crate::StoreError;
use std::collections::BTreeMap;
use url::Url;

const USE_EMULATOR: &str = "azure_storage_use_emulator";

/// Account and key of every Azurite, from its documentation. They are public.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Azurite's address, unless this variable is set.
const EMULATOR_VARIABLE: &str = "AZURITE_BLOB_STORAGE_URL";
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

/// Keys of credentials. Without any of them, the emulator's own key is used.
const CREDENTIALS: [&str; 8] = [
    "azure_storage_account_key",
    "azure_storage_access_key",
    "azure_storage_master_key",
    "azure_storage_sas_token",
    "azure_storage_sas_key",
    "azure_storage_token",
    "azure_storage_client_secret",
    "azure_skip_signature",
];

/// Adds Azure's settings.
///
/// # Errors
/// A variable with an invalid value; the error names the variable.
pub(super) fn add(variables: &BTreeMap<String, String>, said: &mut Said) -> Result<(), StoreError> {
    connection_string(variables, said)?;
    emulator(variables, said);
    Ok(())
}

/// Replaces the emulator's switch by the emulator's endpoint, account and key.
fn emulator(variables: &BTreeMap<String, String>, said: &mut Said) {
    if !is_on(said, USE_EMULATOR) {
        return;
    }
    let Some(Value { from, .. }) = said.remove(USE_EMULATOR) else { return };
    let has_credentials = CREDENTIALS.iter().any(|key| said.contains_key(*key));
    let mut set = |key: &str, text: &str, from: &str| {
        let value = Value { text: text.to_owned(), from: from.to_owned() };
        said.entry(key.to_owned()).or_insert(value).text.clone()
    };
    let account = set("azure_storage_account_name", EMULATOR_ACCOUNT, &from);
    let (url, of_url) = match variables.get(EMULATOR_VARIABLE) {
        Some(url) => (url.trim_end_matches('/'), EMULATOR_VARIABLE),
        None => (EMULATOR_URL, from.as_str()),
    };
    let names_account = Url::parse(url).is_ok_and(|url| url.path() != "/");
    let endpoint = if names_account { url.to_owned() } else { format!("{url}/{account}") };
    set("azure_storage_endpoint", &endpoint, of_url);
    if !has_credentials {
        set("azure_storage_account_key", EMULATOR_KEY, &from);
    }
    said.insert("azure_allow_http".to_owned(), Value { text: "true".to_owned(), from });
}

/// Adds the settings of `AZURE_STORAGE_CONNECTION_STRING`, in the portal's form. Separate variables take
/// precedence.
fn connection_string(variables: &BTreeMap<String, String>, said: &mut Said) -> Result<(), StoreError> {
    const VARIABLE: &str = "AZURE_STORAGE_CONNECTION_STRING";
    let Some(text) = variables.get(VARIABLE) else { return Ok(()) };
    let parts: Option<BTreeMap<&str, &str>> = text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('='))
        .collect();
    let Some(parts) = parts else {
        return Err(refused(VARIABLE, "it is not of the form AccountName=…;AccountKey=…"));
    };
    let mut set = |key: &str, text: String| {
        said.entry(key.to_owned()).or_insert_with(|| Value { text, from: VARIABLE.to_owned() });
    };
    let part = |name: &str| parts.get(name).map(|text| (*text).to_owned());
    if part("UseDevelopmentStorage").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        set(USE_EMULATOR, "true".to_owned());
        return Ok(());
    }
    let Some(account) = part("AccountName").or_else(|| account_of(part("BlobEndpoint")?.as_str())) else {
        return Err(refused(VARIABLE, "it names no account (AccountName=…)"));
    };
    let scheme = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
    let by_suffix = part("EndpointSuffix").map(|suffix| format!("{scheme}://{account}.blob.{suffix}"));
    part("BlobEndpoint")
        .or(by_suffix)
        .into_iter()
        .for_each(|endpoint| set("azure_storage_endpoint", endpoint));
    set("azure_storage_account_name", account);
    part("AccountKey").into_iter().for_each(|key| set("azure_storage_account_key", key));
    part("SharedAccessSignature").into_iter().for_each(|token| set("azure_storage_sas_token", token));
    Ok(())
}

/// The account in `https://account.blob.core.windows.net`, or in `http://127.0.0.1:10000/account`.
fn account_of(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let of_host = url.host_str()?.split_once(".blob.").map(|(account, _)| account.to_owned());
    of_host.or_else(|| url.path_segments()?.next().filter(|first| !first.is_empty()).map(str::to_owned))
}

/// Whether object_store can decode a text as a key.
pub(super) fn is_base64(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let is_full = text.len().is_multiple_of(4) && text.len() - bare.len() <= 2 && !bare.is_empty();
    is_full && bare.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
}
