//! Advice for a store's error, with the names of its cloud and of the settings that determine the request.

use crate::{
    cloud::{Cloud, Names},
    fault::{FaultKind, causes},
    hub::error::HubError,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use object_store::Error;
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// Access of the opened URLs, by URL. Memory: a job has a handful.
static WAYS: RwLock<BTreeMap<String, Way>> = RwLock::new(BTreeMap::new());

/// Access to a store: the variables and settings that determine it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    pub cloud: Option<Cloud>,
    pub endpoint: Option<String>,
    pub account: Option<String>,
    /// Setting that turned signatures off.
    pub unsigned: Option<String>,
    /// Setting with a shared access signature, and the signature's validity, if it is not valid now.
    pub untimely: Option<(String, Times)>,
}

/// Validity of a shared access signature, as written in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    start: Option<String>,
    end: Option<String>,
}

/// Stores the access of a URL.
pub(crate) fn note(url: &str, way: Way) {
    let mut ways = WAYS.write().unwrap_or_else(PoisonError::into_inner);
    ways.insert(url.trim_end_matches('/').to_owned(), way);
}

/// A sentence to append to the error; empty without known advice.
pub(crate) fn advice(object: &str, error: &Error) -> String {
    let hub = causes(error).find_map(|cause| cause.downcast_ref::<HubError>());
    let advice = hub.map_or_else(|| Way::to(object).advice(&FaultKind::of(error)), HubError::advice);
    if advice.is_empty() { advice } else { format!("; {advice}") }
}

impl Way {
    /// Access of the stored URL that is the longest prefix of `url`.
    fn to(url: &str) -> Self {
        let ways = WAYS.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |place: &str| {
            // A revision of the Hub follows an `@`.
            url.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
        };
        let found = ways.iter().filter(|(place, _)| fits(place)).max_by_key(|(place, _)| place.len());
        found.map_or_else(|| Self { cloud: Cloud::of_url(url), ..Self::default() }, |(_, way)| way.clone())
    }

    fn names(&self) -> Option<Names> {
        self.cloud.map(Cloud::names)
    }

    /// The setting that determines the store's address, or the settings that can.
    fn endpoint(&self) -> String {
        if let Some(from) = &self.endpoint {
            return from.clone();
        }
        let Some(cloud) = self.cloud else { return "the endpoint".into() };
        match cloud {
            Cloud::S3 => "AWS_REGION, or for another store than Amazon's AWS_ENDPOINT_URL,".into(),
            Cloud::Google => cloud.names().endpoint.into(),
            Cloud::Azure => self.account(),
        }
    }

    /// The setting that determines the Azure account.
    fn account(&self) -> String {
        self.account.clone().unwrap_or_else(|| "AZURE_STORAGE_ACCOUNT".to_owned())
    }

    fn advice(&self, kind: &FaultKind) -> String {
        let names = self.names();
        let credentials = names.map_or("", |names| names.credentials);
        let endpoint = self.endpoint();
        match kind {
            FaultKind::NoBucket => self.of_no_bucket(),
            FaultKind::Forbidden | FaultKind::BadCredentials => self.of_refusal(kind, credentials),
            FaultKind::ExpiredCredentials => format!(
                "the credentials are no longer valid: get new ones, or use credentials that are renewed \
                 automatically ({credentials})"
            ),
            FaultKind::NoCredentials => format!(
                "the environment has no credentials ({credentials}), and this machine has no role{}",
                names.map_or(String::new(), |names| format!(
                    "; a public bucket is read with {}=true",
                    names.unsigned
                ))
            ),
            FaultKind::NoTokens => format!(
                "the service that issues tokens cannot be reached: does this machine reach it, and is {} \
                 right?",
                names.map_or("its address", |names| names.tokens)
            ),
            FaultKind::Clock => "this machine's clock differs too much from the store's: set it".into(),
            FaultKind::Region(Some(region)) => format!("the bucket is in {region}: set AWS_REGION={region}"),
            FaultKind::Region(None) => "the bucket is in another region: set AWS_REGION to it".into(),
            FaultKind::Archived => "the object is in an archive class: restore it first".into(),
            FaultKind::UnknownHost => {
                format!("the host has no address: is {endpoint} right, and does this machine resolve names?")
            }
            FaultKind::ConnectionRefused => {
                format!("no process listens there: is {endpoint} right, and does the server run?")
            }
            FaultKind::Certificate => format!(
                "the server's certificate is not trusted here: {} names a file with its authority",
                names.map_or("`ca_bundle` of a [stores] table", |names| names.ca_bundle)
            ),
            FaultKind::NotTls => {
                format!("the server does not speak TLS there: is the scheme of {endpoint} right?")
            }
            FaultKind::Silent => {
                "no answer, and no progress, for too long: is the network slow, or a firewall in between?"
                    .into()
            }
            _ => String::new(),
        }
    }

    fn of_no_bucket(&self) -> String {
        if self.cloud != Some(Cloud::Azure) {
            return "there is no such bucket at this endpoint: is its name right, and is the endpoint?"
                .into();
        }
        let (account, endpoint) = (self.account(), self.endpoint());
        let endpoint =
            if endpoint == account { String::new() } else { format!(" and the endpoint ({endpoint})") };
        format!(
            "there is no such container in this storage account: are its name, the account \
             ({account}){endpoint} right?"
        )
    }

    fn of_refusal(&self, kind: &FaultKind, credentials: &str) -> String {
        if let Some(from) = &self.unsigned {
            return format!(
                "requests are sent without credentials ({from}), and the store does not allow this"
            );
        }
        if let Some(why) =
            self.untimely.as_ref().and_then(|(from, times)| Some(format!("{from} {}", times.why()?)))
        {
            return why;
        }
        match kind {
            FaultKind::Forbidden => "the store knows the credentials, and they do not allow this \
                                     (the book's page Stores lists the permissions a job needs)"
                .into(),
            _ => {
                format!(
                    "the store refuses the credentials: are they the right ones for this endpoint \
                     ({credentials})?"
                )
            }
        }
    }
}

impl Times {
    pub(crate) fn of(signature: &str) -> Self {
        let at = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(signature.trim_start_matches('?').as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, time)| time.into_owned())
        };
        Self { start: at("st"), end: at("se") }
    }

    /// Fault of the validity; `None` if it includes now, or is unknown.
    fn why(&self) -> Option<String> {
        let is_over = |end: &&String| time(end).is_some_and(|end| end <= Utc::now());
        let is_ahead = |start: &&String| time(start).is_some_and(|start| start > Utc::now());
        let over = self.end.as_ref().filter(is_over).map(|end| format!("ended at {end}: get a new one"));
        let ahead = || self.start.as_ref().filter(is_ahead);
        over.or_else(|| ahead().map(|start| format!("begins at {start}: is this machine's clock right?")))
    }
}

/// A time in the forms of Azure's signatures: with seconds, without seconds, or a day.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let exact = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let minutes = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok().map(|time| time.and_utc());
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    exact.or_else(minutes).or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(cloud: Cloud) -> Way {
        Way { cloud: Some(cloud), ..Way::default() }
    }

    #[test]
    fn advice_names_the_setting_of_the_store_s_address() {
        for from in ["[stores.\"s3://a\"] endpoint", "STORAGE_EMULATOR_HOST"] {
            let advice =
                Way { endpoint: Some(from.into()), ..way(Cloud::S3) }.advice(&FaultKind::ConnectionRefused);
            assert!(advice.contains(&format!("is {from} right")), "{advice}");
        }
        let account = Way { account: Some("AZURE_STORAGE_CONNECTION_STRING".into()), ..way(Cloud::Azure) };
        let advice = account.advice(&FaultKind::UnknownHost);
        assert!(advice.contains("is AZURE_STORAGE_CONNECTION_STRING right"), "{advice}");
        assert!(account.advice(&FaultKind::NoBucket).contains("no such container"));
    }

    #[test]
    fn a_url_is_accessed_like_its_longest_stored_prefix() {
        note("s3://advice-a", Way { endpoint: Some("SHORT".into()), ..way(Cloud::S3) });
        note("s3://advice-a/b/", Way { endpoint: Some("LONG".into()), ..way(Cloud::S3) });
        assert_eq!(Way::to("s3://advice-a/b/c").endpoint(), "LONG");
        assert_eq!(Way::to("s3://advice-a/bc").endpoint(), "SHORT");
        assert_eq!(Way::to("gs://advice-a").endpoint(), "GOOGLE_BASE_URL");
    }

    #[test]
    fn an_expired_signature_and_an_unsigned_request_get_their_own_advice() {
        let advice = |token: &str| {
            let untimely = Some(("SAS".to_owned(), Times::of(token)));
            Way { untimely, ..way(Cloud::Azure) }.advice(&FaultKind::BadCredentials)
        };
        for old in ["se=2020-01-01T00%3A00%3A00Z&sig=x", "?sv=1&se=2020-01-01T00:00Z", "se=2020-01-01"] {
            assert!(advice(old).starts_with("SAS ended at 2020-01-01"), "{old}: {}", advice(old));
        }
        assert!(advice("st=2999-01-01&se=3000-01-01").starts_with("SAS begins at 2999-01-01"));
        for sound in ["se=2999-01-01&sig=x", "se=soon", ""] {
            assert!(advice(sound).contains("refuses the credentials"), "{sound}");
        }
        let unsigned = Way { unsigned: Some("AWS_SKIP_SIGNATURE".into()), ..way(Cloud::S3) };
        assert!(unsigned.advice(&FaultKind::Forbidden).contains("without credentials (AWS_SKIP_SIGNATURE)"));
    }
}
