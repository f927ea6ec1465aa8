//! `[stores."s3://bucket"]`: settings of one store that differ from the environment's settings of its cloud.
//!
//! A job's input may be public and the job private, or the two may be at different endpoints. A settings file
//! never contains a secret, because settings are written into `job.json`: a table names the variables with
//! the secrets.

use super::SettingsError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Stores by URL prefix; the longest prefix of a URL applies.
pub type Stores = BTreeMap<String, Store>;

/// Settings of a store. A missing key has the environment's value; with any credentials in the table, the
/// environment's credentials are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// URL of the store's endpoint: `https://host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// S3 only: region of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Allows an endpoint without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// Sends requests without credentials: a public bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_signature: Option<bool>,
    /// S3 only: the bucket's name is in the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_hosted: Option<bool>,
    /// S3 only: the requester pays for the requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_payer: Option<bool>,
    /// PEM file of certificates that are trusted in addition to the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// S3 only: a profile of `~/.aws/config` and `~/.aws/credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Azure only: the storage account's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Google only: path of a service account's key file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// S3 only: name of the variable with the key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id_env: Option<String>,
    /// S3 only: name of the variable with the secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_env: Option<String>,
    /// S3 only: name of the variable with the session token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token_env: Option<String>,
    /// Azure only: name of the variable with the account key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_key_env: Option<String>,
    /// Azure only: name of the variable with the SAS token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sas_token_env: Option<String>,
    /// Azure and Google: name of the variable with the bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_env: Option<String>,
}

impl Store {
    /// Names of variables, with their keys.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("access_key_id_env", &self.access_key_id_env),
            ("secret_access_key_env", &self.secret_access_key_env),
            ("session_token_env", &self.session_token_env),
            ("account_key_env", &self.account_key_env),
            ("sas_token_env", &self.sas_token_env),
            ("bearer_token_env", &self.bearer_token_env),
        ];
        all.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?)))
    }

    /// Whether the table sets the credentials, or their absence.
    pub fn names_credentials(&self) -> bool {
        let by_file = self.profile.is_some() || self.service_account.is_some();
        self.skip_signature.is_some() || by_file || self.variables().next().is_some()
    }
}

/// The `[stores]` tables of a TOML text; other tables are ignored.
///
/// # Errors
/// A text that is not TOML, an unknown key in a table, and a secret in place of a variable's name.
pub fn parse(text: &str) -> Result<Stores, SettingsError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct File {
        stores: Stores,
    }
    let file: File = toml::from_str(text).map_err(SettingsError::Syntax)?;
    check(&file.stores)?;
    Ok(file.stores)
}

/// The tables as TOML, which [`parse`] reads.
pub fn to_text(stores: &Stores) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        stores: &'a Stores,
    }
    toml::to_string(&File { stores }).expect("tables of texts and switches are TOML")
}

/// Checks URLs and variables.
///
/// # Errors
/// The fault, without the value, which may be a misplaced secret.
pub(super) fn check(stores: &Stores) -> Result<(), SettingsError> {
    for (url, store) in stores {
        if !url.contains("://") {
            let why = "a store is named by the beginning of its URLs, such as s3://bucket";
            return Err(SettingsError::Content(format!("[stores.\"{url}\"]: {why}")));
        }
        if let Some((key, _)) = store.variables().find(|(_, name)| !is_variable(name)) {
            let why = "the value must be the name of an environment variable, which has the secret";
            return Err(SettingsError::Content(format!("[stores.\"{url}\"] {key}: {why}")));
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    // A secret of forty characters may consist of letters; names of variables have only capitals.
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_variables_and_never_holds_a_secret() {
        let text = "[job]\nurl='x'\n[stores.\"s3://in\"]\nskip_signature = true\nregion = 'eu-west-1'\n\
                    [stores.\"s3://out\"]\naccess_key_id_env = 'OUT_KEY'\n\
                    secret_access_key_env = 'OUT_SECRET'\n";
        let stores = parse(text).unwrap();
        assert_eq!(stores["s3://in"].skip_signature, Some(true));
        assert_eq!(stores["s3://out"].variables().count(), 2);
        assert_eq!(parse(&to_text(&stores)).unwrap(), stores);
        let secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
        let error =
            parse(&format!("[stores.\"s3://out\"]\nsecret_access_key_env = '{secret}'\n")).unwrap_err();
        assert!(error.to_string().contains("name of an environment variable"), "{error}");
        assert!(!error.to_string().contains(secret), "{error}");
    }

    #[test]
    fn an_unknown_key_of_a_store_is_refused() {
        assert!(parse("[stores.\"s3://in\"]\nsecret_access_key = 'x'\n").is_err());
        assert!(
            parse("[stores.bucket]\nregion = 'x'\n")
                .unwrap_err()
                .to_string()
                .contains("beginning of its URLs")
        );
    }
}
