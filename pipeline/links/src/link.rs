//! Links, and the result of fetching one.

use bytes::Bytes;
use url::{Host, Url};

/// A link of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// URL as the row has it.
    pub url: String,
    /// Digest of the bytes as the row has it: MD5, SHA-256 or SHA-512 in hexadecimal digits.
    pub digest: Option<String>,
}

/// Result of fetching a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The bytes of the answer.
    Bytes(Bytes),
    /// The host did not answer with an image. The text is the reason, for people.
    Unreachable(String),
    /// The settings forbid the link, its address, or the use of the image.
    Refused(String),
    /// The bytes have another digest than the row.
    Changed(String),
    /// The image has more bytes than allowed.
    TooLarge(String),
}

/// Whether a path is a link: a URL with the scheme http or https.
pub fn is_link(path: &str) -> bool {
    let has = |scheme: &str| path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    has("http://") || has("https://")
}

impl Link {
    /// The link without a user name and a password, which its owner did not mean to publish.
    pub fn shown(&self) -> String {
        let mut url = match Url::parse(&self.url) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => url,
            _ => return self.url.clone(),
        };
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.into()
    }
}

/// The URL of a request.
///
/// # Errors
/// Reason why the URL is not requested.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    check(&url)?;
    Ok(url)
}

/// The target of a redirect.
///
/// # Errors
/// Reason why the target is not requested.
pub(crate) fn follow(from: &Url, location: &str) -> Result<Url, String> {
    let mut url = from.join(location).map_err(|error| format!("redirect to no URL: {error}"))?;
    check(&url).map_err(|why| format!("redirect: {why}"))?;
    url.set_fragment(None);
    Ok(url)
}

fn check(url: &Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme is {}; only http and https are fetched", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user name or a password; links are fetched without credentials".to_owned());
    }
    match url.host() {
        None | Some(Host::Domain("")) => Err("it has no host".to_owned()),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_urls_without_credentials_are_requested() {
        assert!(is_link("HTTP://a/b") && is_link("https://a"));
        for other in ["a.jpg", "ftp://a/b", "s3://http/x", "/http://x", "http:/x", ""] {
            assert!(!is_link(other), "{other}");
        }
        let from = parse("https://a.example/x/y?z=1").unwrap();
        assert_eq!(follow(&from, "../b.jpg#part").unwrap().as_str(), "https://a.example/b.jpg");
        for target in
            ["file:///etc/passwd", "data:image/png;base64,AA", "http://u:p@a.example/", "gopher://a"]
        {
            assert!(follow(&from, target).is_err(), "{target}");
        }
        assert!(parse("http://user:secret@a.example/b").is_err());
        let link = Link { url: "http://user:secret@a.example/b".to_owned(), digest: None };
        assert_eq!(link.shown(), "http://a.example/b");
    }
}
