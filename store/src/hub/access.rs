//! Endpoint and token of the Hub, from the variables and the files of the Hub's tools and from `[stores]`.

use crate::{
    StoreError,
    environment::{self, refused},
    stores,
};
use capfilt_schemas::settings::stores::Store;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};
use url::Url;

const ENDPOINT: &str = "https://huggingface.co";

/// Access to the Hub.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub endpoint: Url,
    /// Variable or key that names the endpoint.
    pub endpoint_from: String,
    pub token: Option<Token>,
    /// PEM file of further certificates, with its source.
    pub ca_bundle: Option<(String, String)>,
}

/// A token. It has no `Display`, and its `Debug` hides it.
#[derive(Clone)]
pub(super) struct Token {
    pub text: String,
    /// Variable or file.
    pub from: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Token({})", self.from)
    }
}

/// Access to the repository of a URL.
///
/// # Errors
/// An unusable variable or key; the error names it.
pub(super) fn of_url(url: &str) -> Result<Access, StoreError> {
    let (at, table) = stores::table(url).unwrap_or_default();
    let variables = environment::variables();
    of(&variables, &format!("[stores.\"{at}\"]"), &table)
}

fn of(variables: &BTreeMap<String, String>, at: &str, table: &Store) -> Result<Access, StoreError> {
    if let Some(key) = foreign_key(table) {
        return Err(refused(&format!("{at} {key}"), "the Hub has no such key"));
    }
    let endpoint = match (&table.endpoint, variables.get("HF_ENDPOINT")) {
        (Some(text), _) => (text.as_str(), format!("{at} endpoint")),
        (None, Some(text)) => (text.as_str(), "HF_ENDPOINT".to_owned()),
        (None, None) => (ENDPOINT, "HF_ENDPOINT".to_owned()),
    };
    let token = match &table.bearer_token_env {
        Some(variable) => Some(of_variable(variables, variable, &format!("{at} bearer_token_env"))?),
        None if table.skip_signature == Some(true) => None,
        None => token(variables)?,
    };
    let ca_bundle = table.ca_bundle.clone().map(|file| (file, format!("{at} ca_bundle")));
    Ok(Access {
        endpoint: checked(endpoint.0, &endpoint.1, table.allow_http == Some(true))?,
        endpoint_from: endpoint.1,
        token,
        ca_bundle,
    })
}

/// A key of the table that only other stores have.
fn foreign_key(table: &Store) -> Option<&'static str> {
    let others = [
        ("region", table.region.is_some()),
        ("virtual_hosted", table.virtual_hosted.is_some()),
        ("request_payer", table.request_payer.is_some()),
        ("profile", table.profile.is_some()),
        ("account", table.account.is_some()),
        ("service_account", table.service_account.is_some()),
    ];
    let named = others.into_iter().find(|(_, is_set)| *is_set).map(|(key, _)| key);
    named.or_else(|| table.variables().map(|(key, _)| key).find(|key| *key != "bearer_token_env"))
}

/// The endpoint without a final slash. Without TLS, a token would be sent in the clear, so only this machine
/// may be such an endpoint, unless a table allows it.
fn checked(text: &str, from: &str, allows_http: bool) -> Result<Url, StoreError> {
    let url = Url::parse(text.trim_end_matches('/'));
    let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else { return Err(refused(from, "it is not a URL of the form https://host")) };
    let is_here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "http" && !is_here && !allows_http {
        let why = format!("{text} has no TLS; `allow_http = true` in [stores.\"hf://\u{2026}\"] allows this");
        return Err(refused(from, &why));
    }
    Ok(url)
}

fn of_variable(
    variables: &BTreeMap<String, String>,
    variable: &str,
    named_by: &str,
) -> Result<Token, StoreError> {
    let Some(text) = variables.get(variable) else {
        return Err(refused(variable, &format!("it is not set, although {named_by} names it")));
    };
    sound(Token { text: text.clone(), from: variable.to_owned() })
}

/// The token in the order of the Hub's own tools: variables, then the file of `hf auth login`.
fn token(variables: &BTreeMap<String, String>) -> Result<Option<Token>, StoreError> {
    let is_on = |value: &String| ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str());
    for variable in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(text) = variables.get(variable) {
            return sound(Token { text: text.clone(), from: variable.to_owned() }).map(Some);
        }
    }
    if variables.get("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(is_on) {
        return Ok(None);
    }
    let Some(path) = token_file(variables) else { return Ok(None) };
    let from = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => sound(Token { text: text.trim().to_owned(), from }).map(Some),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(refused(&from, &format!("the file of the Hub's token cannot be read: {error}"))),
    }
}

fn token_file(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    let home = variables.get("HOME");
    let expanded = |text: &String| match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(text),
    };
    if let Some(path) = variables.get("HF_TOKEN_PATH") {
        return Some(expanded(path));
    }
    let of_tools = || {
        let cache = variables.get("XDG_CACHE_HOME").map(expanded);
        let cache = cache.or_else(|| home.map(|home| Path::new(home).join(".cache")));
        cache.map(|cache| cache.join("huggingface"))
    };
    let folder = variables.get("HF_HOME").map(expanded).or_else(of_tools)?;
    Some(folder.join("token"))
}

/// A token becomes part of a header.
fn sound(token: Token) -> Result<Token, StoreError> {
    if token.text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(token);
    }
    Err(refused(&token.from, "a token has only ASCII letters, digits and signs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn access(pairs: &[(&str, &str)], table: Store) -> Result<Access, StoreError> {
        of(&variables(pairs), "[stores.\"hf://\"]", &table)
    }

    #[test]
    fn the_token_has_the_sources_of_the_hub_s_own_tools_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        std::fs::create_dir_all(folder.path().join(".cache/huggingface")).unwrap();
        std::fs::write(folder.path().join(".cache/huggingface/token"), "of-login\n").unwrap();
        std::fs::write(folder.path().join("other"), "of-path").unwrap();
        let other = folder.path().join("other").display().to_string();
        let token = |pairs: &[(&str, &str)]| access(pairs, Store::default()).unwrap().token.map(|t| t.text);
        let at_home = ("HOME", home.as_str());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(token(&[at_home]), some("of-login"));
        assert_eq!(token(&[at_home, ("HF_TOKEN_PATH", &other)]), some("of-path"));
        assert_eq!(token(&[at_home, ("HF_HOME", "/nowhere")]), None);
        assert_eq!(token(&[at_home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[at_home, ("HUGGING_FACE_HUB_TOKEN", "old")]), some("old"));
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "old"), ("HF_TOKEN", "new")]), some("new"));
        let error = access(&[("HF_TOKEN", "a b")], Store::default()).unwrap_err().to_string();
        assert!(error.starts_with("HF_TOKEN: ") && !error.contains("a b"), "{error}");
    }

    #[test]
    fn a_table_replaces_endpoint_and_token_and_has_no_other_store_s_keys() {
        let environment = [("HF_TOKEN", "t"), ("HF_ENDPOINT", "https://mirror/"), ("MINE", "m")];
        let of_environment = access(&environment, Store::default()).unwrap();
        assert_eq!(of_environment.endpoint.as_str(), "https://mirror/");
        let table = Store {
            endpoint: Some("https://there".to_owned()),
            bearer_token_env: Some("MINE".to_owned()),
            ..Store::default()
        };
        let of_table = access(&environment, table).unwrap();
        assert_eq!(
            (of_table.endpoint.as_str(), of_table.token.unwrap().text),
            ("https://there/", "m".into())
        );
        let none = Store { skip_signature: Some(true), ..Store::default() };
        assert!(access(&environment, none).unwrap().token.is_none());
        let foreign = Store { region: Some("x".to_owned()), ..Store::default() };
        assert!(access(&environment, foreign).unwrap_err().to_string().contains("region"));
    }

    #[test]
    fn only_this_machine_may_be_an_endpoint_without_tls() {
        for (endpoint, is_allowed) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://mirror.example", false),
            ("ftp://mirror.example", false),
            ("mirror", false),
        ] {
            let opened = access(&[("HF_ENDPOINT", endpoint)], Store::default());
            assert_eq!(opened.is_ok(), is_allowed, "{endpoint}");
        }
        let table = Store { allow_http: Some(true), ..Store::default() };
        assert!(access(&[("HF_ENDPOINT", "http://mirror.example")], table).is_ok());
    }
}
