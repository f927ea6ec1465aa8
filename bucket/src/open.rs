//! Opens a cloud store with its settings.

use crate::{
    BucketError,
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

/// Retries of the client, which last seconds. [`crate::patient`] retries for longer: it signs each request
/// again and reports its waits.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
}

/// Opens the store of a URL.
///
/// # Errors
/// Unusable settings; the error names their source.
pub(crate) fn open(
    cloud: Cloud,
    url: &Url,
    said: &Said,
    passed_over: Arc<PassedOver>,
) -> Result<Remote, BucketError> {
    is_tls_or_allowed(cloud, said)?;
    let said_patience = said.iter().find(|(key, _)| is_timeout(key));
    let patience = said_patience.and_then(|(_, value)| humantime::parse_duration(&value.text).ok());
    let connector = Connector { passed_over, patience: patience.unwrap_or(http::PATIENCE) };
    let client = client(cloud, said)?;
    let http = connector.connect(&client);
    // The URL itself was checked before, so an error is a fault of the settings of its store.
    let fail = |error: object_store::Error| {
        let credentials = stores::credentials(cloud).iter().filter_map(|key| said.get(*key));
        let credentials: Vec<&str> = credentials.map(|value| value.from.as_str()).collect();
        let by = if credentials.is_empty() {
            String::new()
        } else {
            format!(" (with {})", credentials.join(", "))
        };
        let why = format!("its store cannot be opened{by}: {}", crate::fault::in_full(&error));
        refused(&without_secrets(url.as_str()), &why)
    };
    macro_rules! build {
        ($builder:expr) => {{
            let rest = said.iter().filter(|(key, _)| environment::client_key(cloud, key).is_none());
            let builder =
                rest.fold($builder.with_url(url.as_str()), |builder, (key, value)| match key.parse() {
                    Ok(key) => builder.with_config(key, &value.text),
                    Err(_) => builder,
                });
            let builder =
                builder.with_client_options(client).with_http_connector(connector).with_retry(retries());
            Arc::new(builder.build().map_err(fail)?)
        }};
    }
    Ok(match cloud {
        // Objects are deleted one by one, because some S3-compatible stores lack the request for many. Such
        // stores answer it with an error that looks temporary.
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::new().with_disable_bulk_delete(true);
            if let Some(Value { text, .. }) = said.get(PROCESS) {
                builder = builder.with_credentials(Arc::new(Process::new(text)));
            }
            let store = build!(builder);
            let region = ["aws_region", "aws_default_region"].into_iter().find_map(|key| said.get(key));
            let region = region.map_or_else(|| "us-east-1".to_owned(), |value| value.text.clone());
            let is_signed = !environment::is_on(said, "aws_skip_signature");
            let client = http.map_err(fail)?;
            let uploads = is_signed.then(|| Uploads { store: Arc::clone(&store), client, region });
            Remote { store: Arc::clone(&store) as _, parts: store, uploads }
        }
        Cloud::Google => {
            let store = build!(GoogleCloudStorageBuilder::new());
            Remote { store: Arc::clone(&store) as _, parts: store, uploads: None }
        }
        Cloud::Azure => {
            let names_account = said.keys().any(|key| key.ends_with("account_name"));
            let url_names_it = url.scheme() == "https" || !url.username().is_empty();
            if !names_account && !url_names_it {
                let why = "no storage account is named: set AZURE_STORAGE_ACCOUNT or \
                           AZURE_STORAGE_CONNECTION_STRING";
                return Err(refused("AZURE_STORAGE_ACCOUNT", why));
            }
            let store = build!(MicrosoftAzureBuilder::new());
            Remote { store: Arc::clone(&store) as _, parts: store, uploads: None }
        }
    })
}

fn is_timeout(key: &str) -> bool {
    ["aws_timeout", "google_timeout", "azure_timeout"].contains(&key)
}

/// Options of the HTTP client.
fn client(cloud: Cloud, said: &Said) -> Result<ClientOptions, BucketError> {
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
fn is_tls_or_allowed(cloud: Cloud, said: &Said) -> Result<(), BucketError> {
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
