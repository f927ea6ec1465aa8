//! Connection to NATS: address, credentials, and errors that show no secret.

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr, jetstream,
    jetstream::context::AccountErrorKind,
};
use capfilt_store::{user_of, without_secrets};
use std::{error::Error as _, fmt, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// Longest time of one request.
const REQUEST: Duration = Duration::from_secs(5);

/// Longest wait for an unreachable server at the start. Later losses are waited out without a limit: a worker
/// pool must outlive the server.
const FIRST_CONTACT: Duration = Duration::from_secs(120);

/// Interval of pings: the client soon leaves a server that vanished silently for another server.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Interval between two attempts to connect at the start.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Address of the cluster's NATS, and credentials.
#[derive(Clone, Default)]
pub struct Connection {
    /// `nats://host:4222`, or several, separated by commas; a URL may contain user and password.
    pub url: String,
    /// A `.creds` file as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// User and password, if they are not in the URL. A user with an empty password is a token.
    pub user: Option<(String, String)>,
    /// PEM file of the authority that signed the server's certificate. With a file, TLS is required.
    pub tls_ca: Option<PathBuf>,
}

/// Shows the address, never the credentials.
impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Connection({})", self.shown())
    }
}

/// Reason why there is no connection, or why the connection is useless.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ConnectionError {
    #[error("NATS at {url} refuses the connection: {why}; check user, password and --creds")]
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
    /// The URLs, without user and password.
    pub fn shown(&self) -> String {
        self.servers().map(|url| without_secrets(&url)).collect::<Vec<_>>().join(",")
    }

    /// The URLs, each with its scheme: without a scheme, a user's name would be parsed as one.
    fn servers(&self) -> impl Iterator<Item = String> {
        let urls = self.url.split(',').map(str::trim);
        urls.map(|url| if url.contains("://") { url.to_owned() } else { format!("nats://{url}") })
    }

    /// Checks that `urls` are URLs of NATS servers: at least one, separated by commas.
    ///
    /// # Errors
    /// The part that is not such a URL.
    pub fn check(urls: &str) -> Result<(), String> {
        let link = Self { url: urls.to_owned(), ..Self::default() };
        for (url, given) in link.servers().zip(urls.split(',')) {
            let address: Result<ServerAddr, _> = url.parse();
            let has_host = address.is_ok_and(|address| !address.host().is_empty());
            if given.trim().is_empty() || !has_host {
                let shown = without_secrets(given.trim());
                return Err(format!(
                    "`{shown}` is not the URL of a NATS server; write nats://HOST:4222, several with commas"
                ));
            }
        }
        Ok(())
    }

    /// Connects. It waits for a server that cannot be reached, not for one that refuses the connection.
    pub async fn connect(&self, waiting: impl Fn(&str)) -> Result<Client, ConnectionError> {
        let since = Instant::now();
        // Without credentials: the library writes the URLs to its log.
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

    /// A server without JetStream may belong to a cluster with servers that have it. JetStream is missing
    /// only if no server answers a JetStream request.
    async fn with_jetstream(&self, client: Client) -> Result<Client, ConnectionError> {
        if client.server_info().jetstream {
            return Ok(client);
        }
        match jetstream::new(client.clone()).query_account().await {
            Err(error) if error.kind() == AccountErrorKind::JetStreamUnavailable => {
                Err(ConnectionError::NoJetStream {
                    url: self.shown(),
                    why: "no server answers a JetStream request".to_owned(),
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

/// Whether a TLS handshake failed: the library returns such errors as broken connections.
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
