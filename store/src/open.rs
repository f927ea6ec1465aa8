//! Opens a cloud store with its settings.

use crate::{
    StoreError,
    cloud::Cloud,
    environment::{self, CA_BUNDLE, Said, Value, refused},
    http::{self, Connector},
    passed_over::PassedOver,
    process::Process,
    profile::PROCESS,
    stores,
    uploads::Uploads,
    url_text::without_secrets,
};
use object_store::{
    Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, client::HttpConnector as _, gcp::GoogleCloudStorageBuilder,
    multipart::MultipartStore,
};
use std::{sync::Arc, time::Duration};
use url::Url;

/// A cloud store.
pub(crate) struct Remote {
    pub store: Arc<dyn ObjectStore>,
    pub parts: Arc<dyn MultipartStore>,
    /// Lists unfinished uploads, if the protocol has such a request.
    pub uploads: Option<Uploads>,
}

/// Retries of the client, which last seconds. [`crate::retry`] retries for longer: it signs each request
/// again and reports its waits.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
}

/// Inputs for opening a store.
struct Opening<'a> {
    cloud: Cloud,
    url: &'a Url,
    said: &'a Said,
    client: ClientOptions,
    connector: Connector,
}

/// Opens the store of a URL.
///
/// # Errors
/// An unusable variable or key of the settings; the error names it.
pub(crate) fn open(
    cloud: Cloud,
    url: &Url,
    said: &Said,
    passed_over: Arc<PassedOver>,
) -> Result<Remote, StoreError> {
    is_tls_or_allowed(cloud, said)?;
    let patience = said.iter().find(|(key, _)| is_timeout(key));
    let patience = patience.and_then(|(_, value)| humantime::parse_duration(&value.text).ok());
    let connector = Connector { passed_over, patience: patience.unwrap_or(http::PATIENCE) };
    let opening = Opening { cloud, url, said, client: client(cloud, said)?, connector };
    match cloud {
        Cloud::S3 => s3(&opening),
        Cloud::Google => google(&opening),
        Cloud::Azure => azure(&opening),
    }
}

/// Builds the store with every setting that its cloud's builder knows. The three builders have no common
/// trait.
macro_rules! build {
    ($opening:expr, $builder:expr) => {{
        let Opening { cloud, url, said, client, connector } = $opening;
        let rest = said.iter().filter(|(key, _)| environment::client_key(*cloud, key).is_none());
        let builder = rest.fold($builder.with_url(url.as_str()), |builder, (key, value)| match key.parse() {
            Ok(key) => builder.with_config(key, &value.text),
            Err(_) => builder,
        });
        let builder = builder
            .with_client_options(client.clone())
            .with_http_connector(connector.clone())
            .with_retry(retries());
        Arc::new(builder.build().map_err(|error| $opening.failed(&error))?)
    }};
}

fn s3(opening: &Opening<'_>) -> Result<Remote, StoreError> {
    let said = opening.said;
    // Objects are deleted one by one, because some S3-compatible stores lack the request for many and answer
    // it with an error that looks temporary.
    let mut builder = AmazonS3Builder::new().with_disable_bulk_delete(true);
    if let Some(Value { text, .. }) = said.get(PROCESS) {
        builder = builder.with_credentials(Arc::new(Process::new(text)));
    }
    let store = build!(opening, builder);
    let region = ["aws_region", "aws_default_region"].into_iter().find_map(|key| said.get(key));
    let region = region.map_or_else(|| "us-east-1".to_owned(), |value| value.text.clone());
    let is_signed = !environment::is_on(said, "aws_skip_signature");
    let client = opening.connector.connect(&opening.client).map_err(|error| opening.failed(&error))?;
    let uploads = is_signed.then(|| Uploads { store: Arc::clone(&store), client, region });
    Ok(Remote { store: Arc::clone(&store) as _, parts: store, uploads })
}

fn google(opening: &Opening<'_>) -> Result<Remote, StoreError> {
    let store = build!(opening, GoogleCloudStorageBuilder::new());
    Ok(Remote { store: Arc::clone(&store) as _, parts: store, uploads: None })
}

fn azure(opening: &Opening<'_>) -> Result<Remote, StoreError> {
    let names_account = opening.said.keys().any(|key| key.ends_with("account_name"));
    let url_names_it = opening.url.scheme() == "https" || !opening.url.username().is_empty();
    if !names_account && !url_names_it {
        let why =
            "no storage account is named: set AZURE_STORAGE_ACCOUNT, or AZURE_STORAGE_CONNECTION_STRING";
        return Err(refused("AZURE_STORAGE_ACCOUNT", why));
    }
    let store = build!(opening, MicrosoftAzureBuilder::new());
    Ok(Remote { store: Arc::clone(&store) as _, parts: store, uploads: None })
}

impl Opening<'_> {
    /// The URL has been checked before, so the fault lies in the settings of its store.
    fn failed(&self, error: &object_store::Error) -> StoreError {
        let credentials = stores::credentials(self.cloud).iter().filter_map(|key| self.said.get(*key));
        let credentials: Vec<&str> = credentials.map(|value| value.from.as_str()).collect();
        let by = match credentials.is_empty() {
            true => String::new(),
            false => format!(" (with {})", credentials.join(", ")),
        };
        let why = format!("its store cannot be opened{by}: {}", crate::fault::in_full(error));
        refused(&without_secrets(self.url.as_str()), &why)
    }
}

fn is_timeout(key: &str) -> bool {
    ["aws_timeout", "google_timeout", "azure_timeout"].contains(&key)
}

/// Options of the HTTP client.
fn client(cloud: Cloud, said: &Said) -> Result<ClientOptions, StoreError> {
    let mut options = ClientOptions::new();
    for (key, value) in said {
        match environment::client_key(cloud, key) {
            // The timeout is the time without progress here, which [`Connector`] applies.
            Some(ClientConfigKey::Timeout) | None => {}
            Some(key) => options = options.with_config(key, &value.text),
        }
    }
    let Some(Value { text, from }) = said.get(CA_BUNDLE) else { return Ok(options) };
    let pem =
        std::fs::read(text).map_err(|error| refused(from, &format!("{text} cannot be read: {error}")))?;
    let no_pem = |why: &str| refused(from, &format!("{text} is not a file of certificates in PEM: {why}"));
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| no_pem(&error.to_string()))?;
    if certificates.is_empty() {
        return Err(no_pem("it has no certificate"));
    }
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

/// Refuses an endpoint without TLS unless a setting allows it: data and signatures would be sent in the
/// clear.
fn is_tls_or_allowed(cloud: Cloud, said: &Said) -> Result<(), StoreError> {
    let allow = match cloud {
        Cloud::S3 => "aws_allow_http",
        Cloud::Google => "google_allow_http",
        Cloud::Azure => "azure_allow_http",
    };
    if environment::is_on(said, allow) {
        return Ok(());
    }
    let ends = ["_endpoint", "_endpoint_url", "_endpoint_url_s3", "_base_url"];
    // Sources of credentials are exempt: a machine's metadata service has no TLS.
    let is_elsewhere = |key: &str| ["metadata", "msi", "identity"].iter().any(|word| key.contains(word));
    let endpoint = said.iter().find(|(key, value)| {
        ends.iter().any(|end| key.ends_with(end)) && !is_elsewhere(key) && value.text.starts_with("http://")
    });
    match endpoint {
        None => Ok(()),
        Some((_, Value { text, from })) => {
            let allow = if from.starts_with("[stores") { "allow_http" } else { cloud.names().allow_http };
            Err(refused(from, &format!("{text} has no TLS; {allow}=true allows this")))
        }
    }
}
