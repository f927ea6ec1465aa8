//! Classifies a store's error, as a base for advice and retries.
//!
//! object_store exposes the status and the body of an answer only as text, so this file alone parses that
//! text. All other kinds are derived from types.

use crate::hub::error::HubError;
use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};
use std::{error::Error as StdError, io};

/// Kind of a store's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The object does not exist.
    NotThere,
    /// The bucket does not exist.
    NoBucket,
    /// The credentials are valid and do not allow the request. Where listing is not allowed, also the answer
    /// for a missing object.
    Forbidden,
    /// The store does not know the credentials, or the signature is wrong.
    BadCredentials,
    /// The credentials were valid and have ended.
    ExpiredCredentials,
    /// No credentials are set, and neither the machine nor the container provides some.
    NoCredentials,
    /// The service that issues tokens cannot be reached.
    NoTokens,
    /// The clocks of this machine and of the store differ too much.
    Clock,
    /// The bucket is in another region; the store may name it.
    Region(Option<String>),
    /// The object is in another state than the requested one, or exists although it must not.
    Precondition,
    /// No object of the store can have this name: it is too long, or has parts that the store refuses.
    Name,
    /// The object is archived and cannot be read at once.
    Archived,
    /// The host name has no address.
    UnknownHost,
    /// No process listens at the address.
    ConnectionRefused,
    /// No authority that this machine trusts signed the server's certificate.
    Certificate,
    /// One side uses TLS and the other does not.
    NotTls,
    /// The network is down, or the connection was interrupted.
    Network,
    /// No answer and no progress for too long.
    Silent,
    /// The store reports a temporary failure: 5xx, 429, 408.
    Busy(u16),
    /// The store does not know the request.
    NotSupported,
    /// Another answer, with its status.
    Answer(u16),
    /// A failure that no other kind describes.
    Other,
}

impl FaultKind {
    /// Classifies an error.
    pub fn of(error: &Error) -> Self {
        if let Some(hub) = causes(error).find_map(|cause| cause.downcast_ref::<HubError>()) {
            return of_hub(hub);
        }
        if let Some(answer) = Answer::of(error) {
            return answer.kind(error);
        }
        match error {
            Error::NotFound { .. } => Self::NotThere,
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
                Self::Precondition
            }
            Error::PermissionDenied { .. } => Self::Forbidden,
            Error::Unauthenticated { .. } => Self::BadCredentials,
            Error::InvalidPath { .. } => Self::Name,
            Error::NotSupported { .. } | Error::NotImplemented { .. } => Self::NotSupported,
            _ if in_full(error).contains("Received redirect without LOCATION") => Self::Region(None),
            _ => transport(error),
        }
    }

    /// Whether the store, or the network to it, is probably unavailable: the same request may succeed later.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::UnknownHost
                | Self::ConnectionRefused
                | Self::Network
                | Self::Silent
                | Self::Busy(_)
                | Self::NoTokens
        )
    }

    /// Whether the store itself answered.
    pub fn is_answer(&self) -> bool {
        !self.is_outage() && !matches!(self, Self::NoCredentials | Self::Certificate | Self::NotTls)
    }

    /// Whether the same request will always be refused.
    pub fn is_final(&self) -> bool {
        !self.is_outage()
            && !matches!(self, Self::Answer(_) | Self::Other | Self::NotThere | Self::Precondition)
    }
}

/// Kind of an answer of the Hub.
fn of_hub(error: &HubError) -> FaultKind {
    match (error.code.as_str(), error.status) {
        _ if error.is_no_repository() => FaultKind::NoBucket,
        ("GatedRepo" | "DisabledRepo", _) => FaultKind::Forbidden,
        (_, 401) if error.is_hub => FaultKind::BadCredentials,
        (_, 403) if error.is_hub => FaultKind::Forbidden,
        (_, 404) if error.is_hub => FaultKind::NotThere,
        (_, status @ (408 | 429 | 500 | 502..=504 | 507..=599)) => FaultKind::Busy(status),
        (_, status) => FaultKind::Answer(status),
    }
}

/// An answer that reports an error.
struct Answer {
    status: u16,
    /// The store's own error code.
    code: String,
    body: String,
}

impl Answer {
    fn of(error: &Error) -> Option<Self> {
        let texts = || causes(error).map(|cause| cause.to_string());
        // For a delete, Azure's answer is one part of a batch answer.
        let after = |text: String| {
            let mark = if text.contains("Bulk delete request failed") { "(code: " } else { "status code: " };
            Some(text.split_once(mark)?.1.to_owned())
        };
        let text = texts().filter_map(after).last()?;
        let status = text.get(..3)?.parse().ok()?;
        let body = text.split_once(": ").map_or("", |(_, body)| body).trim().to_owned();
        let code = element(&body, "Code").unwrap_or_default().to_owned();
        Some(Self { status, code, body })
    }

    fn kind(&self, error: &Error) -> FaultKind {
        match self.kind_by_code() {
            // The only name in a listing is the bucket's.
            Some(FaultKind::Name) if lists(error) => return FaultKind::NoBucket,
            Some(kind) => return kind,
            None => {}
        }
        let is_of_credentials = asks_for_credentials(error);
        match self.status {
            // Without a managed identity, a machine gets 400 from Azure's metadata service and 404 from the
            // other clouds'.
            400..500 if asks_for_metadata(error) => FaultKind::NoCredentials,
            // Google answers anonymous requests in this way, for missing and for existing objects.
            401 if self.code == "AccessDenied" => FaultKind::Forbidden,
            400..500 if is_of_credentials => FaultKind::BadCredentials,
            404 if lists(error) => FaultKind::NoBucket,
            401 => FaultKind::BadCredentials,
            403 => FaultKind::Forbidden,
            404 | 410 => FaultKind::NotThere,
            409 | 412 | 304 => FaultKind::Precondition,
            301 | 307 | 308 => FaultKind::Region(element(&self.body, "Region").map(str::to_owned)),
            408 | 429 | 500 | 502..=504 | 507..=599 => FaultKind::Busy(self.status),
            414 => FaultKind::Name,
            405 | 501 => FaultKind::NotSupported,
            status => FaultKind::Answer(status),
        }
    }

    /// Kind by the error code of S3, Google, Azure, and compatible stores.
    fn kind_by_code(&self) -> Option<FaultKind> {
        Some(match self.code.as_str() {
            "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" => FaultKind::NoBucket,
            "InvalidBucketName" => FaultKind::NoBucket,
            "InvalidResourceName" if self.status != 404 => FaultKind::Name,
            "InvalidAuthenticationInfo" | "AuthenticationFailed" if self.says(&EXPIRED) => {
                FaultKind::ExpiredCredentials
            }
            "AuthenticationFailed" if self.says(&["date header", "Date header"]) => FaultKind::Clock,
            // Azurite's code for a wrong signature, and Azure's for an address that the account does not
            // admit.
            "AuthorizationFailure" if self.says(&["failed to authenticate"]) => FaultKind::BadCredentials,
            "PublicAccessNotPermitted" => FaultKind::Forbidden,
            "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" | "RequestExpired" => {
                FaultKind::ExpiredCredentials
            }
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "InvalidSecurity"
            | "InvalidAuthenticationInfo"
            | "AuthenticationFailed"
            | "NoAuthenticationInformation"
            | "NotSignedUp"
            | "InvalidClientTokenId" => FaultKind::BadCredentials,
            "RequestTimeTooSkewed" => FaultKind::Clock,
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "TemporaryRedirect" => FaultKind::Region(element(&self.body, "Region").map(str::to_owned)),
            "KeyTooLongError"
            | "KeyTooLong"
            | "InvalidURI"
            | "InvalidUri"
            | "InvalidObjectName"
            | "XMinioInvalidObjectName"
            | "XMinioInvalidResourceName"
            | "OutOfRangeInput" => FaultKind::Name,
            "InvalidObjectState" | "BlobArchived" => FaultKind::Archived,
            "SlowDown" | "RequestTimeout" | "ServerBusy" | "InternalError" | "ServiceUnavailable"
            | "OperationTimedOut" => FaultKind::Busy(self.status),
            "NotImplemented" => FaultKind::NotSupported,
            // An answer of an emulator of Google's store.
            "500" if self.says(&["no bucket named"]) => FaultKind::NoBucket,
            _ => return None,
        })
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.body.contains(word))
    }
}

/// Azure's texts for an expired signature or token.
const EXPIRED: [&str; 3] =
    ["not valid in the specified time frame", "Lifetime validation failed", "token is expired"];

/// Whether the answer is a refusal without a reason: answers to HEAD have no body.
pub(crate) fn is_mute(error: &Error) -> bool {
    Answer::of(error).is_some_and(|answer| matches!(answer.status, 400 | 401 | 403) && answer.body.is_empty())
}

/// Whether the request was a listing, which names the bucket and no object.
fn lists(error: &Error) -> bool {
    in_full(error).contains("list request")
}

/// Whether the failed request went to a service that issues credentials, not to the store.
fn asks_for_credentials(error: &Error) -> bool {
    let text = in_full(error);
    text.contains("token request") || text.split_whitespace().any(crate::cloud::gives_credentials)
}

/// Whether the failed request went to the metadata service of the machine or the container.
fn asks_for_metadata(error: &Error) -> bool {
    in_full(error).split_whitespace().any(crate::cloud::is_metadata)
}

/// Kind of a request without an answer.
fn transport(error: &Error) -> FaultKind {
    let http = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind);
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    if http.is_some() && asks_for_metadata(error) {
        return FaultKind::NoCredentials;
    }
    if http.is_some() && asks_for_credentials(error) {
        return FaultKind::NoTokens;
    }
    let text = in_full(error);
    match (http, io) {
        _ if text.contains("InvalidContentType") || text.contains("WrongVersion") => FaultKind::NotTls,
        _ if text.contains("invalid peer certificate") => FaultKind::Certificate,
        (Some(HttpErrorKind::Connect), Some(io::ErrorKind::ConnectionRefused)) => {
            FaultKind::ConnectionRefused
        }
        (Some(HttpErrorKind::Connect), _) if text.contains("dns error") => FaultKind::UnknownHost,
        (Some(HttpErrorKind::Timeout), _) => FaultKind::Silent,
        (Some(HttpErrorKind::Connect | HttpErrorKind::Interrupted | HttpErrorKind::Request), _) => {
            FaultKind::Network
        }
        (Some(HttpErrorKind::Decode | HttpErrorKind::Unknown), _) => FaultKind::Network,
        _ => FaultKind::Other,
    }
}

/// Text of the XML element with this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = xml.split_once(&format!("<{name}>"))?;
    Some(from.split_once("</")?.0.trim())
}

pub(crate) fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

/// A store's error with its causes, each once: the texts of object_store's errors include some of their
/// causes.
pub(crate) fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !text.contains(cause.trim()) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The root cause of an error, without the request: for a log line that covers many requests.
pub fn last_cause(error: &Error) -> String {
    if let Some(Answer { status, code, .. }) = Answer::of(error) {
        return format!("status {status} {code}").trim_end().to_owned();
    }
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests;
