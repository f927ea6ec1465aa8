//! User, password and secrets in the text of a URL.

use url::Url;

/// The URL without user, password and query, which may contain signatures.
pub fn without_secrets(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.set_query(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// User and password of a URL, percent-decoded; the password is empty if the URL has none.
pub fn user_of(url: &str) -> Option<(String, String)> {
    let parsed = Url::parse(url).ok().filter(|parsed| !parsed.username().is_empty())?;
    Some((decoded(parsed.username()), decoded(parsed.password().unwrap_or_default())))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| *first == b'%').and_then(|hex| hex::decode(hex).ok());
        bytes.push(byte.as_ref().map_or(*first, |byte| byte[0]));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_of_a_url_are_decoded() {
        let user = |url: &str| user_of(url).map(|(user, password)| format!("{user} {password}"));
        assert_eq!(user("nats://me:a%3Ab%2@host:4222"), Some("me a:b%2".to_owned()));
        assert_eq!(user("nats://token@host"), Some("token ".to_owned()));
        assert_eq!(user("nats://host:4222"), None);
    }
}
