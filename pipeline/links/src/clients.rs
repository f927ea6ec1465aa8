//! HTTP clients. A client keeps connections open for the next request to a host, without a bound over all
//! hosts; therefore a client serves some hosts only, and then another one takes its place.

use crate::resolver::Resolver;
use capfilt_schemas::settings::Links;
use reqwest::{
    Client,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect::Policy,
};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Hosts per client, and kept connections per host: at most 256 kept connections, while a process may have
/// 1,024 open files.
const HOSTS: usize = 64;
const KEPT_PER_HOST: usize = 4;

/// Time for which a connection without a request is kept.
const KEPT: Duration = Duration::from_secs(5);

/// Formats that are decoded. A host that offers others, such as AVIF, then sends one of these.
const FORMATS: &str = "image/jpeg,image/png,image/webp,image/gif,image/*;q=0.5,*/*;q=0.1";

pub(crate) struct Clients {
    settings: Links,
    resolver: Resolver,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    hosts: HashSet<String>,
}

impl Clients {
    /// # Errors
    /// The system's certificates cannot be read, or the user agent is not a header's value.
    pub(crate) fn new(settings: Links, resolver: Resolver) -> Result<Self, reqwest::Error> {
        // The HTTP client brings no cryptography provider. An error means that one is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = build(&settings, &resolver)?;
        let current = Mutex::new(Current { client, hosts: HashSet::new() });
        Ok(Self { settings, resolver, current })
    }

    /// The client for a host. A replaced client closes its connections when its last request has ended.
    pub(crate) fn of(&self, authority: &str) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.hosts.contains(authority) {
            return current.client.clone();
        }
        if current.hosts.len() >= HOSTS
            && let Ok(client) = build(&self.settings, &self.resolver)
        {
            *current = Current { client, hosts: HashSet::new() };
        }
        current.hosts.insert(authority.to_owned());
        current.client.clone()
    }
}

fn build(settings: &Links, resolver: &Resolver) -> Result<Client, reqwest::Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(FORMATS));
    // A compressed body could be a thousand times as large as its bytes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Client::builder()
        .user_agent(&settings.user_agent)
        .default_headers(headers)
        .dns_resolver(resolver.clone())
        // A proxy would resolve the names, and its addresses cannot be checked.
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(Duration::from_secs(settings.connect_seconds.into()))
        .pool_max_idle_per_host(KEPT_PER_HOST)
        .pool_idle_timeout(KEPT)
        .build()
}
