//! Answers of the Hub that report an error.

use std::fmt;

/// An answer with an error status: of the Hub, or of a server that the Hub redirects to.
#[derive(Debug)]
pub(crate) struct HubError {
    pub status: u16,
    /// The Hub's own error code, `X-Error-Code`; empty without one.
    pub code: String,
    pub message: String,
    pub host: String,
    /// Whether the Hub answered, not a server that it redirects to.
    pub is_hub: bool,
    /// Page of the repository.
    pub page: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Source of the token: a variable or a file; `None`: the request had no token.
    pub token: Option<String>,
}

/// Message with which the Hub refuses a token that it does not know.
const UNKNOWN_TOKEN: &str = "Invalid credentials in Authorization header";

impl fmt::Display for HubError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} answers with status {}", self.host, self.status)?;
        if !self.code.is_empty() {
            write!(out, " {}", self.code)?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(out, ": {}", self.message) }
    }
}

impl std::error::Error for HubError {}

impl HubError {
    /// Whether the repository, or the revision, is not there or not visible.
    pub(crate) fn is_no_repository(&self) -> bool {
        let is_hidden = self.status == 401 && self.code.is_empty() && !self.is_unknown_token();
        self.is_hub && (matches!(self.code.as_str(), "RepoNotFound" | "RevisionNotFound") || is_hidden)
    }

    fn is_unknown_token(&self) -> bool {
        self.message.contains(UNKNOWN_TOKEN)
    }

    /// The next step for the user; empty if there is none.
    pub(crate) fn advice(&self) -> String {
        let Self { page, revision, .. } = self;
        let token = self.token.as_deref();
        match (self.code.as_str(), self.status, token) {
            _ if !self.is_hub => String::new(),
            (_, 401, Some(from)) if self.is_unknown_token() => {
                format!("the Hub does not know the token ({from}): is it complete, and still valid?")
            }
            ("GatedRepo", _, None) => format!(
                "access to this repository is restricted: accept its conditions at {page}, then set HF_TOKEN \
                 or log in with `hf auth login`"
            ),
            ("GatedRepo", _, Some(from)) => format!(
                "access to this repository is restricted: the account of the token ({from}) must accept its \
                 conditions at {page}, and the owner may have to admit it"
            ),
            ("RevisionNotFound", ..) => format!("the repository has no branch, tag or commit `{revision}`"),
            ("DisabledRepo", ..) => "the Hub has disabled this repository".to_owned(),
            ("RepoNotFound", _, Some(from)) => format!(
                "there is no such repository, or the account of the token ({from}) may not see it: is the \
                 name in the URL right?"
            ),
            ("RepoNotFound", ..) | (_, 401, _) => "there is no such repository, or it is private: is the \
                name in the URL right? A private repository needs a token: HF_TOKEN, or `hf auth login`"
                .to_owned(),
            (_, 403, Some(from)) => format!("the token ({from}) does not permit reading this repository"),
            (_, 403, None) => "the Hub refuses requests without a token here: set HF_TOKEN".to_owned(),
            (_, 429, None) => "the Hub admits more requests with a token: set HF_TOKEN".to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(status: u16, code: &str, message: &str, token: Option<&str>) -> String {
        let error = HubError {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            host: "hub".to_owned(),
            is_hub: true,
            page: "https://hub/datasets/o/n".to_owned(),
            revision: "v9".to_owned(),
            token: token.map(str::to_owned),
        };
        error.advice()
    }

    #[test]
    fn each_refusal_has_the_advice_that_fits_it() {
        let from = Some("HF_TOKEN");
        for (status, code, message, token, expected) in [
            (401, "GatedRepo", "", None, "accept its conditions at https://hub/datasets/o/n"),
            (403, "GatedRepo", "", from, "the account of the token (HF_TOKEN) must accept"),
            (401, "RepoNotFound", "", None, "A private repository needs a token"),
            (404, "RepoNotFound", "", from, "the account of the token (HF_TOKEN) may not see it"),
            (401, "", UNKNOWN_TOKEN, from, "the Hub does not know the token (HF_TOKEN)"),
            (404, "RevisionNotFound", "", None, "no branch, tag or commit `v9`"),
            (403, "", "", from, "the token (HF_TOKEN) does not permit"),
            (429, "", "", None, "more requests with a token"),
        ] {
            let advice = advice(status, code, message, token);
            assert!(advice.contains(expected), "{status} {code}: {advice}");
        }
        assert_eq!(advice(500, "", "", None), "");
    }
}
