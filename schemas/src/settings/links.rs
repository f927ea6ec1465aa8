//! `[links]`: images that the input names by http(s) URLs.

use super::{
    Private,
    rule::{Rule, rule},
};
use serde::{Deserialize, Serialize};

/// Fetching of images by their links. The limit of an image's bytes is `limits.image_bytes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Fetch images that `input.image` names by URL.
    pub fetch: bool,
    /// Requests at once of one worker process.
    pub concurrency: u32,
    /// Requests at once to one host.
    pub per_host: u32,
    /// Time limit for a name's lookup and for a connection, in seconds.
    pub connect_seconds: u32,
    /// Longest pause of an answer, in seconds.
    pub idle_seconds: u32,
    /// Time limit for a link with all redirects and retries, in seconds.
    pub total_seconds: u32,
    /// Redirects that are followed.
    pub redirects: u32,
    /// Further tries after a failure that may pass.
    pub retries: u32,
    /// Addresses outside of the public internet that may be fetched from.
    pub allow_private: Private,
    /// Obey `X-Robots-Tag`: noai, noimageai, noindex, noimageindex.
    pub respect_robots_tag: bool,
    /// Header `User-Agent`.
    pub user_agent: String,
    /// Column with the digest of the image's bytes: MD5, SHA-256 or SHA-512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            fetch: false,
            concurrency: 128,
            per_host: 8,
            connect_seconds: 10,
            idle_seconds: 10,
            total_seconds: 60,
            redirects: 5,
            retries: 2,
            allow_private: Private::default(),
            respect_robots_tag: true,
            user_agent: "Mozilla/5.0 (compatible; capfilt)".to_owned(),
            digest: None,
        }
    }
}

impl Links {
    /// Whether all values are the default ones: then the table is not written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Rules for the values.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let from_one = |value: u32, most: u32, key, why| rule(value == 0 || value > most, key, value, why);
        let is_header = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let agent = &self.user_agent;
        vec![
            from_one(self.concurrency, 1024, "links.concurrency", "it must be from 1 to 1024"),
            from_one(self.per_host, 1024, "links.per_host", "it must be from 1 to 1024"),
            from_one(self.connect_seconds, 600, "links.connect_seconds", SECONDS),
            from_one(self.idle_seconds, 600, "links.idle_seconds", SECONDS),
            from_one(self.total_seconds, 3600, "links.total_seconds", "it must be from 1 to 3600 seconds"),
            rule(self.redirects > 20, "links.redirects", self.redirects, "at most 20 redirects"),
            rule(self.retries > 10, "links.retries", self.retries, "at most 10 retries"),
            rule(
                agent.is_empty() || !is_header(agent),
                "links.user_agent",
                agent,
                "it is one line of ASCII text that names the program and a contact",
            ),
        ]
    }
}

const SECONDS: &str = "it must be from 1 to 600 seconds";
