//! The connection to NATS: where it is, who we are, and errors that show no secret.

use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use capfilt_bucket::without_secrets;
use std::{fmt, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How long a server that cannot be reached is waited for at the start. Later losses are waited out without end: a worker
/// must outlive the server.
const FIRST_CONTACT: Duration = Duration::from_secs(120);

/// Time between two tries at the first contact.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Where the cluster's NATS is, and who we are there.
#[derive(Clone, Default)]
pub struct Link {
    /// `nats://host:4222`, or several with commas; a user and password may stand in it.
    pub url: String,
    /// A `.creds` file as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// User and password, when they are not in the URL.
    pub user: Option<(String, String)>,
    /// PEM file of the authority that signed the server's certificate; with it, TLS is insisted on.
    pub tls_ca: Option<PathBuf>,
}

/// Shows where, never who.
impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Link({})", self.shown())
    }
}

/// Why there is no connection, or why it is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("NATS at {url} refuses us: {why}; check user, password and --creds")]
    Refused { url: String, why: String },
    #[error("TLS with NATS at {url} fails: {why}; check --tls-ca")]
    Tls { url: String, why: String },
    #[error("cannot reach NATS at {url} for {waited} s: {why}; is nats-server running there?")]
    Unreachable { url: String, waited: u64, why: String },
    #[error("{what}: {why}")]
    Settings { what: String, why: String },
    #[error("NATS at {url}: cannot {what}: {why}")]
    JetStream { url: String, what: &'static str, why: String },
}

impl Link {
    /// The URLs without user and password.
    pub fn shown(&self) -> String {
        self.url.split(',').map(|url| without_secrets(url.trim())).collect::<Vec<_>>().join(",")
    }

    /// Connects; a server that is not there yet is waited for, one that refuses is not.
    pub async fn connect(&self, waiting: impl Fn(&str)) -> Result<Client, LinkError> {
        let since = Instant::now();
        let urls: Vec<String> = self.url.split(',').map(|url| url.trim().to_owned()).collect();
        loop {
            let error = match self.options().await?.connect(&urls[..]).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let (url, why) = (self.shown(), self.without_own_secrets(&error.to_string()));
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(LinkError::Refused { url, why });
                }
                ConnectErrorKind::Tls => return Err(LinkError::Tls { url, why }),
                ConnectErrorKind::ServerParse => return Err(LinkError::Settings { what: url, why }),
                _ if since.elapsed() > FIRST_CONTACT => {
                    return Err(LinkError::Unreachable { url, waited: since.elapsed().as_secs(), why });
                }
                _ => waiting(&format!("NATS at {url} does not answer ({why}); waiting for it")),
            }
            sleep(TRY_EVERY).await;
        }
    }

    async fn options(&self) -> Result<ConnectOptions, LinkError> {
        let options = ConnectOptions::new()
            .name("capfilt")
            .connection_timeout(REQUEST)
            .request_timeout(Some(REQUEST))
            .max_reconnects(None);
        let options = match &self.user {
            Some((user, password)) => options.user_and_password(user.clone(), password.clone()),
            None => options,
        };
        let options = match &self.credentials {
            Some(file) => options.credentials_file(file).await.map_err(|error| LinkError::Settings {
                what: format!("the credentials {} cannot be read", file.display()),
                why: error.to_string(),
            })?,
            None => options,
        };
        Ok(match &self.tls_ca {
            Some(file) => options.add_root_certificates(file.clone()).require_tls(true),
            None => options,
        })
    }

    /// A library's message may quote the URL as it was given.
    fn without_own_secrets(&self, message: &str) -> String {
        let urls = self.url.split(',').map(str::trim);
        urls.fold(message.to_owned(), |message, url| message.replace(url, &without_secrets(url)))
    }
}
