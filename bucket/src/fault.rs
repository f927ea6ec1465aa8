//! What kind of failure a store's error is, and what to do about each kind.
//!
//! object_store keeps the status and the body of an answer to itself but for their text, so they are taken
//! out of that text at the one place where it has them; everything else is told by types.

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};
use std::{error::Error as StdError, io};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no such object.
    NotThere,
    NoBucket,
    /// The credentials are known and do not allow it; of an object that is not there too, where listing is
    /// not allowed.
    Forbidden,
    /// The store does not know the credentials, or their signature is wrong.
    BadCredentials,
    ExpiredCredentials,
    /// There are none, and the machine or the container, which would give them out, does not.
    NoCredentials,
    /// The service that gives out tokens cannot be reached.
    NoTokens,
    /// This machine's clock and the store's are too far apart.
    Clock,
    /// The bucket is in another region: which one, if the store says so.
    Region(Option<String>),
    /// The object is in another state than was asked for, or is there although it should not be.
    Precondition,
    /// No object can have this name there: too long, or with parts the store refuses.
    Name,
    /// The object is in an archive, and not to be had at once.
    Archived,
    /// The host has no address.
    UnknownHost,
    ConnectionRefused,
    /// The server's certificate is not signed by anybody this machine trusts.
    Certificate,
    /// One side speaks TLS and the other does not.
    NotTls,
    /// The network is down, or the connection broke off.
    Network,
    /// No answer, and no progress, for too long.
    Silent,
    /// The store says that it cannot now: 5xx, 429, 408.
    Busy(u16),
    NotSupported,
    /// Another answer, with its status.
    Answer(u16),
    Other,
}

impl FaultKind {
    pub fn of(error: &Error) -> Self {
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

    /// Whether the store or the way to it is out of order, as far as can be told: the same request may be
    /// answered later.
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

    /// Whether it was the store that spoke.
    pub fn is_answer(&self) -> bool {
        !self.is_outage() && !matches!(self, Self::NoCredentials | Self::Certificate | Self::NotTls)
    }

    /// Whether the same request will be refused again, however often it is made.
    pub fn is_final(&self) -> bool {
        !self.is_outage()
            && !matches!(self, Self::Answer(_) | Self::Other | Self::NotThere | Self::Precondition)
    }
}

/// An answer that is an error.
struct Answer {
    status: u16,
    /// The store's own name for the error.
    code: String,
    body: String,
}

impl Answer {
    fn of(error: &Error) -> Option<Self> {
        let said = || causes(error).map(|cause| cause.to_string());
        // Of a delete, Azure's answer is one part of the answer to many.
        let after = |text: String| {
            let mark = if text.contains("Bulk delete request failed") { "(code: " } else { "status code: " };
            Some(text.split_once(mark)?.1.to_owned())
        };
        let text = said().filter_map(after).last()?;
        let status = text.get(..3)?.parse().ok()?;
        let body = text.split_once(": ").map_or("", |(_, body)| body).trim().to_owned();
        let code = element(&body, "Code").unwrap_or_default().to_owned();
        Some(Self { status, code, body })
    }

    fn kind(&self, error: &Error) -> FaultKind {
        match self.kind_by_code() {
            // A listing has no other name than the bucket's.
            Some(FaultKind::Name) if lists(error) => return FaultKind::NoBucket,
            Some(kind) => return kind,
            None => {}
        }
        let is_of_credentials = asks_for_credentials(error);
        match self.status {
            // Without an identity of its own, a machine is answered 400 by Azure and 404 by the others.
            400..500 if asks_for_metadata(error) => FaultKind::NoCredentials,
            // Google answers those who say no name so, for an object that is not there as for one that is.
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

    /// By the name the error has at S3, Google, Azure, and stores that speak as these do.
    fn kind_by_code(&self) -> Option<FaultKind> {
        Some(match self.code.as_str() {
            "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" => FaultKind::NoBucket,
            "InvalidBucketName" => FaultKind::NoBucket,
            "InvalidResourceName" if self.status != 404 => FaultKind::Name,
            "InvalidAuthenticationInfo" | "AuthenticationFailed" if self.says(&EXPIRED) => {
                FaultKind::ExpiredCredentials
            }
            "AuthenticationFailed" if self.says(&["date header", "Date header"]) => FaultKind::Clock,
            // Azurite's name for a wrong signature; Azure's for an address that the account does not let in.
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
            // An emulator of Google's store answers so.
            "500" if self.says(&["no bucket named"]) => FaultKind::NoBucket,
            _ => return None,
        })
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.body.contains(word))
    }
}

/// How Azure says that a signature's or a token's time is over.
const EXPIRED: [&str; 3] =
    ["not valid in the specified time frame", "Lifetime validation failed", "token is expired"];

/// Whether the answer is a refusal that does not say why: those to HEAD have no text.
pub(crate) fn is_mute(error: &Error) -> bool {
    Answer::of(error).is_some_and(|answer| matches!(answer.status, 400 | 401 | 403) && answer.body.is_empty())
}

/// Whether the request was for a listing, which asks for the bucket and for no object.
fn lists(error: &Error) -> bool {
    in_full(error).contains("list request")
}

/// Whether the request that failed was not to the store, but to who gives out credentials.
fn asks_for_credentials(error: &Error) -> bool {
    let told = in_full(error);
    told.contains("token request") || told.split_whitespace().any(crate::cloud::gives_credentials)
}

/// Whether the request that failed was to the machine's or the container's metadata.
fn asks_for_metadata(error: &Error) -> bool {
    in_full(error).split_whitespace().any(crate::cloud::is_metadata)
}

/// The kind of a request that was not answered.
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

/// The text of an XML element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = xml.split_once(&format!("<{name}>"))?;
    Some(from.split_once("</")?.0.trim())
}

pub(crate) fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

/// A store's error with its causes, each told once: object_store's errors tell some of them in their own
/// text, not all.
pub(crate) fn in_full(error: &Error) -> String {
    let mut told = error.to_string();
    for cause in causes(error).skip(1) {
        let text = cause.to_string();
        if !told.contains(text.trim()) {
            told = format!("{told}: {text}");
        }
    }
    told
}

/// What an error comes down to, without what was asked: for a line that many of them may lead to.
pub fn last_cause(error: &Error) -> String {
    if let Some(Answer { status, code, .. }) = Answer::of(error) {
        return format!("status {status} {code}").trim_end().to_owned();
    }
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests;
