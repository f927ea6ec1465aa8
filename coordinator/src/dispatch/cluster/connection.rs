//! The connection to NATS: where it is, who we are, and errors that show no secret.

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr, jetstream,
    jetstream::context::AccountErrorKind, rustls,
};
use capfilt_bucket::{user_of, without_secrets};
use std::{error::Error as _, fmt, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How long a server that cannot be reached is waited for at the start. Later losses are waited out without
/// end: a worker must outlive the server.
const FIRST_CONTACT: Duration = Duration::from_secs(120);

/// Time between two signs of life that are asked of the server: one that is gone without a word is left for
/// another soon.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Time between two tries at the first contact.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Where the cluster's NATS is, and who we are there.
#[derive(Clone, Default)]
pub struct Connection {
    /// `nats://host:4222`, or several with commas; a user and password may stand in it.
    pub url: String,
    /// A `.creds` file as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// User and password, when they are not in the URL. A user without a password is a token.
    pub user: Option<(String, String)>,
    /// PEM file of the authority that signed the server's certificate; with it, TLS is insisted on.
    pub tls_ca: Option<PathBuf>,
}

/// Shows where, never who.
impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Connection({})", self.shown())
    }
}

/// Why there is no connection, or why it is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
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
    #[error(
        "NATS at {url} has no JetStream, which keeps the job's queue ({why}); start the server with it: \
         nats-server -js -sd DIR (DIR: a folder for its files)"
    )]
    NoJetStream { url: String, why: String },
}

impl Connection {
    /// The URLs without user and password.
    pub fn shown(&self) -> String {
        self.servers().map(|url| without_secrets(&url)).collect::<Vec<_>>().join(",")
    }

    /// The URLs, each with its scheme: without one, a user's name would pass for it.
    fn servers(&self) -> impl Iterator<Item = String> {
        let urls = self.url.split(',').map(str::trim);
        urls.map(|url| if url.contains("://") { url.to_owned() } else { format!("nats://{url}") })
    }

    /// Whether these are URLs of NATS servers: at least one, separated by commas.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(urls: &str) -> Result<(), String> {
        let link = Self { url: urls.to_owned(), ..Self::default() };
        for (url, given) in link.servers().zip(urls.split(',')) {
            let address: Result<ServerAddr, _> = url.parse();
            let has_host = address.is_ok_and(|address| !address.host().is_empty());
            if given.trim().is_empty() || !has_host {
                let shown = without_secrets(given.trim());
                return Err(format!("`{shown}` is no NATS server's URL; nats://host:4222 is one"));
            }
        }
        Ok(())
    }

    /// Connects; a server that is not there yet is waited for, one that refuses is not.
    pub async fn connect(&self, waiting: impl Fn(&str)) -> Result<Client, ConnectionError> {
        // The HTTP client brings another; with two there is no choice that goes without saying. One that was
        // made is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let since = Instant::now();
        // Who we are goes another way: the library writes its URLs into its log.
        let urls: Vec<String> = self.servers().map(|url| without_secrets(&url)).collect();
        loop {
            let error = match self.options().await?.connect(&urls[..]).await {
                Ok(client) => return self.with_jetstream(client).await,
                Err(error) => error,
            };
            let (url, why) = (self.shown(), error.to_string());
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(ConnectionError::Refused { url, why });
                }
                ConnectErrorKind::Tls => return Err(ConnectionError::Tls { url, why }),
                _ if is_of_tls(&error) => return Err(ConnectionError::Tls { url, why }),
                ConnectErrorKind::ServerParse => return Err(ConnectionError::Settings { what: url, why }),
                _ if since.elapsed() > FIRST_CONTACT => {
                    return Err(ConnectionError::Unreachable { url, waited: since.elapsed().as_secs(), why });
                }
                _ => waiting(&format!("NATS at {url} does not answer ({why}); waiting for it")),
            }
            sleep(TRY_EVERY).await;
        }
    }

    /// A server without JetStream may stand in a cluster whose others have it; when nobody answers for it, it
    /// is not there.
    async fn with_jetstream(&self, client: Client) -> Result<Client, ConnectionError> {
        if client.server_info().jetstream {
            return Ok(client);
        }
        match jetstream::new(client.clone()).query_account().await {
            Err(error) if error.kind() == AccountErrorKind::JetStreamUnavailable => {
                Err(ConnectionError::NoJetStream {
                    url: self.shown(),
                    why: "nobody answers for it".to_owned(),
                })
            }
            _ => Ok(client),
        }
    }

    async fn options(&self) -> Result<ConnectOptions, ConnectionError> {
        let options = ConnectOptions::new()
            .name("capfilt")
            .connection_timeout(REQUEST)
            .request_timeout(Some(REQUEST))
            .ping_interval(PING_EVERY)
            .max_reconnects(None);
        let user = self.servers().find_map(|url| user_of(&url)).or_else(|| self.user.clone());
        let options = match user {
            Some((token, password)) if password.is_empty() => options.token(token),
            Some((user, password)) => options.user_and_password(user, password),
            None => options,
        };
        let options = match &self.credentials {
            Some(file) => {
                options.credentials_file(file).await.map_err(|error| ConnectionError::Settings {
                    what: format!("the credentials {} cannot be read", file.display()),
                    why: error.to_string(),
                })?
            }
            None => options,
        };
        Ok(match &self.tls_ca {
            Some(file) => options.add_root_certificates(file.clone()).require_tls(true),
            None => options,
        })
    }
}

/// Whether a handshake failed: the library hands such errors on as broken connections.
fn is_of_tls(error: &ConnectError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}
