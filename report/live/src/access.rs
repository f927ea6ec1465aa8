//! Who may read the page, and who may change the job: address, host names and token.

use crate::error::AccessError;
use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq as _;

/// Bounds of the length of a token, in bytes.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// The secret that allows to change the job. Its `Debug` text does not contain it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token from 128 random bits.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// Takes a token that the user chose; `None` if it is short, long, or has other than visible ASCII
    /// characters.
    pub fn chosen(text: &str) -> Option<Self> {
        let is_sound = TOKEN_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_sound.then(|| Self(text.to_owned()))
    }

    /// The token as text, to be shown once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a text is the token. The time of the comparison depends on the length of the text alone.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// Whether the `Authorization` header has the token: `Bearer TOKEN`, or `Basic` with the token as the
    /// password, which browsers ask for.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, rest)) = value.and_then(|value| value.split_once(' ')) else { return false };
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.is(rest.trim()),
            "basic" => {
                let pair = STANDARD.decode(rest.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
                pair.is_some_and(|pair| pair.split_once(':').is_some_and(|(_, password)| self.is(password)))
            }
            _ => false,
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Token(…)")
    }
}

/// Address, token and host names of the page.
#[derive(Debug, Clone)]
pub struct Access {
    /// Address of the page.
    pub listen: SocketAddr,
    /// Token for every change and, on an address that is not a loopback address, for reading.
    pub token: Token,
    /// Whether the token was made at the start, so that it must be printed.
    pub is_random: bool,
    /// Further names of this host, in lower case.
    hosts: Vec<String>,
}

impl Access {
    /// Takes the arguments of `capfilt serve`, and the token from its environment variable.
    ///
    /// # Errors
    /// An address that is not a loopback address without a token, and an invalid token or host name.
    #[cfg(feature = "arguments")]
    pub fn of(args: &crate::arguments::ServeArgs) -> Result<Self, AccessError> {
        let chosen = args.token_env.as_deref().map(token_in).transpose()?;
        Self::new(args.listen, chosen, &args.hosts)
    }

    /// Access at an address; without a token, one is made.
    ///
    /// # Errors
    /// As [`Access::of`].
    pub fn new(listen: SocketAddr, chosen: Option<Token>, hosts: &[String]) -> Result<Self, AccessError> {
        if chosen.is_none() && !listen.ip().is_loopback() {
            return Err(AccessError::NoToken { listen });
        }
        if let Some(name) = hosts.iter().find(|name| !is_host_name(name)) {
            return Err(AccessError::BadHost { name: name.clone() });
        }
        let is_random = chosen.is_none();
        let hosts = hosts.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Self { listen, token: chosen.unwrap_or_else(Token::random), is_random, hosts })
    }

    /// Whether reading needs the token.
    pub fn guards_reading(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    /// Whether a `Host` header names this server. A page of another site whose name was made to lead here
    /// (DNS rebinding) sends its own name; an IP address cannot be such a name.
    pub fn knows_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) => self.guards_reading() || address.is_loopback(),
            Err(_) => name == "localhost" || self.hosts.contains(&name),
        }
    }
}

#[cfg(feature = "arguments")]
fn token_in(name: &str) -> Result<Token, AccessError> {
    let text = std::env::var(name).map_err(|_| AccessError::NoVariable { name: name.to_owned() })?;
    Token::chosen(text.trim()).ok_or_else(|| AccessError::BadToken { name: name.to_owned() })
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && (name.starts_with('[') || !name.contains(':')) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(listen: &str, hosts: &[&str]) -> Access {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        Access::new(listen.parse().unwrap(), Some(Token::random()), &hosts).unwrap()
    }

    #[test]
    fn an_address_beyond_this_machine_needs_a_token() {
        for listen in ["0.0.0.0:80", "192.168.0.1:80", "[::]:80", "[2001:db8::1]:80"] {
            let refused = Access::new(listen.parse().unwrap(), None, &[]);
            assert!(matches!(refused, Err(AccessError::NoToken { .. })), "{listen}");
            assert!(access(listen, &[]).guards_reading());
        }
        for listen in ["127.0.0.1:0", "127.3.2.1:80", "[::1]:80"] {
            assert!(!Access::new(listen.parse().unwrap(), None, &[]).unwrap().guards_reading());
        }
    }

    #[test]
    fn a_host_header_must_name_this_server() {
        let local = access("127.0.0.1:80", &["Box.example"]);
        for host in ["127.0.0.1", "127.0.0.1:8080", "localhost:9", "LOCALHOST", "[::1]:80", "box.example:1"] {
            assert!(local.knows_host(host), "{host}");
        }
        let bad =
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "", ":80"];
        for host in bad {
            assert!(!local.knows_host(host), "{host}");
        }
        assert!(access("0.0.0.0:80", &[]).knows_host("10.0.0.1:80"), "an address is not a rebound name");
        assert!(!access("0.0.0.0:80", &[]).knows_host("evil.example"));
        let refused = Access::new("127.0.0.1:1".parse().unwrap(), None, &["http://a".to_owned()]);
        assert!(matches!(refused, Err(AccessError::BadHost { .. })));
    }

    #[test]
    fn a_token_is_read_from_both_schemes_and_is_not_in_a_debug_text() {
        let token = Token::chosen("0123456789abcdef").unwrap();
        let with = |value: String| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        let basic = |pair: &str| with(format!("Basic {}", STANDARD.encode(pair)));
        assert!(token.is_in(&with("Bearer 0123456789abcdef".to_owned())));
        assert!(token.is_in(&basic(":0123456789abcdef")) && token.is_in(&basic("me:0123456789abcdef")));
        for wrong in
            ["Bearer 0123456789abcde", "Bearer", "0123456789abcdef", "Basic x", "Digest 0123456789abcdef"]
        {
            assert!(!token.is_in(&with(wrong.to_owned())), "{wrong}");
        }
        assert!(!token.is_in(&basic("0123456789abcdef:")) && !token.is_in(&HeaderMap::new()));
        assert!(!format!("{token:?}").contains("0123"));
        assert!(Token::chosen("short").is_none() && Token::chosen("with a space in it").is_none());
        assert!(!Token::random().is(&Token::random().0));
    }
}
