//! Buckets of the Hub (`hf://buckets/owner/name`), through their S3 gateway.
//!
//! The gateway honours the create-only PUT, which commits need. It ignores `If-Match` on GET and answers GET
//! with a redirect to a cache, whose ETag may be another: [`crate::PinnedObject`] compares the answers.

use crate::environment::{Said, Value};
use capfilt_schemas::hub_url::HubUrl;
use url::Url;

const GATEWAY: &str = "https://s3.hf.co";

/// The gateway has one region.
const REGION: &str = "us-east-1";

/// URL and settings of a bucket for the client of S3. The owner is part of the endpoint. Endpoints and
/// regions of the environment belong to other stores and are ignored; those of a `[stores]` table apply.
pub(crate) fn in_s3(url: &HubUrl, mut said: Said) -> (Url, Said) {
    let (owner, name) = url.name.split_once('/').unwrap_or(("", &url.name));
    let is_of_table = |value: &Value| value.from.starts_with("[stores");
    let foreign = ["aws_endpoint", "aws_endpoint_url", "aws_endpoint_url_s3", "aws_region"];
    let foreign = foreign.into_iter().chain(["aws_default_region", "aws_virtual_hosted_style_request"]);
    for key in foreign {
        if said.get(key).is_some_and(|value| !is_of_table(value)) {
            said.remove(key);
        }
    }
    let values = [("aws_endpoint_url_s3", format!("{GATEWAY}/{owner}")), ("aws_region", REGION.to_owned())];
    for (key, text) in values {
        said.entry(key.to_owned()).or_insert_with(|| Value { text, from: "hf://buckets".to_owned() });
    }
    let mut in_s3 = Url::parse(&format!("s3://{name}")).expect("the name of a bucket is a host");
    in_s3.set_path(&url.path);
    (in_s3, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&str, &str, &str)]) -> Said {
        let value = |text: &str, from: &str| Value { text: text.to_owned(), from: from.to_owned() };
        pairs.iter().map(|(key, text, from)| ((*key).to_owned(), value(text, from))).collect()
    }

    #[test]
    fn the_gateway_has_the_owner_in_its_endpoint_and_its_own_region() {
        let url = HubUrl::parse("hf://buckets/my-org/data/web/a%20b").unwrap().unwrap();
        let environment = said(&[
            ("aws_endpoint_url", "https://minio", "AWS_ENDPOINT_URL"),
            ("aws_region", "eu-west-1", "AWS_REGION"),
            ("aws_access_key_id", "HFAK", "AWS_ACCESS_KEY_ID"),
        ]);
        let (in_s3, said_now) = in_s3(&url, environment);
        assert_eq!(in_s3.as_str(), "s3://data/web/a%20b");
        let text: Vec<String> = said_now.iter().map(|(key, value)| format!("{key}={}", value.text)).collect();
        let expected =
            ["aws_access_key_id=HFAK", "aws_endpoint_url_s3=https://s3.hf.co/my-org", "aws_region=us-east-1"];
        assert_eq!(text, expected);
        let table =
            said(&[("aws_endpoint_url_s3", "http://127.0.0.1:1", "[stores.\"hf://buckets\"] endpoint")]);
        assert_eq!(super::in_s3(&url, table).1["aws_endpoint_url_s3"].text, "http://127.0.0.1:1");
    }
}
