//! Settings of single stores: from the settings, from the job's record, or from the file that
//! `CAPFILT_STORES` names.
//!
//! One table for the whole process, because URLs are opened in many places.

use crate::{
    StoreError,
    advice::{Times, Way},
    cloud::Cloud,
    environment::{self, Said, Value, refused},
};
use capfilt_schemas::settings::stores::{self, Store, Stores};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// Variable with the name of a TOML file of `[stores]` tables, or with such tables themselves.
pub const VARIABLE: &str = "CAPFILT_STORES";

static STORES: RwLock<Stores> = RwLock::new(Stores::new());

/// Adds tables of the settings or of a job's record. Tables from the environment take precedence: this
/// machine may access a store in another way than the machine that created the job.
pub fn add_stores(stores: &Stores) {
    let mut known = STORES.write().unwrap_or_else(PoisonError::into_inner);
    for (url, store) in stores {
        known.entry(url.clone()).or_insert_with(|| store.clone());
    }
}

/// Reads the tables that `CAPFILT_STORES` names.
///
/// # Errors
/// An unreadable file, and a file of another kind.
pub fn read_stores() -> Result<(), StoreError> {
    let Some(named) = environment::variables().remove(VARIABLE) else { return Ok(()) };
    let is_text = named.starts_with('[');
    let text = if is_text { Ok(named.clone()) } else { std::fs::read_to_string(&named) };
    let text = text.map_err(|error| refused(VARIABLE, &format!("{named} cannot be read: {error}")))?;
    let stores = stores::parse(&text).map_err(|error| refused(VARIABLE, &error.to_string()))?;
    add_stores(&stores);
    Ok(())
}

/// All tables, as a value of [`VARIABLE`] for a child process; `None` without tables.
pub fn stores_text() -> Option<String> {
    let known = STORES.read().unwrap_or_else(PoisonError::into_inner);
    (!known.is_empty()).then(|| stores::to_text(&known))
}

/// The table that applies to a URL, with the URL of the table.
pub(crate) fn table(url: &str) -> Option<(String, Store)> {
    let known = STORES.read().unwrap_or_else(PoisonError::into_inner);
    fitting(&known, url).map(|(url, store)| (url.clone(), store.clone()))
}

/// Settings of the store of a URL: from the environment, and from the matching table.
///
/// # Errors
/// An unusable variable or table; the error names it.
pub(crate) fn said(cloud: Cloud, url: &str) -> Result<Said, StoreError> {
    let variables = environment::variables();
    let found = table(url);
    let mut said = environment::of_variables(cloud, &variables)?;
    if let Some((at, store)) = &found {
        apply(&mut said, cloud, at, store, &variables)?;
    }
    let profile = found.as_ref().and_then(|(_, store)| store.profile.as_deref());
    let said = crate::profile::with_profile(cloud, said, profile, &variables)?;
    // A command may contain any character.
    let checked = said.iter().filter(|(key, _)| key.as_str() != crate::profile::PROCESS);
    checked.into_iter().try_for_each(|(key, value)| {
        environment::check(key, value)?;
        environment::check_file(key, value)
    })?;
    Ok(said)
}

/// The table whose URL is the longest prefix of `url`.
fn fitting<'a>(stores: &'a Stores, url: &str) -> Option<(&'a String, &'a Store)> {
    let fits = |table: &str| {
        let rest = url.strip_prefix(table.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    stores.iter().filter(|(table, _)| fits(table)).max_by_key(|(table, _)| table.trim_end_matches('/').len())
}

/// Applies the table's values to the settings.
fn apply(
    said: &mut Said,
    cloud: Cloud,
    at: &str,
    store: &Store,
    variables: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let here = |key: &str| format!("[stores.\"{at}\"] {key}");
    let keys = keys(cloud);
    if store.names_credentials() {
        said.retain(|key, _| !keys.credentials.contains(&key.as_str()));
    }
    if store.endpoint.is_some() {
        said.retain(|key, _| !keys.endpoints.contains(&key.as_str()));
    }
    let text = |value: &Option<String>| value.clone();
    let switch = |value: Option<bool>| value.map(|value| value.to_string());
    let values = [
        ("endpoint", keys.endpoints[0], text(&store.endpoint)),
        ("region", keys.region, text(&store.region)),
        ("allow_http", keys.allow_http, switch(store.allow_http)),
        ("skip_signature", keys.skip_signature, switch(store.skip_signature)),
        ("virtual_hosted", "aws_virtual_hosted_style_request", switch(store.virtual_hosted)),
        ("request_payer", "aws_request_payer", switch(store.request_payer)),
        ("ca_bundle", environment::CA_BUNDLE, text(&store.ca_bundle)),
        ("account", "azure_storage_account_name", text(&store.account)),
        ("service_account", "google_service_account", text(&store.service_account)),
    ];
    for (key, name, value) in values {
        let Some(text) = value else { continue };
        if !environment::is_known(cloud, name) {
            return Err(refused(&here(key), "this store's cloud has no such key"));
        }
        said.insert(name.to_owned(), Value { text, from: here(key) });
    }
    for (key, variable) in store.variables() {
        let Some(name) = keys.of_variable(key) else {
            return Err(refused(&here(key), "this store's cloud has no such key"));
        };
        let Some(text) = variables.get(variable) else {
            return Err(refused(variable, &format!("it is not set, although {} names it", here(key))));
        };
        said.insert(name.to_owned(), Value { text: text.clone(), from: variable.to_owned() });
    }
    Ok(())
}

/// Access to a store, for advice about its errors.
pub(crate) fn way(cloud: Cloud, said: &Said) -> Way {
    let keys = keys(cloud);
    let first = |keys: &[&str]| keys.iter().find_map(|key| said.get(*key));
    let from = |value: Option<&Value>| value.map(|value| value.from.clone());
    let signature = first(&["azure_storage_sas_token", "azure_storage_sas_key"]);
    Way {
        cloud: Some(cloud),
        endpoint: from(first(keys.endpoints)),
        account: from(said.get("azure_storage_account_name")),
        unsigned: from(
            said.get(keys.skip_signature).filter(|_| environment::is_on(said, keys.skip_signature)),
        ),
        untimely: signature.map(|value| (value.from.clone(), Times::of(&value.text))),
    }
}

/// object_store's names of a cloud's credentials.
pub(crate) fn credentials(cloud: Cloud) -> &'static [&'static str] {
    keys(cloud).credentials
}

/// object_store's names of a cloud's settings that a table can have.
struct Keys {
    /// Names of the endpoint. A table sets the first one.
    endpoints: &'static [&'static str],
    /// Names of credentials. A table with credentials removes all of them.
    credentials: &'static [&'static str],
    region: &'static str,
    allow_http: &'static str,
    skip_signature: &'static str,
    secrets: &'static [(&'static str, &'static str)],
}

impl Keys {
    fn of_variable(&self, key: &str) -> Option<&'static str> {
        self.secrets.iter().find(|(known, _)| *known == key).map(|(_, name)| *name)
    }
}

fn keys(cloud: Cloud) -> Keys {
    match cloud {
        Cloud::S3 => S3,
        Cloud::Google => GOOGLE,
        Cloud::Azure => AZURE,
    }
}

const S3: Keys = Keys {
    endpoints: &["aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"],
    credentials: &[
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_token",
        "aws_web_identity_token_file",
        "aws_container_credentials_relative_uri",
        "aws_container_credentials_full_uri",
        "aws_skip_signature",
    ],
    region: "aws_region",
    allow_http: "aws_allow_http",
    skip_signature: "aws_skip_signature",
    secrets: &[
        ("access_key_id_env", "aws_access_key_id"),
        ("secret_access_key_env", "aws_secret_access_key"),
        ("session_token_env", "aws_session_token"),
    ],
};

const GOOGLE: Keys = Keys {
    endpoints: &["google_base_url"],
    credentials: &[
        "google_service_account",
        "google_service_account_path",
        "google_service_account_key",
        "google_application_credentials",
        "google_bearer_token",
        "google_skip_signature",
    ],
    region: "",
    allow_http: "google_allow_http",
    skip_signature: "google_skip_signature",
    secrets: &[("bearer_token_env", "google_bearer_token")],
};

const AZURE: Keys = Keys {
    endpoints: &["azure_storage_endpoint", "azure_endpoint"],
    credentials: &[
        "azure_storage_account_key",
        "azure_storage_access_key",
        "azure_storage_master_key",
        "azure_storage_sas_token",
        "azure_storage_sas_key",
        "azure_storage_token",
        "azure_storage_client_secret",
        "azure_client_secret",
        "azure_federated_token_file",
        "azure_use_azure_cli",
        "azure_skip_signature",
    ],
    region: "",
    allow_http: "azure_allow_http",
    skip_signature: "azure_skip_signature",
    secrets: &[
        ("account_key_env", "azure_storage_account_key"),
        ("sas_token_env", "azure_storage_sas_token"),
        ("bearer_token_env", "azure_storage_token"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_table_replaces_what_it_names_and_no_credentials_are_mixed() {
        let variables = variables(&[
            ("AWS_ACCESS_KEY_ID", "of-the-job"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "t"),
            ("AWS_ENDPOINT_URL", "https://here"),
            ("AWS_REGION", "eu-west-1"),
            ("IN_KEY", "of-the-input"),
            ("IN_SECRET", "i"),
        ]);
        let mut said = environment::of_variables(Cloud::S3, &variables).unwrap();
        let store = Store {
            endpoint: Some("https://there".to_owned()),
            access_key_id_env: Some("IN_KEY".to_owned()),
            secret_access_key_env: Some("IN_SECRET".to_owned()),
            ..Store::default()
        };
        apply(&mut said, Cloud::S3, "s3://in", &store, &variables).unwrap();
        let text: Vec<_> = said.iter().map(|(key, value)| format!("{key}={}", value.text)).collect();
        let expected = [
            "aws_access_key_id=of-the-input",
            "aws_endpoint_url_s3=https://there",
            "aws_region=eu-west-1",
            "aws_secret_access_key=i",
        ];
        assert_eq!(text, expected);
        let store = Store { session_token_env: Some("GONE".to_owned()), ..Store::default() };
        let error = apply(&mut said, Cloud::S3, "s3://in", &store, &variables).unwrap_err().to_string();
        assert!(error.starts_with("GONE: it is not set") && error.contains("session_token_env"), "{error}");
        let store = Store { account: Some("x".to_owned()), ..Store::default() };
        assert!(apply(&mut said, Cloud::S3, "s3://in", &store, &variables).is_err());
    }

    #[test]
    fn the_longest_prefix_of_a_url_counts() {
        let stores: Stores =
            ["s3://a", "s3://a/b/", "s3://a/bc"].map(|url| (url.to_owned(), Store::default())).into();
        let fits = |url: &str| fitting(&stores, url).map(|(url, _)| url.as_str());
        assert_eq!(fits("s3://a/b/c"), Some("s3://a/b/"));
        assert_eq!(fits("s3://a/b"), Some("s3://a/b/"));
        assert_eq!(fits("s3://a/x"), Some("s3://a"));
        assert_eq!(fits("s3://ab"), None);
    }
}
